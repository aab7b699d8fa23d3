"""Takes waiting jobs in their order and carries each to its end. One lane for the worker, one for what the daemon does itself."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from acestep.api.errors import AceError, Cancelled, InternalError, WorkerDied
from bridge.core.events import ProgressMeter
from bridge.core.executor import Executor, Listener, Task
from bridge.core.interface import JobState
from bridge.core.job_tracker import JobTracker
from bridge.core.library import Library
from bridge.core.queue import FairQueue
from bridge.core.records import JobRecord

log = logging.getLogger(__name__)


RENDER = "render"
"""What every chain of stages is to the worker, whatever it was called at the door."""


class Work(Protocol):
    """How a lane does one job."""

    @property
    def ready(self) -> bool:
        """Whether a job may start now."""

    async def run(self, job: JobRecord) -> None:
        """Carry a job from its start to its end, and tell the tracker of both."""

    def cancel(self, job: JobRecord) -> None:
        """Ask a running job to stop."""


class Lane:
    """A queue and the hands that empty it."""

    def __init__(self, tracker: JobTracker, work: Work, width: int = 1) -> None:
        self.queue = FairQueue()
        self.running: dict[str, JobRecord] = {}
        self.paused = False
        self._tracker = tracker
        self._work = work
        self._width = width
        self._changed = asyncio.Condition()
        self._hands: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to take jobs."""
        self._hands = [asyncio.create_task(self._serve(), name=f"lane {index}") for index in range(self._width)]

    async def add(self, job: JobRecord) -> None:
        """Let a stored job wait for its turn."""
        self.queue.add(job, time.monotonic())
        await self.wake()

    async def wake(self) -> None:
        """Look again whether a job may start."""
        async with self._changed:
            self._changed.notify_all()

    async def cancel(self, job: JobRecord, reason: str) -> None:
        """Take a waiting job out, or ask a running one to stop."""
        if self.queue.remove(job.id) is not None:
            await self._tracker.stopped(job, JobState.CANCELLED, reason)
        elif job.id in self.running:
            self._work.cancel(job)

    async def _serve(self) -> None:
        while True:
            job = await self._next()
            try:
                await self._work.run(job)
            except Exception as failure:  # the runner of jobs: whatever happened, the next one gets its turn
                log.exception("the job could not be carried to its end", extra={"job": job.id})
                if not job.state.terminal:
                    await self._tracker.failed(job, InternalError(f"the job failed: {type(failure).__name__}"))
            finally:
                self.running.pop(job.id, None)
                await self.wake()

    async def _next(self) -> JobRecord:
        async with self._changed:
            while self.paused or not self.queue or not self._work.ready:
                # Readiness comes back with time, not with a message, so it is looked at once a second while jobs wait.
                wait = 1.0 if self.queue and not self.paused else None
                try:
                    await asyncio.wait_for(self._changed.wait(), wait)
                except TimeoutError:
                    continue
            job = self.queue.take(time.monotonic())
            assert job is not None
            self.running[job.id] = job
            return job

    async def stop(self) -> None:
        """Wait for what runs (the work must have been told to stop) and take nothing more."""
        self.paused = True
        async with self._changed:
            await self._changed.wait_for(lambda: not self.running)
        for hand in self._hands:
            hand.cancel()
        await asyncio.gather(*self._hands, return_exceptions=True)


class Places(NamedTuple):
    """What the worker does not know of places: which folder a client may have copies in, and how uploads were called."""

    copies: Callable[[str], Path]
    named: Callable[[str], str]


