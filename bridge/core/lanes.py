"""Where jobs run: one lane for each device's worker, or for one of the daemon's own hands. Each carries one job at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

from bridge.core.executor import Executor
from bridge.core.records import JobRecord, Needs


class Lane:
    """One job at a time. Without an executor the daemon itself does the work."""

    def __init__(self, executor: Executor | None = None) -> None:
        self.executor = executor
        self.job: JobRecord | None = None
        self.way_wanted = False
        """Whether its job was asked to make way."""

    @property
    def name(self) -> str:
        """The device; empty in the daemon."""
        return "" if self.executor is None else self.executor.device.name

    @property
    def ready(self) -> bool:
        """Whether it can take a job when it has none."""
        return self.executor is None or self.executor.ready

    @property
    def free(self) -> bool:
        """Whether it can take a job now."""
        return self.job is None and self.ready

    @property
    def gone(self) -> str:
        """A sentence while its device is not there."""
        return "" if self.executor is None else self.executor.gone

    def is_meant_by(self, asked: str) -> bool:
        """Whether a job that asks for a device (empty: any) may run here."""
        return self.executor is None or self.executor.device.is_meant_by(asked)

    def may_do(self, needs: Needs) -> bool:
        """Whether a job with such needs may run here: its device is meant, and the folders that it works on are those here."""
        far = self.executor is not None and self.executor.device.far
        return self.is_meant_by(needs.device) and not (needs.at_home and far)

    def has(self, needs: Needs) -> bool:
        """Whether the models are on the disk there, as far as that is known, and fit on the device."""
        return self.has_room(needs.weights) and not (self.executor is not None and self.executor.lacks(needs.models))

    def has_room(self, weights: int) -> bool:
        """Whether weights of so many bytes fit on the device."""
        room = None if self.executor is None else self.executor.room
        return room is None or weights <= room

    def holds(self, models: tuple[str, ...]) -> bool:
        """Whether these models are open here."""
        return self.executor is not None and self.executor.holds(models)

    def row(self) -> dict[str, Any]:
        """The device, its worker and its job, for status."""
        facts = {} if self.executor is None else self.executor.facts()
        return {**facts, "job": "" if self.job is None else self.job.id}


class Placing(NamedTuple):
    """A job and the lane that takes it."""

    job: JobRecord
    lane: Lane


def suits(lane: Lane, needs: Needs, lanes: list[Lane]) -> bool:
    """Whether a lane may ever take such a job: its device is meant, and has the models and room for them, unless none of those
    meant has."""
    if not lane.may_do(needs) or lane.gone:
        return False
    return lane.has(needs) or not any(other.has(needs) for other in lanes if other.may_do(needs) and not other.gone)


def best_lane(lanes: list[Lane], job: JobRecord) -> Lane:
    """Of several, the one that has the job's models open, else where it ran before and not only planned, else the first."""
    before = "" if job.planned else job.device
    return min(lanes, key=lambda lane: (not lane.holds(job.needs.models), lane.name != before))
