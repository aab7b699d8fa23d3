"""Carries out operations that need no model, inside the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from acestep.api.daemon_context import DaemonParts
from acestep.api.errors import AceError
from bridge.core.events import ProgressMeter
from bridge.core.interface import Accepted, JobState, Submission
from bridge.core.job_tracker import JobTracker
from bridge.core.lanes import Lane
from bridge.core.records import JobRecord
from bridge.core.worker_runner import refuse_submission


@dataclass(frozen=True)
class OperationContext:
    """The `acestep.api.daemon_context.DaemonContext` of one job."""

    job: str
    core: DaemonParts
    report: Callable[[str, int, int, float], None]
    submit: Callable[[Submission], Awaitable[Accepted]]

    async def follow(self, operation: str, params: dict[str, Any], job: str) -> str:
        """Hand in a further job for the same client."""
        return (await self.submit(Submission(operation=operation, params=params, id=job))).id


class DaemonRunner:
    """Runs operations that need no model inside the daemon."""

    def __init__(
        self,
        tracker: JobTracker,
        start: Callable[[JobRecord, OperationContext], Awaitable[dict[str, Any]]],
        core: DaemonParts,
    ) -> None:
        self._tracker = tracker
        self._start = start
        self._core = core
        self.submit: Callable[[Submission, str], Awaitable[Accepted]] = refuse_submission
        """How an operation hands in a further job for a client; set by the service."""
        self._tasks: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._cancelled: set[str] = set()
        self.stopping = False

    @property
    def ready(self) -> bool:
        """Until the daemon is stopping."""
        return not self.stopping

    def cancel(self, job: JobRecord, lane: Lane) -> None:
        """Cancel the operation's task."""
        self._cancelled.add(job.id)
        if task := self._tasks.get(job.id):
            task.cancel()

    def step_aside(self, job: JobRecord, lane: Lane) -> None:
        """Nothing: what the daemon does is short."""

    async def run(self, job: JobRecord, lane: Lane) -> None:
        """One job."""
        meter = ProgressMeter(lambda data: self._tracker.progress(job, data))
        try:
            await self._tracker.begin(job)
            context = OperationContext(job.id, self._core, meter.report, lambda one: self.submit(one, job.client))
            task = asyncio.ensure_future(self._start(job, context))
            self._tasks[job.id] = task
            if job.id in self._cancelled:
                task.cancel()
            await asyncio.wait([task])
            meter.stop()
            if task.cancelled():
                await self._stopped(job)
            else:
                data = task.result()
                notes = [*job.notes, *data.pop("notes", [])]
                await self._tracker.done(job, {"data": data, "files": [], "notes": notes})
        except AceError as error:
            meter.stop()
            await self._tracker.failed(job, error)
        finally:
            meter.stop()
            self._tasks.pop(job.id, None)
            self._cancelled.discard(job.id)

    async def _stopped(self, job: JobRecord) -> None:
        if self.stopping and job.id not in self._cancelled:
            await self._tracker.put_back(job)
        else:
            await self._tracker.stopped(job, JobState.CANCELLED, "cancelled on request")

    def stop(self) -> None:
        """Cancel what runs; it waits again for the next start."""
        self.stopping = True
        for task in self._tasks.values():
            task.cancel()
