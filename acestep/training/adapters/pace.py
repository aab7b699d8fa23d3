"""How fast something goes, and how long it will take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import msgspec

REMEMBERED = 20
"""Units over whose time the rate is taken: the machine's mood of now, not of an hour ago."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What is being done, how much of it, at which rate (units a second; 0: not known yet), and seconds until it is done."""

    stage: str
    done: int
    total: int
    fresh: int = 0
    """Of what is done: units that were not found done already."""
    rate: float = 0.0
    eta: float | None = None
    values: dict[str, float] = {}
    """Figures that belong to it: ``loss``, ``epoch`` ..."""

    @property
    def fraction(self) -> float:
        return self.done / self.total if self.total else 1.0


Report = Callable[[Progress], None]
"""Called after every unit; may raise to stop."""


class Pace:
    """Counts the units of a stage. What was found done already costs no time and does not count for the rate."""

    def __init__(self, stage: str, total: int, report: Report, clock: Callable[[], float] = time.monotonic) -> None:
        self._stage, self._total, self._report, self._clock = stage, total, report, clock
        self._times: deque[float] = deque([clock()], REMEMBERED + 1)
        self.done = 0
        self._fresh = 0

    def skip(self, units: int = 1) -> None:
        """Units that were done before."""
        self.done += units
        self._times[-1] = self._clock()
        self._tell({})

    def advance(self, **values: float) -> None:
        """One more unit is done."""
        self.done += 1
        self._fresh += 1
        self._times.append(self._clock())
        self._tell(values)

    def _tell(self, values: dict[str, float]) -> None:
        passed = self._times[-1] - self._times[0]
        rate = (len(self._times) - 1) / passed if passed > 0 else 0.0
        eta = (self._total - self.done) / rate if rate else None
        self._report(
            Progress(
                stage=self._stage,
                done=self.done,
                total=self._total,
                fresh=self._fresh,
                rate=rate,
                eta=eta,
                values=values,
            )
        )
