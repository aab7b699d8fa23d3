"""Positions and lengths as people type them: samples, seconds, clock time, or bars and beats.

====================  =======================================================
``384000``            samples (an integer without a unit)
``12.5s``, ``12.5``   seconds
``800ms``             milliseconds
``1:03.250``          minutes and seconds; ``1:00:03`` with hours
``bar5``, ``bar5.3``  the beginning of bar 5, of its third beat (from 1; needs a tempo)
``8bars``, ``2beats`` that many bars or beats as a length (needs a tempo)
====================  =======================================================
"""

from __future__ import annotations

import re
from typing import NamedTuple

_SAMPLES = re.compile(r"[-+]?\d+")
_SECONDS = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(ms|s|sec)?", re.IGNORECASE)
_CLOCK = re.compile(r"([-+])?(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d*)?)")
_BAR = re.compile(r"bar\s*(\d+)(?:\.(\d+(?:\.\d+)?))?", re.IGNORECASE)
_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(bars?|beats?)", re.IGNORECASE)


class Tempo(NamedTuple):
    """What turns bars into seconds."""

    bpm: float | None
    """Quarter notes per minute; none: not known."""
    beats: int = 4
    """Beats in a bar."""

    def seconds(self, beats: float) -> float:
        """The time that many beats take. Raises `ValueError` without a tempo."""
        if not self.bpm:
            raise ValueError("bars and beats need --bpm")
        return beats * 60.0 / self.bpm


def parse_position(text: str, tempo: Tempo) -> int | float:
    """A point in time: an integer is samples, a float is seconds. Raises `ValueError` with a sentence."""
    text = text.strip()
    if _SAMPLES.fullmatch(text):
        return int(text)
    found = _BAR.fullmatch(text)
    if found:
        bar, beat = int(found[1]), float(found[2] or 1)
        if bar < 1 or beat < 1:
            raise ValueError("bars and beats count from 1")
        return tempo.seconds((bar - 1) * tempo.beats + beat - 1)
    return parse_length(text, tempo)


def parse_length(text: str, tempo: Tempo) -> float:
    """A length (or a time) in seconds. Raises `ValueError` with a sentence."""
    text = text.strip()
    if found := _SECONDS.fullmatch(text):
        return float(found[1]) / (1000.0 if (found[2] or "").lower() == "ms" else 1.0)
    if found := _CLOCK.fullmatch(text):
        sign = -1.0 if found[1] == "-" else 1.0
        return sign * (int(found[2] or 0) * 3600.0 + int(found[3]) * 60.0 + float(found[4]))
    if found := _COUNT.fullmatch(text):
        unit = tempo.beats if found[2].lower().startswith("bar") else 1
        return tempo.seconds(float(found[1]) * unit)
    raise ValueError(f"{text!r} is no time; write 384000 (samples), 12.5s, 1:03.25, bar5 or 8bars")
