"""At which times of the flow a model is taught, 1 being noise and 0 data."""

from __future__ import annotations

import torch
from torch import Tensor

TURBO_STEPS, TURBO_SHIFT = 8, 3.0
"""The schedule that distilled models run; the original's trainer draws its times from it."""


def shifted(even: Tensor, shift: float) -> Tensor:
    """Evenly spread times, moved towards noise: what a schedule with this shift passes through."""
    return shift * even / (1 + (shift - 1) * even)


def turbo_times() -> Tensor:
    """The eight times that a distilled model is asked at: 1, 0.9545 ... 0.3."""
    return shifted(torch.arange(TURBO_STEPS, 0, -1, dtype=torch.float64) / TURBO_STEPS, TURBO_SHIFT).float()


def logit_normal(count: int, mean: float, deviation: float, generator: torch.Generator | None = None) -> Tensor:
    """Times between 0 and 1 whose logits are normal: [count]."""
    return torch.sigmoid(torch.randn(count, generator=generator) * deviation + mean)
