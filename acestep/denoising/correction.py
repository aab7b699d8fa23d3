"""Wavelet correction of a step's result towards its clean estimate. Off unless asked for: it was tuned for turbo, and with
it sft and xl-sft checkpoints render noise.

``band <- band + lambda (band - band of x0)`` in a one-level orthonormal Haar basis along time; the low band's lambda fades
with t, the high band's with 1 - t. Source: the model's own sampler, newer state.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

ROOT_HALF = 0.5**0.5


def correct(x: Tensor, x0: Tensor, t: float, corrections: dict[str, float]) -> Tensor:
    """``x`` [B, T, 64] after a step that began at ``t``. Keys: ``low``, ``high`` (wavelet bands) and ``pix`` (no transform)."""
    if amount := corrections.get("pix"):
        x = x + amount * (x - x0)
    low, high = t * corrections.get("low", 0.0), (1 - t) * corrections.get("high", 0.0)
    if not low and not high:
        return x
    (x_low, x_high), (x0_low, x0_high) = split(x), split(x0)
    return join(x_low + low * (x_low - x0_low), x_high + high * (x_high - x0_high), x.shape[1])


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high Haar bands [B, ceil(T / 2), C]; an odd length is extended by a zero frame."""
    x = functional.pad(x, (0, 0, 0, x.shape[1] % 2))
    even, odd = x[:, 0::2], x[:, 1::2]
    return (even + odd) * ROOT_HALF, (even - odd) * ROOT_HALF


def join(low: Tensor, high: Tensor, frames: int) -> Tensor:
    """The inverse of `split`, cropped to ``frames``."""
    even, odd = (low + high) * ROOT_HALF, (low - high) * ROOT_HALF
    return torch.stack([even, odd], dim=2).flatten(1, 2)[:, :frames]
