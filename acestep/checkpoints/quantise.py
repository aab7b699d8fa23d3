"""Weight-only int8 for the DiT's linear layers (torchao): half the memory of bfloat16, at a small cost in exactness."""

from __future__ import annotations

from torch import nn

from acestep.api.errors import Unavailable
from acestep.checkpoints.load import Model

SMALLEST = 32
"""Rows or columns below which a layer is left alone: nothing to gain."""


def is_quantised(model: Model) -> bool:
    """Whether the model's DiT has been quantised."""
    return model.transformer.quantised_to == "int8"


def quantise_int8(model: Model) -> None:
    """Quantise the DiT's blocks in place. LoRA adapters must have been merged before; afterwards they are refused.

    Raises `Unavailable` when torchao is not installed.
    """
    if is_quantised(model):
        return
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_
    except ImportError as failure:
        raise Unavailable(
            "int8 weights need the package torchao: pip install 'acestep-bridge[quantisation]'"
        ) from failure
    quantize_(model.transformer.layers, Int8WeightOnlyConfig(), filter_fn=_worth_it)
    model.transformer.quantised_to = "int8"


def _worth_it(module: nn.Module, path: str) -> bool:
    return isinstance(module, nn.Linear) and min(module.weight.shape) >= SMALLEST
