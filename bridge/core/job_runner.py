"""Takes waiting jobs in their order and has each carried to its end. One for the worker's jobs, one for the daemon's own."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from acestep.api.errors import InternalError
from bridge.core.interface import JobState
from bridge.core.job_tracker import JobTracker
from bridge.core.queue import FairQueue
from bridge.core.records import JobRecord

log = logging.getLogger(__name__)


class Runner(Protocol):
    """How one job is carried to its end."""

    @property
    def ready(self) -> bool:
        """Whether a job may start now."""

    async def run(self, job: JobRecord) -> None:
        """Carry a job from its start to its end, and tell the tracker of both."""

    def cancel(self, job: JobRecord) -> None:
        """Ask a running job to stop."""

    def step_aside(self, job: JobRecord) -> None:
        """Ask a running job to save its place and to make way."""


class JobRunner:
    """A queue, and the tasks that take jobs from it: at most ``concurrency`` at once.

    When all of them are busy and a job waits that does not step aside, a running one that does is asked to.
    """

    def __init__(self, tracker: JobTracker, runner: Runner, concurrency: int = 1) -> None:
        self.queue = FairQueue()
        self.running: dict[str, JobRecord] = {}
        self.paused = False
        self._tracker = tracker
        self._runner = runner
        self._concurrency = concurrency
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to take jobs."""
        self._tasks = [
            asyncio.create_task(self._serve(), name=f"job runner {index}") for index in range(self._concurrency)
        ]

    async def add(self, job: JobRecord) -> None:
        """Let a stored job wait for its turn."""
        self.queue.add(job, time.monotonic())
        await self.wake()

    def _make_room(self) -> None:
        if self.paused or len(self.running) < self._concurrency or all(job.steps_aside for job in self.queue):
            return
        for job in self.running.values():
            if job.steps_aside:
                self._runner.step_aside(job)
                return

    async def wake(self) -> None:
        """Look again whether a job may start, or should make way."""
        self._make_room()
        async with self._changed:
            self._changed.notify_all()

    async def cancel(self, job: JobRecord, reason: str) -> None:
        """Take a waiting job out, or ask a running one to stop."""
        if self.queue.remove(job.id) is not None:
            await self._tracker.stopped(job, JobState.CANCELLED, reason)
        elif job.id in self.running:
            job.cancelled = True
            self._runner.cancel(job)

    async def _serve(self) -> None:
        while True:
            job = await self._next()
            try:
                await self._runner.run(job)
            except Exception as failure:  # the runner of jobs: whatever happened, the next one gets its turn
                log.exception("the job could not be carried to its end", extra={"job": job.id})
                if not job.state.terminal:
                    await self._tracker.failed(job, InternalError(f"the job failed: {type(failure).__name__}"))
            finally:
                await self._let_go(job)
                await self.wake()

    async def _let_go(self, job: JobRecord) -> None:
        """A job runs no more: it has ended, or made way and waits for its next turn unless it was cancelled meanwhile."""
        suspended = await self._tracker.suspended(job) if job.waits_because else None
        self.running.pop(job.id, None)
        if suspended is None:
            return
        job.waits_because = ""
        if job.cancelled:
            await self._tracker.stopped(job, JobState.CANCELLED, "cancelled on request")
        else:
            self.queue.add(job, time.monotonic())
            self._tracker.hub.publish(suspended)

    async def _next(self) -> JobRecord:
        async with self._changed:
            while self.paused or not self.queue or not self._runner.ready:
                # Readiness comes back with time, not with a message, so it is looked at once a second while jobs wait.
                wait = 1.0 if self.queue and not self.paused else None
                try:
                    await asyncio.wait_for(self._changed.wait(), wait)
                except TimeoutError:
                    continue
            job = self.queue.take(time.monotonic())
            assert job is not None
            self.running[job.id] = job
            self._make_room()  # others may have come while this one was being taken
            return job

    async def stop(self) -> None:
        """Wait for what runs (the runner must have been told to stop) and take nothing more."""
        self.paused = True
        async with self._changed:
            await self._changed.wait_for(lambda: not self.running)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
