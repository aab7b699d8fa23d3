"""Carries a job through the worker: staging, one attempt, commit, copies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from acestep.api.errors import AceError, Cancelled, DeviceLost, InternalError, Suspended, Unavailable, WorkerDied
from acestep.api.frames import Run
from acestep.api.operation import RENDER
from acestep.api.planned import THINK, PlannedConditioning
from bridge.core.events import ProgressMeter
from bridge.core.executor import Executor, Listener
from bridge.core.interface import Accepted, JobState, Submission
from bridge.core.job_tracker import JobTracker
from bridge.core.lanes import Lane
from bridge.core.library import Library
from bridge.core.records import JobRecord

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 2
"""A job that ended two daemons or, where it can continue, two workers without anything saved in between is not tried again."""


async def refuse_submission(submission: Submission, client: str) -> Accepted:
    """What stands where nothing takes further jobs. Raises `Unavailable`."""
    raise Unavailable("the daemon accepts no more jobs")


class ClientPaths(NamedTuple):
    """Paths as the client knows them, which the worker does not: the folder that may have copies, and the names of uploads."""

    copies: Callable[[str], Path]
    named: Callable[[str], str]


class WorkerRunner:
    """Runs jobs in the workers and commits what comes back."""

    def __init__(
        self,
        tracker: JobTracker,
        library: Library,
        paths: ClientPaths,
        plan_wish: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """``plan_wish``: what the planner is asked for an admitted render."""
        self._tracker = tracker
        self._library = library
        self._copy_to = paths.copies
        self._named = paths.named
        self._plan_wish = plan_wish
        self._cancelled: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.submit: Callable[[Submission, str], Awaitable[Accepted]] = refuse_submission
        """How a running job hands in a further one for a client; set by the service."""
        self.stopping = False

    @property
    def ready(self) -> bool:
        """Jobs start until the daemon is stopping."""
        return not self.stopping

    def cancel(self, job: JobRecord, lane: Lane) -> None:
        """Ask a running job to stop."""
        self._cancelled.add(job.id)
        _executor_of(lane).cancel(job.id)

    def step_aside(self, job: JobRecord, lane: Lane) -> None:
        """Ask a running job to save its place and to make way."""
        _executor_of(lane).step_aside(job.id)

    async def run(self, job: JobRecord, lane: Lane) -> None:
        """One attempt at a job."""
        executor = _executor_of(lane)
        job.device = executor.device.known_name
        fraction = float(job.progress.get("fraction", 0.0))
        meter = ProgressMeter(lambda data: self._tracker.progress(job, data), fraction=fraction)
        staged: Path | None = None
        try:
            await self._tracker.begin(job)
            staged = await asyncio.to_thread(self._library.stage, job)
            result = await self._attempt(job, staged, meter, executor)
            meter.stop()
            if job.plans_first:
                await self._tracker.planned(job, _plan_of(result))
                return
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

    async def _attempt(self, job: JobRecord, staged: Path, meter: ProgressMeter, executor: Executor) -> dict[str, Any]:
        if job.id in self._cancelled:
            raise Cancelled("the job was cancelled")

        def preview(file: dict[str, Any]) -> None:
            self._tracker.preview(job, {**file, "path": str(staged / str(file.get("name", "")))})

        task = self._task(job, staged)

        def saved() -> None:
            self._later(self._tracker.saved(job))

        def follow(operation: str, params: dict[str, Any], name: str) -> None:
            self._later(self._follow(job, Submission(operation=operation, params=params, id=name)))

        def tick(stage: str, step: int, steps: int, fraction: float) -> None:
            job.device = executor.device.known_name  # which a worker that has just started may have told meanwhile
            meter.report(stage, step, steps, fraction)

        listener = Listener(tick=tick, preview=preview, saved=saved, follow=follow)
        try:
            result = await executor.run(task, listener)
        finally:
            job.device = executor.device.known_name
        if job.id in self._cancelled:
            raise Cancelled("the job was cancelled")
        return result

    def _task(self, job: JobRecord, staged: Path) -> Run:
        """What the worker is to do now."""
        if job.plans_first:
            return Run(job=job.id, operation=THINK, request=self._plan_wish(job.request), staging=str(staged))
        operation = RENDER if "stages" in job.request else job.operation  # the worker need not know a preset by name
        return Run(job=job.id, operation=operation, request=job.request, staging=str(staged), planned=job.planned or {})

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow(self, job: JobRecord, submission: Submission) -> None:
        """Hand in what a running job asks for, for its client. What the door says against it becomes a note of the result."""
        try:
            await self.submit(submission, job.client)
        except AceError as error:
            log.warning("its %s was refused: %s", submission.operation, error.message, extra={"job": job.id})
            job.notes = (*job.notes, f"{submission.operation} {submission.id} was refused: {error.message}")

    async def _ended(self, job: JobRecord, error: AceError) -> None:
        asked = job.id in self._cancelled
        if isinstance(error, Suspended) and not asked:
            job.attempt, job.waits_because = 0, "another job runs first"
            return
        if not (asked or self.stopping) and job.attempt < MAX_ATTEMPTS:
            if isinstance(error, DeviceLost):
                job.waits_because = f"{error.message}; the job runs again on another device"
                return
            if job.steps_aside and isinstance(error, WorkerDied):
                job.waits_because = "the worker ended; the job continues from where it was saved"
                return
        if self.stopping and not asked and isinstance(error, (Cancelled, DeviceLost, WorkerDied)):
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


def _plan_of(result: dict[str, Any]) -> dict[str, Any]:
    """The plan that a worker has made. Raises `InternalError` for something else."""
    try:
        return dict(msgspec.to_builtins(msgspec.convert(result.get("data"), PlannedConditioning)))
    except msgspec.ValidationError as failure:
        raise InternalError(f"the worker answered with something that is no plan: {failure}") from None


def _executor_of(lane: Lane) -> Executor:
    assert lane.executor is not None
    return lane.executor
