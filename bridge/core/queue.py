"""The order in which waiting jobs run: priorities, and a turn for every client. Pure, in memory, no clock of its own.

A client's own jobs run by priority, then in order of arrival. Between clients the higher priority goes first, and at the same level
the client that was served longest ago. A client that waits gains a level every `AGEING` seconds, so no flood of urgent jobs can
keep another client from its turn forever. Jobs that step aside stand behind all others.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from acestep.api.errors import Busy
from bridge.core.active_jobs import Share
from bridge.core.records import JobRecord, Needs

Fits = Callable[[Needs], bool]
"""Whether jobs with such needs can run now."""

AGEING = 20.0
"""Seconds of waiting that are worth one level of priority; the whole range (20 levels) is bridged in under seven minutes."""


MOST_PRIORITY = 10
"""The highest priority that a job can have."""


class QueueBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What may wait at most: jobs in all, jobs of one client (running ones included), bytes of one client's requests."""

    jobs: int
    jobs_per_client: int
    bytes_per_client: int


class _Line:
    """The waiting jobs of one client, by priority."""

    def __init__(self, now: float) -> None:
        self.levels: dict[int, dict[str, JobRecord]] = {}
        self.needs: Counter[tuple[Needs, bool]] = Counter()
        """How many ask for what, and step aside or not."""
        self.waiting_since = now
        self.served = 0

    def head(self) -> JobRecord:
        return next(iter(self.levels[max(self.levels)].values()))

    def first(self, fits: Fits) -> JobRecord | None:
        """The first job whose needs fit. Jobs are looked at only where there is one."""
        fitting = {needs for needs, _ in self.needs if fits(needs)}
        if not fitting:
            return None
        levels = (self.levels[level] for level in sorted(self.levels, reverse=True))
        return next(job for waiting in levels for job in waiting.values() if job.needs in fitting)

    def waited(self, now: float) -> float:
        """What waiting adds to the priority, in whole levels."""
        return max(now - self.waiting_since, 0.0) // AGEING

    def add(self, job: JobRecord) -> None:
        waiting = self.levels.setdefault(job.level, {})
        waiting[job.id] = job
        if job.planned is not None:  # it comes back from the device that planned it, and has lost no turn by that
            in_order = sorted(waiting.values(), key=lambda one: one.place or float(one.number))
            self.levels[job.level] = {one.id: one for one in in_order}
        self.needs[job.needs, job.steps_aside] += 1

    def remove(self, job: JobRecord) -> None:
        waiting = self.levels[job.level]
        del waiting[job.id]
        if not waiting:
            del self.levels[job.level]
        self.needs[job.needs, job.steps_aside] -= 1
        if not self.needs[job.needs, job.steps_aside]:
            del self.needs[job.needs, job.steps_aside]


class _Rivals(NamedTuple):
    """What stands between a client's jobs of one level and the worker."""

    higher: int
    """Jobs at higher levels, whoever's they are."""
    others: list[tuple[int, int]]
    """Of every other client at this level: how many jobs wait, and 1 where its turn comes first."""

    def place(self, ahead: int) -> int:
        """The position, from 1, of the job behind ``ahead`` of its own client's; other clients get one turn a round."""
        return 1 + ahead + self.higher + sum(min(waiting, ahead + first) for waiting, first in self.others)


