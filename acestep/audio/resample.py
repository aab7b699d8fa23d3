"""Between sample rates with exact lengths and no shift: sample 0 before is sample 0 after."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray


def resample(audio: NDArray[np.float32], rate: float, target: float, length: int) -> NDArray[np.float32]:
    """[channels, n] at ``rate`` -> exactly [channels, length] at ``target``, linear phase.

    The filter rings a little at both ends of the window; callers give it context where that matters. What the input is too
    short for is zero.
    """
    if rate != target and audio.shape[1]:
        audio = soxr.resample(np.ascontiguousarray(audio.T, dtype=np.float32), rate, target, quality="VHQ").T
    result = np.zeros((audio.shape[0], length), np.float32)
    kept = min(length, audio.shape[1])
    result[:, :kept] = audio[:, :kept]
    return result


def to_channels(audio: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    """Mono doubled, or stereo mixed to mono at half level each."""
    if audio.shape[0] == channels:
        return audio
    if channels == 1:
        return audio.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    return np.repeat(audio, channels, axis=0)
