"""Positions and lengths as musicians write them, read in this one place for every door, the command line and scripts.

=======================  =======================================================================
``384000``               samples (a whole number without a unit; in a length: seconds)
``12.5s``, ``12.5``      seconds
``800ms``                milliseconds
``1:03.250``             minutes and seconds; ``1:00:03`` with hours
``bar5``                 the beginning of bar 5, counted from 1
``bar5.3``               its third beat: a quarter in 4/4, an eighth in 6/8, 12/8 or 5/8
``bar5.3.2``             the second sixteenth of that beat
``8bars``, ``2beats``    that many bars or beats: a length, or a position counted from bar 1
=======================  =======================================================================

Bars and beats need the tempo (quarter notes a minute) or a tempo map.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.metre import Metre
from acestep.api.rounding import nearest_sample, samples
from acestep.api.sentences import quoted
from acestep.api.tempo_map import TempoMap

POSITION_FIELDS = frozenset({"start", "end", "span_start", "span_end", "bar_offset"})
"""Fields in samples that take a position as text too."""

LENGTH_FIELDS = frozenset({"duration", "length"})
"""Fields that take a length as text too: ``duration`` in seconds, ``length`` in samples."""

_SAMPLES = re.compile(r"[-+]?\d+")
_SECONDS = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)) ?(ms|s|sec)?", re.IGNORECASE)
_CLOCK = re.compile(r"([-+])?(?:(\d+):)?(\d+):([0-5]?\d(?:\.\d*)?)")
_BAR = re.compile(r"bar ?(-?\d+)(?:\.(\d+))?(?:\.(\d+))?", re.IGNORECASE)
_BARE_BAR = re.compile(r"\d+\.\d+\.\d+")
_COUNT = re.compile(r"(\d+(?:\.\d+)?) ?(bars?|beats?)", re.IGNORECASE)


class Position(msgspec.Struct, frozen=True):
    """A position or a length that was written: samples, or seconds, or a place in a bar, or so many bars or beats."""

    text: str
    samples: int | None = None
    seconds: float | None = None
    bar: tuple[int, int, int] | None = None
    """Bar, beat and sixteenth, each from 1."""
    amount: tuple[float, str] | None = None
    """A number of ``bars`` or ``beats``."""

    @property
    def musical(self) -> bool:
        """Whether it needs a tempo."""
        return self.bar is not None or self.amount is not None


def read_position(text: str, *, field: str = "start") -> Position:
    """A point in time. Raises `BadRequest` with a sentence that says what can be written."""
    plain = text.strip()
    if _SAMPLES.fullmatch(plain):
        return Position(text, samples=int(plain))
    if found := _BAR.fullmatch(plain):
        bar, beat, sixteenth = int(found[1]), int(found[2] or 1), int(found[3] or 1)
        if beat < 1 or sixteenth < 1:
            raise BadRequest(f"beats and sixteenths count from 1, so there is no {plain}", field=field)
        return Position(text, bar=(bar, beat, sixteenth))
    if _BARE_BAR.fullmatch(plain):
        raise BadRequest(f"{quoted(text)} is not a time; for bar, beat and sixteenth write bar{plain}", field=field)
    return read_length(text, field=field)


def read_length(text: str, *, field: str = "duration") -> Position:
    """A length; a bare number is seconds. Raises `BadRequest` with a sentence that says what can be written."""
    plain = text.strip()
    if found := _SECONDS.fullmatch(plain):
        return Position(text, seconds=float(found[1]) / (1000.0 if (found[2] or "").lower() == "ms" else 1.0))
    if found := _CLOCK.fullmatch(plain):
        sign = -1.0 if found[1] == "-" else 1.0
        return Position(text, seconds=sign * (int(found[2] or 0) * 3600.0 + int(found[3]) * 60.0 + float(found[4])))
    if found := _COUNT.fullmatch(plain):
        return Position(text, amount=(float(found[1]), "bars" if found[2].lower().startswith("bar") else "beats"))
    wanted = (
        "write 12.5s, 1:03.25, 8bars or 2beats"
        if field in LENGTH_FIELDS
        else "write 384000 (samples), 12.5s, 1:03.25, bar5, bar5.3 or bar5.3.2"
    )
    raise BadRequest(f"{quoted(text)} is not a time; {wanted}", field=field)


def read_field(name: str, text: str) -> Position:
    """The text of a field that takes positions or lengths. Raises `BadRequest` that names it."""
    return (read_length if name in LENGTH_FIELDS else read_position)(text, field=name)


class Ruler(NamedTuple):
    """What turns written positions into samples: the timeline's rate, and its tempo where one is known."""

    rate: int
    tempo: TempoMap | None = None

    def sample(self, position: Position, *, field: str = "start") -> int:
        """The sample of a position. Raises `BadRequest` without a tempo, or for a beat that its bar does not have."""
        if position.samples is not None:
            return position.samples
        if position.seconds is not None:
            return samples(position.seconds, self.rate)
        tempo = self._tempo(position, field)
        if position.amount is not None:
            return nearest_sample(self._after(tempo, tempo.bar_sample(1.0), position.amount))
        assert position.bar is not None
        bar, beat, sixteenth = position.bar
        first = min(1, int(tempo.stretches[0].bar))
        if bar < first:
            raise BadRequest(f"{quoted(position.text)}: bars count from {first}", field=field, limits={"min": first})
        metre = tempo.metre(bar)
        _check_beat(position.text, metre, beat, sixteenth, field)
        passed = (beat - 1) * metre.beat + (sixteenth - 1) * 0.25
        return nearest_sample(tempo.bar_sample(bar + passed / metre.bar))

    def length(self, position: Position, start: int = 0, *, field: str = "duration") -> int:
        """The samples of a length that begins at a sample. Raises `BadRequest` without a tempo."""
        if position.amount is not None:
            return nearest_sample(self._after(self._tempo(position, field), start, position.amount)) - start
        if position.bar is not None:
            raise BadRequest(f"{quoted(position.text)} is a position, not a length; write 8bars or 12.5s", field=field)
        return self.sample(position, field=field)

    def _tempo(self, position: Position, field: str) -> TempoMap:
        if self.tempo is None:
            raise BadRequest(f"{quoted(position.text)}: bars and beats need bpm or a tempo map", field=field)
        return self.tempo

    @staticmethod
    def _after(tempo: TempoMap, start: float, count: tuple[float, str]) -> float:
        number, unit = count
        bar = tempo.bar(start)
        if unit == "bars":
            return tempo.bar_sample(bar + number)
        return tempo.sample(tempo.quarter(start) + number * tempo.metre(bar).beat)


def _check_beat(text: str, metre: Metre, beat: int, sixteenth: int, field: str) -> None:
    if beat > metre.numerator:
        raise BadRequest(
            f"{quoted(text)}: a bar of {metre} has {metre.numerator} beats, so there is no beat {beat}",
            field=field,
            limits={"min": 1, "max": metre.numerator, "unit": "beats"},
        )
    most = max(1, int(metre.beat * 4))
    if sixteenth > most:
        raise BadRequest(
            f"{quoted(text)}: a beat of {metre} has {most} sixteenth{'s' if most > 1 else ''}, so there is no {sixteenth}",
            field=field,
            limits={"min": 1, "max": most, "unit": "sixteenths"},
        )
