"""Musical time: beats and bars to samples, and the next place where something may start.

A timeline is a tempo that runs from a known moment. Positions are counted in quarter-note beats from the start of the song;
clock times are seconds on the machine's monotonic clock. Pure arithmetic, no clock is read here.
"""

from __future__ import annotations

import math
import re
from enum import IntEnum

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.metre import Metre
from acestep.api.rounding import samples


class TempoSource(IntEnum):
    """Where a tempo comes from; the lower value wins when several are known."""

    REQUEST = 0
    HOST = 1
    MIDI_CLOCK = 2
    TAP = 3
    DEFAULT = 4


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A running tempo: at clock time ``anchor`` (s) the song stood at ``beat``, and it runs at ``bpm`` quarter notes a minute."""

    bpm: float = 120.0
    anchor: float = 0.0
    beat: float = 0.0
    metre: Metre = Metre()
    running: bool = True
    source: TempoSource = TempoSource.DEFAULT

    def beat_at(self, clock: float) -> float:
        """The song position in beats at a clock time; a stopped song stands still."""
        return self.beat + ((clock - self.anchor) * self.bpm / 60 if self.running else 0.0)

    def clock_at(self, beat: float) -> float:
        """The clock time (s) at which a running song reaches a beat."""
        return self.anchor + (beat - self.beat) * 60 / self.bpm

    def frames(self, beats: float, rate: int) -> int:
        """Samples that a number of beats lasts, rounded once."""
        return samples(beats * 60 / self.bpm, rate)

    def boundary(self, clock: float, grid: Grid) -> float:
        """The first beat position on the grid that lies at or after a clock time."""
        step = grid.beats(self.metre)
        here = self.beat_at(clock)
        return here if step == 0 else math.ceil(here / step - 1e-9) * step

    def differs(self, other: Timeline, clock: float, *, seconds: float = 0.0005) -> bool:
        """Whether another timeline says something else about the time from a clock time (s) on: another tempo, metre or
        state, or a position further off than a tolerance."""
        apart = abs(self.beat_at(clock) - other.beat_at(clock)) * 60 / self.bpm
        return (self.running, self.metre, self.source) != (other.running, other.metre, other.source) or (
            abs(self.bpm - other.bpm) > self.bpm * 1e-5 or apart > seconds
        )


class Grid(msgspec.Struct, frozen=True):
    """Where an action may happen: at once, on the next beat, or every so many bars."""

    bars: int = 0
    on_beat: bool = False

    def beats(self, metre: Metre) -> float:
        """Distance of the grid lines in beats; 0 means no grid."""
        return self.bars * metre.bar if self.bars else (1.0 if self.on_beat else 0.0)


_BARS = re.compile(r"([1-9]\d{0,2}) ?bars?")


def parse_grid(text: str, *, field: str = "quantise") -> Grid:
    """``now``, ``beat``, ``bar`` or ``N bars``. Raises `BadRequest`."""
    plain = text.strip().lower()
    if plain in ("", "now"):
        return Grid()
    if plain == "beat":
        return Grid(on_beat=True)
    if plain == "bar":
        return Grid(bars=1)
    found = _BARS.fullmatch(plain)
    if found is None:
        raise BadRequest(
            f"{text!r} is not a grid: now, beat, bar or '4 bars'",
            field=field,
            limits={"choices": ["now", "beat", "bar", "N bars"]},
        )
    return Grid(bars=int(found.group(1)))


class TapTempo:
    """Tempo and beats from taps: the mean interval of the last few, begun anew after a pause of two seconds.

    The first tap of a series is the first beat of a bar, so four taps are a count-in.
    """

    def __init__(self, keep: int = 8, pause: float = 2.0) -> None:
        self._taps: list[float] = []
        self._keep = keep
        self._pause = pause
        self.beat = -1
        """The beat of the last tap, counted from the first of the series."""

    def tap(self, clock: float) -> float | None:
        """Note a tap at a clock time (s); returns the tempo in bpm once two taps are known."""
        if self._taps and clock - self._taps[-1] > self._pause:
            self._taps.clear()
        self.beat = self.beat + 1 if self._taps else 0
        self._taps = [*self._taps, clock][-self._keep :]
        if len(self._taps) < 2:
            return None
        return 60 * (len(self._taps) - 1) / (self._taps[-1] - self._taps[0])


def choose(timelines: list[Timeline]) -> Timeline:
    """The timeline whose source ranks first; the default one when nothing is known."""
    return min(timelines, key=lambda timeline: timeline.source, default=Timeline())
