"""Fractional tempi: the model knows whole beats per minute, so a new part is resampled by the small rest. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from acestep.api.rounding import half_up

MOST = 0.005
"""Largest change of speed; it moves the pitch by at most 9 cents."""

SAME = 1e-6
"""Share of a tempo below which a fraction is rounding in a host: under a millisecond in ten minutes."""


@dataclass(frozen=True)
class Conform:
    """How much faster than rendered a part is played, and the sentence about it."""

    speed: float = 1.0
    note: str = ""

    def model_length(self, length: int) -> int:
        """Samples to render for ``length`` samples of result."""
        return math.ceil(length * self.speed)


def unconformed(bpm: float | None) -> str:
    """The sentence about a fractional tempo that later stages keep from being conformed."""
    seen = half_up(bpm or 0)
    return f"the model works in whole beats per minute: {seen} instead of {bpm:g}, as later stages work on the part"


def conform_tempo(bpm: float | None) -> Conform:
    """The correction for a wished tempo: none for whole numbers, and none beyond half a percent, which says so."""
    if bpm is None or abs(bpm - round(bpm)) < SAME * bpm:
        return Conform()
    seen = half_up(bpm)
    speed = bpm / seen
    if abs(speed - 1) > MOST:
        return Conform(
            note=f"the model works in whole beats per minute: {seen} instead of {bpm:g}, too far apart to conform"
        )
    cents = 1200 * math.log2(speed)
    return Conform(speed, f"rendered at {seen} bpm and conformed to {bpm:g} bpm: the pitch moves by {cents:+.1f} cents")
