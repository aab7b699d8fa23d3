"""Linear layers in 8-bit integers on a CPU: torch's packed operations, which have kernels for most processors.

A weight has 8 bits and one scale a row; inputs are rounded to 7 bits as they come, with one scale for all of them (older
processors add in 16 bits, which 8 would overflow). The result is float32.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

LARGEST = 127
"""Of a signed byte, used to both sides alike."""


def can_pack() -> bool:
    """Whether torch has 8-bit kernels for this processor."""
    if not hasattr(torch, "quantize_per_channel"):  # to go in some later release
        return False
    engines = [name for name in torch.backends.quantized.supported_engines if name != "none"]
    return bool(engines) and torch.backends.quantized.engine in engines


class PackedLinear(nn.Module):
    """``linear`` with its weight as bytes. Raises `RuntimeError` where torch has no kernels."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        scales = (weight.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST).double()
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", message="torch.quantize_per"
            )  # deprecated, and nothing takes its place yet
            rows = torch.quantize_per_channel(weight, scales, torch.zeros(len(weight)).long(), 0, torch.qint8)
        bias = None if linear.bias is None else linear.bias.detach().float()
        self._packed = torch.ops.quantized.linear_prepack(rows, bias)
        self.packed_bytes = weight.numel()

    def forward(self, x: Tensor) -> Tensor:
        """float32 [..., in] -> float32 [..., out]."""
        return torch.ops.quantized.linear_dynamic(x.contiguous(), self._packed, True)

    def unpacked(self) -> Tensor:
        """The weight that it works with, float32 [out, in]."""
        return torch.ops.quantized.linear_unpack(self._packed)[0].dequantize()
