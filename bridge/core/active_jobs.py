"""The jobs that have not ended, in memory, counted along: a status or a submit never goes through all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec

from bridge.core.interface import JobState
from bridge.core.records import JobRecord


class Share(msgspec.Struct):
    """What one client has in the queue and running: jobs, and bytes of their requests."""

    jobs: int = 0
    size: int = 0


class ActiveJobs(Mapping[str, JobRecord]):
    """Jobs by id, with their number by state and each client's share."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobRecord] = {}
        self._shares: dict[str, Share] = {}
        self.states: Counter[str] = Counter()

    def add(self, job: JobRecord) -> None:
        """Take in a job."""
        self._jobs[job.id] = job
        self.states[job.state.value] += 1
        share = self._shares.setdefault(job.client, Share())
        share.jobs += 1
        share.size += job.size

    def drop(self, job: str) -> None:
        """Forget a job; an unknown one changes nothing."""
        gone = self._jobs.pop(job, None)
        if gone is None:
            return
        self.states[gone.state.value] -= 1
        share = self._shares[gone.client]
        share.jobs -= 1
        share.size -= gone.size
        if not share.jobs:
            del self._shares[gone.client]

    def move(self, job: JobRecord, state: JobState) -> None:
        """Give a job its new state, whether it is one of these or not."""
        if self._jobs.get(job.id) is job:
            self.states[job.state.value] -= 1
            self.states[state.value] += 1
        job.state = state

    def share(self, client: str) -> Share:
        """What a client has."""
        return self._shares.get(client, Share())

    def __getitem__(self, job: str) -> JobRecord:
        return self._jobs[job]

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)
