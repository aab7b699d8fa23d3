"""One job's progress: phases with weights, each divided into units of work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from acestep.worker.backend import JobContext

Tick = Callable[[int, int], None]

WEIGHTS = {"load": 1.0, "encode": 1.0, "denoise": 6.0, "decode": 2.0, "write": 0.3}
"""Shares of a job's time, roughly those of a turbo run on a GPU."""


class Meter:
    """Turns units of phases into `JobContext.tick` calls; the fraction never falls. Also keeps the time of each phase."""

    def __init__(self, context: JobContext, phases: list[str]) -> None:
        self._context = context
        self._total = sum(WEIGHTS[phase] for phase in phases) or 1.0
        self._done = 0.0

    def phase(self, kind: str, name: str = "", count: int = 1) -> Tick:
        """The tick of the next phase (or ``count`` of them at once), of one of the kinds in `WEIGHTS`, shown as ``name``."""
        begun, weight = self._done, WEIGHTS[kind] * count
        self._done += weight
        self._context.check()

        def tick(done: int, of: int) -> None:
            self._context.tick(name or kind, done, of, min(1.0, (begun + weight * done / max(of, 1)) / self._total))

        return tick


def part_of(tick: Tick, part: int, parts: int) -> Tick:
    """The tick of one of several equal parts that are done one after the other."""
    return lambda done, of: tick(part * of + done, parts * of)


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time of a block to a phase."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - begun, 4)
