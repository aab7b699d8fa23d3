"""Tempo and beat of a sound, from where things begin in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acestep.analysis.harmony import CHROMA_RATE, changes, chroma
from acestep.analysis.spectrum import Onsets, Sound, onsets
from acestep.api.metre import Metre

COMMON = Metre()

TEMPI = (40.0, 240.0)
"""Quarter notes a minute within which a tempo is looked for."""

USUAL = 120.0
SPREAD = 0.9
"""Where most music lies, and how far from it, in octaves: what decides between a tempo and its double."""

HARMONICS = {1.0: 1.0, 2.0: 0.7, 4.0: 0.5}
"""Weights of a tempo's own pulse, of its eighths and sixteenths, when its exact value is looked for."""

REPEATS = {0.5: 0.2, 1.0: 1.0, 2.0: 1.0, 4.0: 1.0, 8.0: 0.5}
"""Weights of the onsets' self-similarity after so many beats."""

NARROW = 0.04
"""How far from a known tempo its exact value may lie, as a share."""

DELAY = -0.003
"""Seconds by which onsets are seen too late (they are seen too early: a window meets a drum before it is centred on it)."""

STEP = 0.25
"""Frames between two places that are tried for a beat."""

HARMONY = 3.0
"""Weight of harmonies that change, among what tells a bar line; drums weigh 1."""

SHORTEST = 2.0
"""Seconds of sound below which nothing is said."""

WB = 1.0
WH = 1.0

CLEAR = 0.08
"""Least self-similarity at which a sound has a beat at all."""


@dataclass(frozen=True)
class Beat:
    """``bpm`` quarters a minute; ``bar`` is the time of a bar line in seconds from the sound's start, within the first bar.

    ``clarity`` is 0 for noise or silence and about 1 for a metronome.
    """

    bpm: float
    bar: float
    clarity: float

    @property
    def clear(self) -> bool:
        """Whether there is a beat that can be trusted."""
        return self.clarity >= CLEAR


class BeatFinder:
    """A sound, listened to for its beat: mono or stereo, at any rate."""

    def __init__(self, sound: Sound, rate: int) -> None:
        self.heard = onsets(sound, rate)
        self.pitches = chroma(sound, rate)
        self._strength = _centred(self.heard.full) + _centred(self.heard.low)
        self._repeats = _self_similarity(self._strength)

    def find(self, near: float | None = None, metre: Metre = COMMON) -> Beat | None:
        """The beat; ``near``: a tempo that is known to within a few percent. None for less than four beats, and for silence."""
        if self.heard.seconds < SHORTEST or not self._strength.any():
            return None
        rough = near or self._rough_tempo()
        if self.heard.seconds * rough / 60 < 4:
            return None
        bpm = exact_tempo(self._strength, self.heard.rate, rough)
        return Beat(bpm, self.bar(bpm, metre), self.clarity(bpm))

    def clarity(self, bpm: float) -> float:
        """How regularly things begin at a tempo: the onsets' self-similarity after 1, 2 and 4 beats, at least 0."""
        return max(0.0, self.similarity(bpm, (1, 2, 4)))

    def similarity(self, bpm: float, beats: Sequence[float]) -> float:
        """The onsets' mean self-similarity after so many beats of a tempo, -1 to 1."""
        lags = [60 * self.heard.rate / bpm * beat for beat in beats]
        frames = np.arange(len(self._repeats))
        return float(
            np.mean([float(np.interp(lag, frames, self._repeats)) for lag in lags if lag < len(frames)] or [0.0])
        )

    def bar(self, bpm: float, metre: Metre = COMMON) -> float:
        """Seconds from the sound's start to its first bar line at a tempo: where the beats of a bar lie best.

        First the places within a beat at which most begins, then, for each, which of a bar's beats is the one: the kick and the
        bass speak there, the snare on the others, and harmonies change with it.
        """
        heard, beat = self.heard, pulse(metre) * 60 * self.heard.rate / bpm
        places = np.arange(0, beat, STEP)
        scores = comb(heard.middle, beat, places) + comb(heard.low, beat, places)
        beats = max(1, round(metre.bar / pulse(metre)))
        turns = np.repeat(changes(self.pitches, beat / heard.rate), round(heard.rate / CHROMA_RATE))
        best, found = -np.inf, 0.0
        for top in _tops(scores):
            for one in range(beats):
                place = top * STEP + one * beat
                fit = scores[int(top) % len(scores)] + _bar_fit(heard, beat, beats, place)
                if len(turns) > beat * beats:
                    fit += HARMONY * float(comb(turns, beat * beats, np.array([place]))[0])
                if fit > best:
                    best, found = fit, place
        return float((found / heard.rate - DELAY) % (beats * beat / heard.rate))

    def _rough_tempo(self) -> float:
        tempi = np.geomspace(*TEMPI, 360)
        lags = np.arange(len(self._repeats))
        period = 60.0 * self.heard.rate / tempi
        scores = sum(w * np.interp(period * beats, lags, self._repeats, right=0.0) for beats, w in REPEATS.items())
        scores = (scores + 0.2) * np.exp(-0.5 * (np.log2(tempi / USUAL) / SPREAD) ** 2)
        return float(tempi[int(np.argmax(scores))])


