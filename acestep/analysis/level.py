"""How loud a sound is: peak, RMS and loudness as ITU-R BS.1770-4 measures it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from acestep.analysis.spectrum import Sound

FLOOR = -120.0
"""Decibels that stand for silence."""

PIECE = 8
"""Seconds that are filtered at once: what a processor keeps near, and far longer than the filters ring."""

QUIET = -50.0
"""LUFS below which a result is told to be nearly silent."""


@dataclass(frozen=True)
class Level:
    """Sample peak and RMS in dB full scale, integrated loudness in LUFS."""

    peak: float
    rms: float
    loudness: float

    @property
    def silent(self) -> bool:
        """Whether hardly anything can be heard."""
        return self.loudness < QUIET


def find_level(sound: Sound, rate: int) -> Level:
    """The levels of a sound [channels, samples] or [samples]."""
    lines = np.atleast_2d(np.asarray(sound, np.float64))
    peak = float(np.abs(lines).max(initial=0.0))
    return Level(
        _decibels(peak**2), _decibels(float(np.mean(np.square(lines))) if lines.size else 0.0), _loudness(lines, rate)
    )


def _loudness(lines: NDArray[np.float64], rate: int) -> float:
    """Gated loudness: blocks of 400 ms every 100 ms, those above -70 LUFS and within 10 LU of their mean."""
    weighted = np.concatenate(
        [_weighted(lines[:, at : at + PIECE * rate], rate) for at in range(0, lines.shape[1], PIECE * rate)]
        or [lines[:0]],
        1,
    )
    step = max(1, rate // 10)
    steps = np.square(weighted[:, : weighted.shape[1] // step * step]).reshape(len(lines), -1, step).mean(2).sum(0)
    if len(steps) < 4:
        power = float(np.square(weighted).mean(1).sum()) if weighted.size else 0.0
        return _decibels(power) - 0.691 if power else FLOOR
    blocks = np.convolve(steps, np.full(4, 0.25), "valid")
    loud = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if not len(loud):
        return FLOOR
    return _decibels(float(loud[loud > loud.mean() / 10].mean())) - 0.691


def _weighted(lines: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """K-weighted: a shelf of 4 dB above 1.7 kHz and a high-pass at 38 Hz, as the standard's two filters, in the spectrum."""
    count = lines.shape[1]
    return np.fft.irfft(np.fft.rfft(lines, axis=1) * _response(rate, count), count, axis=1) if count > 1 else lines


@lru_cache(maxsize=4)
def _response(rate: int, count: int) -> NDArray[np.complex128]:
    """Of both filters, at the frequencies of so many samples."""
    z = np.exp(-2j * np.pi * np.arange(count // 2 + 1) / count)
    return _shelf(rate, z) * _highpass(rate, z)


def _shelf(rate: int, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    gain, quality, corner = 3.999843853973347, 0.7071752369554196, 1681.974450955533
    k = np.tan(np.pi * corner / rate)
    high = 10 ** (gain / 20)
    middle = high**0.4996667741545416
    top = high + middle * k / quality + k * k, 2 * (k * k - high), high - middle * k / quality + k * k
    bottom = 1 + k / quality + k * k, 2 * (k * k - 1), 1 - k / quality + k * k
    return _ratio(top, bottom, z)


def _highpass(rate: int, z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    quality, corner = 0.5003270373238773, 38.13547087602444
    k = np.tan(np.pi * corner / rate)
    norm = 1 + k / quality + k * k
    return _ratio((1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / norm, (1 - k / quality + k * k) / norm), z)


def _ratio(top: tuple[float, ...], bottom: tuple[float, ...], z: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return (top[0] + top[1] * z + top[2] * z * z) / (bottom[0] + bottom[1] * z + bottom[2] * z * z)


def _decibels(power: float) -> float:
    return max(FLOOR, 10 * float(np.log10(power))) if power > 0 else FLOOR
