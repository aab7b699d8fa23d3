"""Seeded noise of v1's shape, drawn on the CPU in float32, so that a take is the same on every device.

The start noise of a seed is what the original draws on a CPU in float32; on a GPU, or in bfloat16, it draws other numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.denoising.noise import stream_seed
from acestep.families.ace_step_v1.units import CHANNELS, ROWS


def draw(seed: int, frames: int) -> Tensor:
    """Unit noise [1, 8, 16, frames] of one seed."""
    return torch.randn(1, CHANNELS, ROWS, frames, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class StepNoise:
    """Fresh noise for the steps of a run, keyed by seed and step: ``noise(i)`` is the same at every call."""

    seed: int
    frames: int

    def __call__(self, index: int) -> Tensor:
        return draw(stream_seed(self.seed, "step", index), self.frames)