def pulse(metre: Metre) -> float:
    """Quarters between two beats as they are felt: a dotted quarter in 6/8 and its kin, else a quarter."""
    return 1.5 if metre.compound and metre.denominator == 8 else 1.0


def exact_tempo(strength: NDArray[np.float64], rate: float, near: float, within: float = NARROW) -> float:
    """The tempo near a rough one at which beats, eighths and sixteenths fit best over the whole length."""
    step = min(0.002, 0.1 / max(1.0, len(strength) / rate * near / 60))
    tempi = near * (1 + np.arange(-within, within + step / 2, step))
    fits = np.zeros(len(tempi))
    for multiple, weight in HARMONICS.items():
        fits += weight * _pulse(strength, rate, tempi * multiple)
    return float(tempi[0] + _peak(fits) * (tempi[1] - tempi[0]))


def _bar_fit(heard: Onsets, beat: float, beats: int, place: float) -> float:
    """How well bars that begin at a place explain low and middle onsets: the one is low, the backbeats are not."""
    grid = place + np.arange(beats) * beat
    low, middle = comb(heard.low, beat * beats, grid), comb(heard.middle, beat * beats, grid)
    low, middle = low - low.mean(), middle - middle.mean()
    back = middle[1::2].mean() if beats % 2 == 0 else 0.0
    return float(low[0] + 0.5 * back)


def comb(strength: NDArray[np.float64], period: float, places: NDArray[np.floating]) -> NDArray[np.float64]:
    """For each place (frames), the mean of what begins there and every period after it, relative to the whole."""
    grid = places[:, None] + np.arange(max(1, int(len(strength) / period))) * period
    smooth = _smooth(strength)
    return np.interp(grid, np.arange(len(smooth)), smooth, right=0.0).mean(1) / (float(np.mean(strength)) or 1.0)


def _tops(scores: NDArray[np.float64], most: int = 4) -> NDArray[np.float64]:
    """The highest peaks of a circle of scores, with fractions."""
    tops = np.flatnonzero((scores >= np.roll(scores, 1)) & (scores > np.roll(scores, -1)))
    if not len(tops):
        return np.zeros(1)
    tops = tops[np.argsort(scores[tops])[::-1][:most]]
    return np.array([top + _bend(scores[top - 1], scores[top], scores[(top + 1) % len(scores)]) for top in tops])


def _self_similarity(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised autocorrelation by lag in frames, of the smoothed onsets."""
    smooth = _smooth(strength, 4)
    count = len(smooth)
    full = np.fft.irfft(np.abs(np.fft.rfft(smooth, 2 * count)) ** 2)[:count]
    return full / (full[0] + 1e-12) * count / np.maximum(count - np.arange(count), 1)


def _pulse(strength: NDArray[np.float64], rate: float, tempi: NDArray[np.float64]) -> NDArray[np.float64]:
    """How strongly onsets come at each tempo: the size of their Fourier sum."""
    time = np.arange(len(strength)) / rate
    taper = np.hanning(len(strength) + 2)[1:-1] ** 0.5
    return np.abs(np.exp(-2j * np.pi * tempi[:, None] / 60 * time) @ (strength * taper))


def _centred(strength: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = float(np.std(strength))
    return (strength - np.mean(strength)) / spread if spread > 1e-9 else np.zeros_like(strength)


def _smooth(strength: NDArray[np.float64], frames: int = 2) -> NDArray[np.float64]:
    """Blurred by a triangle of so many frames a side."""
    kernel = np.bartlett(2 * frames + 3)[1:-1]
    return np.convolve(strength, kernel / kernel.sum(), "same")


def _peak(values: NDArray[np.float64]) -> float:
    """The index of the largest value, with its fraction."""
    top = int(np.argmax(values))
    return top + _bend(*values[top - 1 : top + 2]) if 0 < top < len(values) - 1 else float(top)


def _bend(left: float, top: float, right: float) -> float:
    """Where between three neighbours a parabola through them is highest, counted from the middle one."""
    bend = left - 2 * top + right
    return 0.5 * (left - right) / bend if bend < 0 else 0.0
