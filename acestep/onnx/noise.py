"""Seeded noise without torch: the numbers that its generator draws on a CPU, so that a seed is the same take in every backend.

torch fills blocks of sixteen: eight uniform numbers of 24 bits give radii, eight give angles (Box and Muller). Its vectorised
logarithms and cosines differ in the last bit, no more.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acestep.api.limits import LATENT_CHANNELS

BITS = 24


def draw(seed: int, frames: int) -> NDArray[np.float32]:
    """Unit noise [1, frames, 64] of one seed, as `acestep.denoising.noise.draw`."""
    twister: Any = np.random.MT19937()
    twister._legacy_seeding(seed & 0xFFFFFFFF)
    words = np.asarray(twister.random_raw(frames * LATENT_CHANNELS)).astype(np.uint32)
    uniform = ((words & (2**BITS - 1)).astype(np.float32) * np.float32(2.0**-BITS)).reshape(-1, 2, 8)
    radius = np.sqrt(-2 * np.log(1 - uniform[:, 0]))
    angle = np.float32(2 * np.pi) * uniform[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(1, frames, LATENT_CHANNELS)


def stream_seed(seed: int, purpose: str, index: int) -> int:
    """The seed of a further stream of an item's noise, as `acestep.denoising.noise.stream_seed`."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") & (2**63 - 1)
