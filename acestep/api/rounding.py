"""Whole numbers out of seconds, bars and other rates: halves go up, everywhere the same way."""

from __future__ import annotations

import math

HAIR = 1e-7
"""Samples that arithmetic with bars and tempos may leave a place short of the half that it means."""


def half_up(value: float) -> int:
    """The nearest whole number, a half up: ``floor(value + 0.5)``."""
    return math.floor(value + 0.5)


def samples(seconds: float, rate: int) -> int:
    """Seconds in samples, by the one rule that there is for it: ``floor(seconds * rate + 0.5)``."""
    return half_up(seconds * rate)


def nearest_sample(place: float) -> int:
    """The sample of a place that was worked out in bars and beats; a hair below a half counts as the half."""
    return half_up(place + HAIR)


def rescaled(count: int, rate: int, target: int) -> int:
    """Samples at one rate in samples at another, without a float on the way, so that hours stay exact."""
    return (2 * count * target + rate) // (2 * rate)
