"""Timesteps of a run: from a schedule or a list of one's own, and cut to a later start. No torch.

Times fall from 1 (noise) to 0 (data). They are rounded to float32 once, here, because a float32 ulp near 1 already shifts the
model's time embedding.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise

from acestep.api.errors import BadRequest
from acestep.api.limits import MAX_STEPS
from acestep.api.sampling import ScheduleSpec

SAME_TIME = 1e-6
"""Times nearer than this are one: a step between them would be lost in float32."""


def float32(value: float) -> float:
    """The nearest float32, as a Python number."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def schedule_times(schedule: ScheduleSpec, steps: int, shift: float) -> list[float]:
    """The ``steps + 1`` times of a schedule, checked: falling from at most 1 to exactly 0."""
    return checked([float(t) for t in schedule.times(steps, shift)], field="schedule")


def custom_times(timesteps: Sequence[float]) -> list[float]:
    """A user's list as times; a closing 0 may be left out. Raises `BadRequest` unless it falls inside (0, 1]."""
    times = [float(t) for t in timesteps]
    while len(times) > 1 and times[-1] == 0.0 and times[-2] == 0.0:
        times.pop()
    if not times or times[-1] != 0.0:
        times.append(0.0)
    return checked(times, field="timesteps")


def checked(times: list[float], *, field: str) -> list[float]:
    """The times in float32. Raises `BadRequest` for an order or range that no solver can follow."""
    limits = {"min": 0.0, "max": 1.0, "max_length": MAX_STEPS + 1}
    if not 2 <= len(times) <= MAX_STEPS + 1:
        raise BadRequest(f"{len(times) - 1} steps are outside 1 to {MAX_STEPS}", field=field, limits=limits)
    rounded = [float32(t) if t == t and abs(t) <= 1 else 2.0 for t in times]
    if rounded[0] > 1.0 or rounded[-1] != 0.0 or any(a <= b for a, b in pairwise(rounded)):
        raise BadRequest("timesteps fall strictly from at most 1 to 0", field=field, limits=limits)
    return rounded


def trained_start(t_start: float, trained: Sequence[float]) -> float:
    """The largest of the ``trained`` times that does not lie above ``t_start``; that itself where all do, or none are given.

    A start above the asked one would give up more of what is there than was allowed.
    """
    return max((t for t in trained if t <= t_start + SAME_TIME), default=t_start)


def truncate(times: Sequence[float], t_start: float, *, nearest: bool = False) -> list[float]:
    """The part of a run that begins at ``t_start``.

    The first time is ``t_start`` itself, or with ``nearest`` (the rule of the authors' own code) the time of the schedule
    closest to it, the first of two equally close ones. ``t_start`` of 1 or more leaves the run whole.
    """
    inner = [t for t in times if t > 0]
    if t_start >= inner[0]:
        return list(times)
    if t_start <= 0:
        raise BadRequest("the start time lies between 0 and 1", field="t_start", limits={"min": 0.0, "max": 1.0})
    if nearest:
        first = min(range(len(inner)), key=lambda k: abs(inner[k] - t_start))
        return list(times[first:])
    start = float32(t_start)
    return [start, *(t for t in times if t < start - SAME_TIME)]
