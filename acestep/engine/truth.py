"""Whether a newly made part is what was asked for: tempo, place on the grid, key and level are heard and compared. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from acestep.analysis.beat import Beat, BeatFinder, pulse
from acestep.analysis.harmony import Keys, find_keys
from acestep.analysis.level import find_level
from acestep.api.metre import Metre

SHORTEST = 4.0
"""Seconds below which a part says too little of its tempo."""

LONGEST = 60.0
"""Seconds that are listened to."""

TEMPO = 0.01
"""Share by which a heard tempo may differ from the asked one."""

LEVELS = (1 / 3, 0.5, 2 / 3, 1.0, 4 / 3, 1.5, 2.0, 3.0)
"""Metrical levels at which the asked pulse may be heard: halves, doubles and threes of it are the same time."""

SPOKEN = {
    1 / 3: "a third of", 0.5: "half of", 2 / 3: "two thirds of", 4 / 3: "four thirds of", 1.5: "one and a half times",
    2.0: "double", 3.0: "three times",
}  # fmt: skip
"""What a level is of the asked tempo, for sentences."""

SPARSE = 0.8
"""Share of the regularity of half a tempo below which that tempo's own pulse is too thin: the part is felt in half-time."""

OFF = 0.06
"""Seconds by which beats may lie off the grid: what a musician calls loose."""

RIVAL = 0.6
"""Least share of the clearest tempo's regularity at which the asked one counts as heard too."""


@dataclass(frozen=True)
class Expected:
    """What a part should be: quarters a minute, seconds from its start to a beat of the grid, metre, key; none: not asked."""

    bpm: float | None = None
    beat: float | None = None
    metre: Metre = field(default_factory=Metre)
    key: str = ""
    source: str = "the grid"
    """What the beat is that of, for sentences."""


@dataclass(frozen=True)
class Verdict:
    """What was heard, and a sentence for everything that is not as asked. ``speed``: what the part would have to be played at
    to have the asked tempo exactly; 1 where that is not known."""

    heard: dict[str, Any]
    problems: tuple[str, ...] = ()
    speed: float = 1.0
    remarks: tuple[str, ...] = ()
    """Sentences about what is as asked and may surprise all the same."""

    @property
    def weight(self) -> float:
        """How far off the part is, to choose the best of several: the number of problems, then the error of the tempo."""
        return len(self.problems) + min(abs(self.speed - 1), 0.99)


def judge(sound: NDArray[np.float32], rate: int, expected: Expected) -> Verdict:
    """Listen to a part [channels, samples] and compare it with what was asked."""
    level = find_level(sound, rate)
    heard: dict[str, Any] = {"loudness": round(level.loudness, 1), "peak": round(level.peak, 1)}
    if level.silent:
        return Verdict(heard, (f"it is nearly silent ({level.loudness:.0f} LUFS)",))
    if sound.shape[-1] < SHORTEST * rate:
        return Verdict(heard)
    finder = BeatFinder(sound[..., : round(LONGEST * rate)], rate)
    remarks: list[str] = []
    problems = [*_tempo(finder, expected, heard, remarks), *_key(find_keys(finder.pitches), expected, heard)]
    speed = expected.bpm / heard["bpm"] if expected.bpm and "bpm" in heard and not problems else 1.0
    return Verdict(heard, tuple(problems), speed, tuple(remarks))


def _tempo(finder: BeatFinder, expected: Expected, heard: dict[str, Any], remarks: list[str]) -> list[str]:
    found = finder.find(None, expected.metre)
    if found is None or not found.clear:
        heard["beat"] = "none that is clear"
        return []
    if expected.bpm is None:
        heard |= {"bpm": round(found.bpm, 2)}
        return []
    at_asked = finder.find(expected.bpm, expected.metre)
    if at_asked is None or not (_same(found.bpm, expected.bpm) or at_asked.clarity > RIVAL * found.clarity):
        heard |= {"bpm": round(found.bpm, 2)}
        return [f"asked for {expected.bpm:g} bpm, {found.bpm:.1f} are heard"]
    heard |= {"bpm": round(at_asked.bpm, 3)}
    if abs(at_asked.bpm / expected.bpm - 1) > TEMPO:
        return [f"asked for {expected.bpm:g} bpm, {at_asked.bpm:.1f} are heard"]
    slower = finder.find(expected.bpm / 2, expected.metre)
    if slower is not None and at_asked.clarity < SPARSE * slower.clarity:
        remarks += _felt(slower.bpm, expected.bpm, heard)
    elif found.bpm > expected.bpm:
        remarks += _felt(found.bpm, expected.bpm, heard)
    return _phase(finder, at_asked, expected, heard)


def _felt(found: float, asked: float, heard: dict[str, Any]) -> list[str]:
    """That a part is on the grid and its pulse is felt at another level: half-time and its kin."""
    level = min(SPOKEN, key=lambda one: abs(found / (asked * one) - 1))
    if not _near(found, asked * level) or _near(found, asked):
        return []
    heard["felt"] = round(found, 2)
    return [f"asked for {asked:g} bpm; it is heard as {found:.0f}, {SPOKEN[level]} {asked:g}"]


def _same(heard: float, asked: float) -> bool:
    return any(_near(heard, asked * level) for level in LEVELS)


def _near(heard: float, asked: float) -> bool:
    return abs(heard / asked - 1) < 2 * TEMPO


def _phase(finder: BeatFinder, beat: Beat, expected: Expected, heard: dict[str, Any]) -> list[str]:
    """How far the beats lie off, at the tempo that was asked; the nearest beat counts."""
    if expected.beat is None or expected.bpm is None:
        return []
    period = pulse(expected.metre) * 60 / expected.bpm
    place = finder.bar(expected.bpm, expected.metre)
    off = (place - expected.beat + period / 2) % period - period / 2
    heard["off"] = round(off, 4)
    if abs(off) <= OFF:
        return []
    return [f"its beats come {abs(off) * 1000:.0f} ms {'after' if off > 0 else 'before'} those of {expected.source}"]


def _key(keys: Keys | None, expected: Expected, heard: dict[str, Any]) -> list[str]:
    if keys is None:
        return []
    heard["key"] = keys.name
    if not expected.key or keys.allow(expected.key):
        return []
    return [f"asked for {expected.key}, it sounds like {keys.name}"]
