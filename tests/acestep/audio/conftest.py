"""Small sound files in every accepted form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def make(tmp_path):
    """Write noise of a form and give its path."""

    def write(container="WAV", subtype="PCM_16", *, rate=44_100, channels=2, frames=5_000, seed=0) -> Path:
        noise = np.random.default_rng(seed).uniform(-0.9, 0.9, (frames, channels))
        path = tmp_path / f"{container}-{subtype}-{rate}-{channels}-{frames}-{seed}.snd"
        soundfile.write(path, noise, rate, subtype=subtype, format=container)
        return path

    return write
