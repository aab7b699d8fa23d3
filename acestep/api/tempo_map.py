"""The time of a song: a tempo map as a DAW knows it, from samples to bars and quarter notes and back. Pure arithmetic."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.metre import Metre, parse_metre
from acestep.api.schema import Request, param

MAP_BPM_RANGE = (10.0, 1000.0)
"""Quarter notes a minute that a tempo map may hold: what DAWs allow. The model's own range is narrower."""

MAX_POINTS = 4096
"""Points of a map: one a beat over half an hour at 136 bpm."""

EDGE = 1e-6
"""Bars: what is nearer to a bar line than this lies on it."""


class TempoPoint(Request):
    """Tempo, metre and bar from a sample on, up to the next point."""

    sample: Annotated[int, param("Where this point is, in samples of the source at its own rate.", unit="samples")]
    bpm: Annotated[
        float, param("Quarter notes per minute, in every metre.", unit="bpm", ge=MAP_BPM_RANGE[0], le=MAP_BPM_RANGE[1])
    ]
    metre: Annotated[str, param("Time signature; empty: as before (at first 4/4).", max_length=8)] = ""
    bar: (
        Annotated[
            float,
            param(
                "Number of the bar at this point, with a fraction inside a bar; none: counted on from the point "
                "before (the first is 1)."
            ),
        ]
        | None
    ) = None


class Stretch(NamedTuple):
    """A point with what follows from those before it: quarters since the first point, and the bar."""

    sample: float
    bpm: float
    metre: Metre
    quarter: float
    bar: float


class TempoMap(msgspec.Struct, frozen=True):
    """Piecewise constant tempo and metre over a timeline of ``rate`` samples a second.

    Before the first point its tempo and metre hold too, so the map reaches before the file. Bars count from 1.
    """

    stretches: tuple[Stretch, ...]
    rate: int = 48_000

    @classmethod
    def of(cls, points: Sequence[TempoPoint], rate: int) -> TempoMap:
        """The map that points describe. Raises `BadRequest` that names the point."""
        if not 1 <= len(points) <= MAX_POINTS:
            raise BadRequest(
                f"a tempo map has 1 to {MAX_POINTS} points", field="tempo_map", limits={"max_length": MAX_POINTS}
            )
        found: list[Stretch] = []
        for index, point in enumerate(points):
            found.append(_stretch(point, found[-1] if found else None, index, rate))
        return cls(tuple(found), rate)

    @classmethod
    def steady(cls, bpm: float, rate: int = 48_000, downbeat: float = 0.0, metre: Metre | None = None) -> TempoMap:
        """One tempo and metre throughout; bar 1 begins at sample ``downbeat``."""
        return cls((Stretch(downbeat, float(bpm), metre or Metre(), 0.0, 1.0),), rate)

    def quarter(self, sample: float) -> float:
        """Quarter notes from the first point to a sample; negative before it."""
        stretch = self._at("sample", sample)
        return stretch.quarter + (sample - stretch.sample) * stretch.bpm / (60.0 * self.rate)

    def sample(self, quarter: float) -> float:
        """The inverse of `quarter`: a sample, not rounded."""
        stretch = self._at("quarter", quarter)
        return stretch.sample + (quarter - stretch.quarter) * 60.0 * self.rate / stretch.bpm

    def bar(self, sample: float) -> float:
        """Which bar a sample lies in, from 1, with the fraction of the bar that has passed."""
        stretch = self._at("sample", sample)
        return stretch.bar + (self.quarter(sample) - stretch.quarter) / stretch.metre.bar

    def bar_sample(self, bar: float) -> float:
        """Where a bar begins (a fraction: inside it), in samples, not rounded."""
        stretch = self._at("bar", bar)
        return self.sample(stretch.quarter + (bar - stretch.bar) * stretch.metre.bar)

    def metre(self, bar: float) -> Metre:
        """The metre of a bar."""
        return self._at("bar", bar).metre

    def bpm(self, first: float, last: float) -> float:
        """Mean tempo between two samples, in quarter notes a minute."""
        if last <= first:
            return self._at("sample", first).bpm
        return (self.quarter(last) - self.quarter(first)) * 60.0 * self.rate / (last - first)

    def moved(self, origin: float, rate: int) -> TempoMap:
        """The same time on a timeline whose sample 0 is ``origin`` of this one, at another rate."""
        shifted = (one._replace(sample=(one.sample - origin) * rate / self.rate) for one in self.stretches)
        return TempoMap(tuple(shifted), rate)

    def faster(self, speed: float) -> TempoMap:
        """The same music played faster: every tempo times ``speed``, all times from sample 0 divided by it."""
        if speed == 1.0:
            return self
        changed = (one._replace(sample=one.sample / speed, bpm=one.bpm * speed) for one in self.stretches)
        return TempoMap(tuple(changed), self.rate)

    def _at(self, name: str, place: float) -> Stretch:
        """The stretch in which a place lies, told by one of its ascending fields."""
        eps = EDGE if name == "bar" else 0.0
        index = bisect_right(self.stretches, place + eps, key=lambda stretch: getattr(stretch, name))
        return self.stretches[max(0, index - 1)]


def _stretch(point: TempoPoint, before: Stretch | None, index: int, rate: int) -> Stretch:
    metre = parse_metre(point.metre, field=f"tempo_map[{index}].metre") if point.metre else None
    if before is None:
        return Stretch(point.sample, point.bpm, metre or Metre(), 0.0, 1.0 if point.bar is None else point.bar)
    if point.sample <= before.sample:
        raise BadRequest(
            f"point {index} of the tempo map lies at sample {point.sample}, not after the one before it",
            field=f"tempo_map[{index}].sample",
        )
    quarters = (point.sample - before.sample) * before.bpm / (60.0 * rate)
    counted = before.bar + quarters / before.metre.bar
    if point.bar is not None and point.bar <= before.bar:
        raise BadRequest(
            f"point {index} of the tempo map is in bar {point.bar:g}, not after bar {before.bar:g} of the one before it",
            field=f"tempo_map[{index}].bar",
        )
    bar = counted if point.bar is None else point.bar
    if point.bar is None and metre not in (None, before.metre):
        bar = math.ceil(counted - 1e-3)  # a new metre begins a bar, as in every DAW; the one before it is cut short
    return Stretch(point.sample, point.bpm, metre or before.metre, before.quarter + quarters, bar)
