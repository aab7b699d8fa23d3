"""Seeded noise: drawn on the CPU in float32 per item, so a take is the same on every device and in any batch.

(The original draws on the GPU in the model's dtype, so there a seed means another song on another machine.)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from acestep.api.limits import LATENT_CHANNELS


class Noise(Protocol):
    """Where a run's randomness comes from; everything is float32 [B, T, 64] on the CPU."""

    def initial(self) -> Tensor:
        """The noise a run starts from."""

    def step(self, index: int) -> Tensor:
        """Fresh noise for step ``index``; the same at every call."""


@dataclass(frozen=True)
class SeededNoise:
    """Noise from one seed per item; ``variation`` (0 to 1) turns it towards the noise of ``variation_seed``."""

    seeds: Sequence[int]
    frames: int
    variation: float = 0.0
    variation_seed: int = 0

    def initial(self) -> Tensor:
        """One generator per item; a longer clip begins with the noise of a shorter one."""
        noise = torch.cat([draw(seed, self.frames) for seed in self.seeds])
        if not self.variation:
            return noise
        return mix(noise, draw(self.variation_seed, self.frames), self.variation)

    def step(self, index: int) -> Tensor:
        """Keyed by seed and step alone, so a resumed run continues with the noise of the unbroken one."""
        return torch.cat([draw(stream_seed(seed, "step", index), self.frames) for seed in self.seeds])


def draw(seed: int, frames: int) -> Tensor:
    """Unit noise [1, frames, 64] of one seed."""
    return torch.randn(1, frames, LATENT_CHANNELS, generator=torch.Generator().manual_seed(seed))


def stream_seed(seed: int, purpose: str, index: int) -> int:
    """A seed for one further stream of an item's noise, unrelated to its neighbours'."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") & (2**63 - 1)


def mix(noise: Tensor, other: Tensor, amount: float) -> Tensor:
    """Variance-preserving mix: ``cos(a pi / 2) noise + sin(a pi / 2) other``."""
    return math.cos(amount * math.pi / 2) * noise + math.sin(amount * math.pi / 2) * other