class FairQueue:
    """Waiting jobs of many clients."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._served: dict[str, int] = {}
        self._turn = 0
        self._jobs: dict[str, JobRecord] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job: str) -> bool:
        return job in self._jobs

    def __iter__(self) -> Iterator[JobRecord]:
        return iter(list(self._jobs.values()))

    def clients(self) -> Counter[str]:
        """How many jobs of each client wait; does not look at the jobs, however many there are."""
        return Counter({client: sum(map(len, line.levels.values())) for client, line in self._lines.items()})

    def add(self, job: JobRecord, now: float) -> None:
        """Let a job wait. ``now`` is a monotonic time in seconds."""
        line = self._lines.get(job.client)
        if line is None:
            line = self._lines[job.client] = _Line(now)
            line.served = self._served.get(job.client, 0)
        line.add(job)
        self._jobs[job.id] = job

    def needs(self) -> list[Needs]:
        """What the waiting jobs ask for, each kind once."""
        return list(dict.fromkeys(needs for line in self._lines.values() for needs, _ in line.needs))

    def urgent(self) -> Counter[Needs]:
        """How many of the jobs that do not step aside ask for what."""
        found: Counter[Needs] = Counter()
        for line in self._lines.values():
            for (needs, aside), count in line.needs.items():
                if not aside:
                    found[needs] += count
        return found

    def take(self, now: float, fits: Fits = lambda needs: True) -> JobRecord | None:
        """The job whose turn it is among those whose needs fit, no longer waiting; none when there is none."""
        heads = [(job, line) for line in self._lines.values() if (job := line.first(fits)) is not None]
        if not heads:
            return None
        job, line = max(heads, key=lambda one: (one[0].level + one[1].waited(now), -one[1].served, -one[0].number))
        client = job.client
        self._turn += 1
        line.served = self._served[client] = self._turn
        line.waiting_since = now
        self._prune_idle_clients()
        self.remove(job.id)
        return job

    def remove(self, job: str) -> JobRecord | None:
        """Take a job out of its turn (it was cancelled); none when it does not wait."""
        found = self._jobs.pop(job, None)
        if found is not None:
            line = self._lines[found.client]
            line.remove(found)
            if not line.levels:
                del self._lines[found.client]
        return found

    def move(self, job: JobRecord, ahead_of: JobRecord | None) -> list[JobRecord]:
        """Let a waiting job wait ahead of another one (none: behind its client's others); the jobs that changed.

        Ahead of its own client's it takes that one's priority. Clients keep their turns, so ahead of another client's it gets
        the next higher priority. ``job.place`` says the new order, in the numbers that its line has had.
        """
        line = self._lines[job.client]
        if ahead_of is None:
            alike = (
                one for level in line.levels.values() for one in level.values() if one.steps_aside == job.steps_aside
            )
            priority = min(one.priority for one in alike)
        elif ahead_of.client == job.client:
            priority = ahead_of.priority
        else:
            priority = max(job.priority, min(ahead_of.priority + 1, MOST_PRIORITY))
        line.remove(job)  # it comes back below, at its new level
        job.priority = priority
        waiting = list(line.levels.get(job.level, {}).values())
        behind = ahead_of is None
        index = len(waiting) if behind else next((at for at, one in enumerate(waiting) if one is ahead_of), 0)
        waiting.insert(index, job)
        for one, place in zip(waiting, sorted(one.place or float(one.number) for one in waiting), strict=True):
            one.place = place
        line.add(job)
        line.levels[job.level] = {one.id: one for one in waiting}
        return waiting

    def position(self, job: JobRecord) -> int:
        """Place of a waiting job, from 1, were no other job to come; ageing is left out."""
        line = self._lines[job.client]
        return self._rivals(job).place(list(line.levels[job.level]).index(job.id))

    def positions(self, jobs: Iterable[JobRecord]) -> dict[str, int]:
        """The positions of those of the jobs that wait; each line is counted through once, however many they are."""
        orders: dict[tuple[str, int], tuple[dict[str, int], _Rivals]] = {}
        found = {}
        for job in jobs:
            if job.id not in self._jobs:
                continue
            key = (job.client, job.level)
            if key not in orders:
                order = {name: index for index, name in enumerate(self._lines[job.client].levels[job.level])}
                orders[key] = order, self._rivals(job)
            order, rivals = orders[key]
            found[job.id] = rivals.place(order[job.id])
        return found

    def place_for(self, job: JobRecord) -> int:
        """The position that a job would have were it added now."""
        job.number = sys.maxsize  # the newest; the store gives it its number
        self.add(job, 0.0)
        place = self._rivals(job).place(len(self._lines[job.client].levels[job.level]) - 1)
        self.remove(job.id)
        return place

    def _rivals(self, job: JobRecord) -> _Rivals:
        """Whom a job's line shares the worker with, at the job's level."""
        own = self._lines[job.client]
        turn = (own.served, own.head().number)
        higher = sum(
            len(waiting) for line in self._lines.values() for level, waiting in line.levels.items() if level > job.level
        )
        alike = [line for line in self._lines.values() if line is not own and job.level in line.levels]
        return _Rivals(
            higher, [(len(one.levels[job.level]), int((one.served, one.head().number) < turn)) for one in alike]
        )

    def _prune_idle_clients(self) -> None:
        if len(self._served) > 1000:
            self._served = {client: turn for client, turn in self._served.items() if turn > self._turn - 500}


def check_bounds(waiting: int, own: Share, size: int, bounds: QueueBounds) -> None:
    """Refuse a further job of ``size`` bytes with `Busy` when a bound is reached; ``own``: what its client has already."""
    if waiting >= bounds.jobs:
        raise Busy(f"the queue is full with {bounds.jobs} jobs", limits={"queue_length": bounds.jobs})
    if own.jobs >= bounds.jobs_per_client:
        raise Busy(
            f"{own.jobs} jobs of this client are already waiting", limits={"jobs_per_client": bounds.jobs_per_client}
        )
    if own.size + size > bounds.bytes_per_client:
        raise Busy(
            "the waiting requests of this client are too large in total",
            limits={"bytes_per_client": bounds.bytes_per_client},
        )
