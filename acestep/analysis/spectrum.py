"""Short-time spectra of a sound, and what rises in them. Arrays of numpy, no torch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Sound = NDArray[np.floating]
"""[channels, samples] or [samples]."""

ONSET_RATE = 200
"""Onset frames a second: 5 ms apart."""

ONSET_WINDOW = 0.024
"""Seconds of a window: short enough for a drum's attack, long enough for a bass's pitch."""

BANDS = (30.0, 16_000.0, 48)
"""Lowest and highest edge in Hz and the number of bands, logarithmic."""

LOW = 140.0
"""Hz: below it the kick and the bass speak."""

HIGH = 5000.0
"""Hz: above it there are hats and breath, which mark off-beats as much as beats."""

COMPRESSION = 300.0
BLOCK = 4096


@dataclass(frozen=True)
class Onsets:
    """How strongly something begins, [frames]: over all bands, in the middle ones (snare, chords, voice) and in the low ones
    (kick, bass). Frame 0 is centred on the first sample."""

    full: NDArray[np.float64]
    middle: NDArray[np.float64]
    low: NDArray[np.float64]
    rate: float = ONSET_RATE

    @property
    def seconds(self) -> float:
        return len(self.full) / self.rate


def mono(sound: Sound) -> NDArray[np.float64]:
    """One channel, the mean of all."""
    return np.asarray(sound, np.float64) if np.ndim(sound) == 1 else np.mean(sound, axis=0, dtype=np.float64)


def magnitudes(line: NDArray[np.float64], window: int, places: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Blocks [n, window // 2 + 1] of magnitudes, one Hann window centred on each place (samples); silence lies around the line."""
    shape = np.hanning(window + 1)[:-1]
    shape = shape / shape.sum() * 2
    padded = np.pad(line, window)
    for first in range(0, len(places), BLOCK):
        starts = places[first : first + BLOCK] + window - window // 2
        pieces = padded[starts[:, None] + np.arange(window)]
        yield np.abs(np.fft.rfft(pieces * shape, axis=1))


def onsets(sound: Sound, rate: int) -> Onsets:
    """Where something begins in a sound: the rise of its compressed band spectrum over 10 ms."""
    line = mono(sound)
    window = int(2 ** np.round(np.log2(rate * ONSET_WINDOW)))
    count = max(2, int(len(line) * ONSET_RATE / rate))
    places = np.floor(np.arange(count) * rate / ONSET_RATE + 0.5).astype(np.int64)
    weights, centres = _bands(window, rate)
    level = max(float(np.sqrt(np.mean(line**2))), 1e-9)
    bands = np.concatenate(
        [np.log1p(COMPRESSION * block @ weights / level) for block in magnitudes(line, window, places)]
    )
    rise = np.zeros_like(bands)
    rise[1:-1] = np.maximum(bands[2:] - bands[:-2], 0.0)
    low, high = centres < LOW, centres > HIGH
    return Onsets(rise.sum(1), rise[:, ~low & ~high].sum(1), rise[:, low].sum(1))


def _bands(window: int, rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """[bins, bands] weights of logarithmic bands, each at least one bin wide, and their centres in Hz."""
    low, high, count = BANDS
    edges = np.geomspace(low, min(high, rate / 2.1), count + 1)
    hertz = np.arange(window // 2 + 1) * rate / window
    weights = np.zeros((len(hertz), count))
    for band, (first, last) in enumerate(itertools.pairwise(edges)):
        inside = (hertz >= first) & (hertz < last)
        if not inside.any():
            inside[np.argmin(np.abs(hertz - (first + last) / 2))] = True
        weights[inside, band] = 1.0
    return weights, np.sqrt(edges[1:] * edges[:-1])
