"""The adapter inside a network: put there by PEFT, read out and restored by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from acestep.api.errors import BadRequest, ModelUnsuited, Unavailable
from acestep.api.training import AdapterShape
from acestep.checkpoints.mapping import rename
from acestep.networks.packed_linear import PackedLinear
from acestep.training.adapters.network import TrainedDit

NAME = "default"
"""PEFT's own name for the only adapter."""

_PARAMETER = re.compile(
    rf"(?P<layer>.+)\.(?P<part>lora_A|lora_B|lora_magnitude_vector|lokr_w[12](?:_[ab])?)\.{NAME}(?:\.weight)?"
)

PARTS = {"lora_A": "down", "lora_B": "up", "lora_magnitude_vector": "magnitude"}
"""PEFT's name of a part -> ours (`acestep.checkpoints.adapter_names`); those of a LoKr are the same."""


def peft_config(shape: AdapterShape) -> Any:
    """PEFT's settings for an adapter. Raises `Unavailable` without PEFT."""
    peft = require_peft()
    layers = [rename(f".{name}.").strip(".") for name in shape.suffixes()]
    if shape.kind == "lokr":
        return peft.LoKrConfig(
            r=shape.rank, alpha=shape.alpha, rank_dropout=shape.dropout, target_modules=layers,
            decompose_both=shape.decompose_both, decompose_factor=shape.factor,
        )  # fmt: skip
    return peft.LoraConfig(
        r=shape.rank, lora_alpha=shape.alpha, lora_dropout=shape.dropout, target_modules=layers,
        use_dora=shape.kind == "dora", bias="none",
    )  # fmt: skip


def require_peft() -> Any:
    """The library that trains adapters. Raises `Unavailable` with the command that installs it."""
    try:
        import peft
    except ImportError:
        raise Unavailable(
            "training needs the package peft: pip install 'acestep-bridge[training]'", field="peft"
        ) from None
    return peft


def attach(network: TrainedDit, shape: AdapterShape, seed: int) -> None:
    """Put a fresh adapter into a network; it alone is trainable, in float32. Raises `Unavailable`, `ModelUnsuited`."""
    packed = any(isinstance(layer, PackedLinear) for layer in network.modules())
    if packed or any(type(parameter.data) is not Tensor for parameter in network.parameters()):
        raise ModelUnsuited(
            "an adapter cannot be trained on int8 weights; open the model without quantisation", field="int8"
        )
    if shape.kind == "lokr":
        _require_factor(network, shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        require_peft().inject_adapter_in_model(peft_config(shape), network, adapter_name=NAME)
    for name, parameter in network.named_parameters():
        trained = _PARAMETER.fullmatch(name) is not None
        parameter.requires_grad_(trained)
        if trained:
            parameter.data = parameter.data.float()


def _require_factor(network: TrainedDit, shape: AdapterShape) -> None:
    """Beyond the square root of a layer's size PEFT and LyCORIS split it in different orders. Raises `BadRequest`."""
    ends = tuple(rename(f".{name}.").rstrip(".") for name in shape.suffixes())
    sizes = [size for name, module in network.named_modules() if f".{name}".endswith(ends)
             for size in (module.in_features, module.out_features)]  # fmt: skip
    largest = math.isqrt(min(sizes))
    if shape.factor > largest:
        raise BadRequest(
            f"a factor of {shape.factor} is too large for this model's layers; it is at most {largest}, or -1",
            field="factor",
            limits={"max": largest},
        )


def trained_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """The adapter's parameters by their names inside the network, in order."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def restore(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give the adapter its weights again: all of them, and each of its size. Raises `BadRequest`."""
    own = trained_parameters(network)
    sizes = {name: [_size(found.get(name)) for found in (weights, own)] for name in own.keys() | weights.keys()}
    wrong = [name for name, (there, here) in sizes.items() if there != here]
    if wrong:
        name = min(wrong)
        raise BadRequest(
            f"the saved adapter does not fit the one that was asked for: {name} is {sizes[name][0]} there and "
            f"{sizes[name][1]} here",
            field="shape",
        )
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(weights[name])


def _size(tensor: Tensor | None) -> list[int] | str:
    return "none" if tensor is None else list(tensor.shape)


def split_name(name: str) -> tuple[str, str]:
    """A trained parameter's name -> its layer in diffusers' names, and its part in ours."""
    found = _PARAMETER.fullmatch(name)
    assert found is not None, name
    return found["layer"], PARTS.get(found["part"], found["part"])


def layer_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """The changed layers and the sizes of their weights."""
    layers = {split_name(name)[0] for name in trained_parameters(network)}
    return {layer: tuple(network.get_parameter(f"{layer}.base_layer.weight").shape) for layer in sorted(layers)}
