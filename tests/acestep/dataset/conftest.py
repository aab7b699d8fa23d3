"""Songs for dataset tests: a beat with chords, as small as it can be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 22_050

Song = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def song() -> Song:
    """``song(seconds, bpm=, beats=, chords=)``: kick on every one, snare-like noise on other beats, a chord a bar."""

    def make(
        seconds: float, *, bpm: float = 120.0, beats: int = 4, chords: tuple[tuple[int, ...], ...] = ()
    ) -> np.ndarray:
        time = np.arange(int(seconds * RATE)) / RATE
        beat = 60.0 / bpm
        line = np.zeros_like(time)
        noise = np.random.default_rng(0).standard_normal(RATE // 10)
        for index in range(int(seconds / beat)):
            at = int(index * beat * RATE)
            decay = np.exp(-30 * np.arange(RATE // 10) / RATE)
            hit = np.sin(2 * np.pi * 60 * np.arange(RATE // 10) / RATE) if index % beats == 0 else 0.15 * noise
            line[at : at + RATE // 10] += (hit * decay)[: max(0, len(line) - at)]
        for index in range(int(seconds / (beat * beats)) + 1 if chords else 0):
            first, last = (int(bar * beat * beats * RATE) for bar in (index, index + 1))
            part = time[first:last]
            for pitch in chords[index % len(chords)]:
                line[first:last] += 0.1 * np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * part)
        return (0.5 * line / max(1.0, np.abs(line).max())).astype(np.float32)

    return make


@pytest.fixture
def folder(tmp_path: Path, song: Song) -> Path:
    """A folder with three songs, one of them below another folder."""
    root = tmp_path / "songs"
    (root / "more").mkdir(parents=True)
    for name in ("alpha.wav", "beta.flac", "more/gamma.wav"):
        soundfile.write(root / name, song(2.0), RATE)
    return root
