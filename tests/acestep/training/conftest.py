"""A note bank made of sine waves, so that no test needs the sound font."""

from __future__ import annotations

import numpy as np
import pytest

from acestep.training.songs.bank import RATE


class SineBank:
    """Any note of any program: half a second of a decaying sine at its pitch."""

    def note(self, track: str, program: int, pitch: int, layer: str) -> np.ndarray:
        time = np.arange(RATE // 2) / RATE
        hertz = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
        return (0.3 * np.sin(2 * np.pi * hertz * time) * np.exp(-6 * time)).astype(np.float16)


@pytest.fixture(scope="session")
def sine_bank() -> SineBank:
    return SineBank()