class WorkerWork:
    """Runs jobs in the worker and commits what comes back."""

    def __init__(self, tracker: JobTracker, executor: Executor, library: Library, places: Places) -> None:
        self._tracker = tracker
        self._executor = executor
        self._library = library
        self._copy_to = places.copies
        self._named = places.named
        self._cancelled: set[str] = set()
        self.stopping = False

    @property
    def ready(self) -> bool:
        """Jobs start while the executor is in order."""
        return not self._executor.degraded and not self.stopping

    def cancel(self, job: JobRecord) -> None:
        """Ask a running job to stop."""
        self._cancelled.add(job.id)
        self._executor.cancel(job.id)

    async def run(self, job: JobRecord) -> None:
        """One attempt at a job."""
        meter = ProgressMeter(lambda data: self._tracker.progress(job, data))
        staged: Path | None = None
        try:
            await self._tracker.begin(job)
            staged = await asyncio.to_thread(self._library.stage, job)
            result = await self._attempt(job, staged, meter)
            meter.stop()
            kept = await asyncio.to_thread(self._commit, job, staged, result)
            await self._tracker.done(job, kept)
        except AceError as error:
            meter.stop()
            await self._ended(job, error)
        finally:
            meter.stop()
            self._cancelled.discard(job.id)
            if staged is not None:
                await asyncio.to_thread(self._library.discard, staged)

    async def _attempt(self, job: JobRecord, staged: Path, meter: ProgressMeter) -> dict[str, Any]:
        if job.id in self._cancelled:
            raise Cancelled("the job was cancelled")

        def preview(file: dict[str, Any]) -> None:
            self._tracker.preview(job, {**file, "path": str(staged / str(file.get("name", "")))})

        operation = RENDER if "stages" in job.request else job.operation  # the worker need not know a preset by name
        task = Task(job=job.id, operation=operation, request=job.request, staging=staged)
        result = await self._executor.run(task, Listener(tick=meter.report, preview=preview))
        if job.id in self._cancelled:
            raise Cancelled("the job was cancelled")
        return result

    async def _ended(self, job: JobRecord, error: AceError) -> None:
        asked = job.id in self._cancelled
        if self.stopping and not asked and isinstance(error, (Cancelled, WorkerDied)):
            await self._tracker.put_back(job)
        elif asked or isinstance(error, Cancelled):
            await self._tracker.stopped(job, JobState.CANCELLED, "cancelled on request")
        else:
            error.message = await asyncio.to_thread(self._named, error.message)
            error.args = (error.message,)
            await self._tracker.failed(job, error, killed_worker=isinstance(error, WorkerDied))

    def _commit(self, job: JobRecord, staged: Path, result: dict[str, Any]) -> dict[str, Any]:
        """Into the library, which is the commit, with what was told at the door; then copies to where the client wants them."""
        notes = list(dict.fromkeys([*job.notes, *map(self._named, result.get("notes", []))]))
        return self.copy_out(job, self._library.commit(job, staged, {**result, "notes": notes}))

    def copy_out(self, job: JobRecord, result: dict[str, Any]) -> dict[str, Any]:
        """Copies in the folder that the request names. A failure there loses nothing: it becomes a note of the result."""
        folder = str((job.request.get("output") or {}).get("folder") or "")
        if not folder or not result.get("files"):
            return result
        try:
            copies = self._library.copy_out(result, self._copy_to(folder))
        except AceError as error:
            note = f"{error.code}: the files are in the library only: {error.message}"
            return {**result, "notes": [*result.get("notes", []), note]}
        files = [{**entry, "copy": copy} for entry, copy in zip(result["files"], copies, strict=True)]
        return {**result, "files": files}


class DaemonJob:
    """What an operation that runs in the daemon is handed as ``daemon``: the core, and a way to report.

    ``report`` takes (stage, step, steps, fraction of the whole) as often as it likes. ``core`` offers `bridge.core.interface.Core`.
    """

    def __init__(self, job: str, core: Any, report: Callable[[str, int, int, float], None]) -> None:
        self.job = job
        self.core = core
        self.report = report


class DaemonWork:
    """Runs operations that need no model inside the daemon."""

    def __init__(
        self, tracker: JobTracker, start: Callable[[JobRecord, DaemonJob], Awaitable[dict[str, Any]]], core: Any
    ) -> None:
        self._tracker = tracker
        self._start = start
        self._core = core
        self._tasks: dict[str, asyncio.Task[dict[str, Any]]] = {}
        self._cancelled: set[str] = set()
        self.stopping = False

    @property
    def ready(self) -> bool:
        """Until the daemon stops."""
        return not self.stopping

    def cancel(self, job: JobRecord) -> None:
        """Cancel the operation's task."""
        self._cancelled.add(job.id)
        if task := self._tasks.get(job.id):
            task.cancel()

    async def run(self, job: JobRecord) -> None:
        """One job."""
        meter = ProgressMeter(lambda data: self._tracker.progress(job, data))
        try:
            await self._tracker.begin(job)
            task = asyncio.ensure_future(self._start(job, DaemonJob(job.id, self._core, meter.report)))
            self._tasks[job.id] = task
            if job.id in self._cancelled:
                task.cancel()
            await asyncio.wait([task])
            meter.stop()
            if task.cancelled():
                await self._stopped(job)
            else:
                await self._tracker.done(job, {"data": task.result(), "files": [], "notes": []})
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
