"""What an adapter adds to a weight: LoRA, DoRA, LoKr, LoHa and plain differences, by the formulas of PEFT and LyCORIS."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def difference(tensors: Mapping[str, Tensor], scaling: float, base: Tensor) -> Tensor:
    """What is added to the weight ``base`` at full strength, float32 in its shape.

    ``tensors`` are an adapter's for this layer, by part (`acestep.checkpoints.adapter_names.SPELT`); ``scaling`` is alpha / rank.
    DoRA: the changed weight keeps its direction and gets the learned length, per row or (a magnitude of one row) per column.
    """
    parts = {part: tensor.float() for part, tensor in tensors.items()}
    change = scaling * _product(parts).reshape(base.shape)
    if "scalar" in parts:
        change = change * parts["scalar"].reshape(())
    if "magnitude" not in parts:
        return change
    weight = base.float()
    return with_length(weight + change, parts["magnitude"]) - weight


def _product(parts: Mapping[str, Tensor]) -> Tensor:
    if "diff" in parts:
        return parts["diff"]
    if "down" in parts:
        return parts["up"].flatten(1) @ parts["down"].flatten(1)
    if "hada_w1_a" in parts:
        return (parts["hada_w1_a"] @ parts["hada_w1_b"]) * (parts["hada_w2_a"] @ parts["hada_w2_b"])
    small, large = (_factor(parts, f"lokr_w{index}") for index in (1, 2))
    return torch.kron(small.reshape(*small.shape, *[1] * (large.ndim - 2)), large)


def _factor(parts: Mapping[str, Tensor], name: str) -> Tensor:
    """One factor of a LoKr, whole or as a product itself."""
    return parts[name] if name in parts else parts[f"{name}_a"] @ parts[f"{name}_b"]


def with_length(weight: Tensor, magnitude: Tensor) -> Tensor:
    """The weight with rows (columns, for a magnitude [1, in]) of these lengths."""
    by_column = magnitude.ndim >= 2 and magnitude.shape[0] == 1 and magnitude.shape[1] == weight.shape[1]
    if by_column and magnitude.shape[1] > 1:
        norm = weight.transpose(0, 1).flatten(1).norm(dim=1).reshape(1, -1, *[1] * (weight.ndim - 2))
    else:
        norm = weight.flatten(1).norm(dim=1).reshape(-1, *[1] * (weight.ndim - 1))
    return weight * (magnitude.reshape(norm.shape) / norm.clamp_min(torch.finfo(torch.float32).eps))
