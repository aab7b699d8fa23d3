"""Keeps a worker process alive: starts it, restarts it with growing pauses, gives it up after five crashes in a row, and ends one
that will not stop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from acestep.api import frames
from acestep.api.errors import AceError, Cancelled, Degraded, WorkerDied, error_from_wire
from bridge.core.executor import Listener
from bridge.core.watchdog import Watchdog
from bridge.core.worker import WorkerProcess

log = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before the restart after the first, second ... crash in a row."""

MAX_CONSECUTIVE_CRASHES = 5
"""Crashes in a row after which tasks are refused."""

RECENT_UNITS = 256
"""Units of work whose length counts for the patience with a cancelled task."""


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor needs to know. ``command`` is asked before every start, so changed settings take effect."""

    command: Callable[[], list[str]]
    cancel_grace: float = 10.0
    degraded_retry: float = 60.0
    silence: float = 45.0
    """Seconds without any sign of a worker after which it is restarted."""


class LocalExecutor:
    """An `Executor` on this machine: one child process, one task at a time."""

    def __init__(self, supervision: Supervision) -> None:
        self._how = supervision
        self._worker: WorkerProcess | None = None
        self._command: list[str] = []
        self._starting = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None
        self._running: _Running | None = None
        self._crashes = 0
        self._total_crashes = 0
        self._last_crash = ""
        self._gave_up: float | None = None
        self._not_before = 0.0
        self._units: deque[float] = deque(maxlen=RECENT_UNITS)
        self._closed = False
        self.watchdog = Watchdog(lambda: self._worker, self.start, supervision.silence)

    def start(self) -> None:
        """Start the worker in the background, so that the first job finds it ready."""
        if self._background is None or self._background.done():
            self._background = asyncio.create_task(self._start_quietly(), name="worker start")

    async def _start_quietly(self) -> None:
        try:
            await self._ready_worker()
        except AceError as failure:
            log.warning("the worker did not start: %s", failure.message)

    async def run(self, task: frames.Run, listener: Listener) -> dict[str, Any]:
        """Do one task; see `Executor.run`."""
        running = self._running = _Running(task, listener, self._units)
        try:
            worker = await self._worker_for(running)
            worker.send(task)
            running.begin(worker)
            ends: list[asyncio.Future[Any]] = [running.answer, worker.ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if running.answer.done():
                self._crashes = 0
                return running.answer.result()
            return self._lost(running, worker)
        finally:
            running.end()
            self._running = None

    async def _worker_for(self, running: _Running) -> WorkerProcess:
        """The worker, unless the task is cancelled before there is one."""
        ready = asyncio.create_task(self._ready_worker())
        cancelled = asyncio.create_task(running.cancelled.wait())
        try:
            await asyncio.wait([ready, cancelled], return_when=asyncio.FIRST_COMPLETED)
            if running.cancelled.is_set():  # also when both came at once: a short task would end before it heard of it
                raise Cancelled("the job was cancelled before the worker was ready")
            return ready.result()
        finally:
            cancelled.cancel()
            ready.add_done_callback(_note_failure)  # a start goes on for the next task

    def _lost(self, running: _Running, worker: WorkerProcess) -> dict[str, Any]:
        """What a task ends with whose worker is gone."""
        if running.cancelled.is_set():
            if not running.killed:
                self._note_crash(worker)
            raise Cancelled("the job was cancelled")
        self._note_crash(worker)
        raise worker.ended.result()

    async def _ready_worker(self) -> WorkerProcess:
        """A worker that has said it is ready; waits out the pause after a crash. Raises `Degraded` or `WorkerDied`."""
        async with self._starting:
            command = self._how.command()
            if self._worker is not None and self._worker.alive and command != self._command:
                log.info("the worker is restarted with changed settings")
                await self._worker.stop()
                self._worker = None
            while self._worker is None or not self._worker.alive:
                self._check_breaker()
                await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
                self._check_breaker()
                self._worker = await self._spawn(command)
            return self._worker

    def _check_breaker(self) -> None:
        if self._closed:
            raise WorkerDied("the daemon stops")
        if self._gave_up is not None and time.monotonic() >= self._gave_up:
            self.reset()
            self._crashes = MAX_CONSECUTIVE_CRASHES - 1  # one more chance, not five
        if self._gave_up is not None:
            raise Degraded(
                f"the worker ended {MAX_CONSECUTIVE_CRASHES} times in a row, last: {self._last_crash}",
                limits={"retry_in": round(self._gave_up - time.monotonic(), 1)},
            )

    async def _spawn(self, command: list[str]) -> WorkerProcess | None:
        """One start. None when the worker ended before it was ready; the caller decides whether to try again."""
        self._command = command
        self.watchdog.start()
        worker = await WorkerProcess.start(command, self._on_message)
        self._worker = worker
        ready = asyncio.create_task(worker.ready.wait())
        try:
            await asyncio.wait([ready, worker.ended], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if not worker.ready.is_set():
            self._note_crash(worker)
            return None
        worker.ended.add_done_callback(lambda _: self._on_idle_crash(worker))
        return worker

    def _on_idle_crash(self, worker: WorkerProcess) -> None:
        """A worker that ends while nothing runs counts too, or a crash on every start would never be seen."""
        if self._running is None and not self._closed and worker is self._worker:
            self._note_crash(worker)

    def _note_crash(self, worker: WorkerProcess) -> None:
        if self._closed or worker.noted:
            return
        worker.noted = True
        self._crashes += 1
        self._total_crashes += 1
        self._last_crash = worker.ended.result().message if worker.ended.done() else "it was killed"
        pause = PAUSES[min(self._crashes, len(PAUSES)) - 1]
        self._not_before = time.monotonic() + pause
        log.warning("worker %d: %s (crash %d in a row)", worker.pid, self._last_crash, self._crashes)
        if self._crashes >= MAX_CONSECUTIVE_CRASHES:
            self._gave_up = time.monotonic() + self._how.degraded_retry
            log.error("the worker is given up for %.0f s", self._how.degraded_retry)

    def _on_message(self, message: Any) -> None:
        running = self._running
        if running is None or running.task.job != message.job:
            log.debug("a late %s of job %s", type(message).__name__, getattr(message, "job", "?"))
            return
        if isinstance(message, frames.Saved):
            self._crashes = 0
        running.on_message(message)

    def step_aside(self, job: str) -> None:
        """Ask the running task to make way; see `Executor.step_aside`."""
        if self._running is not None and self._running.task.job == job:
            self._running.step_aside()

    def cancel(self, job: str) -> None:
        """Ask the running task to stop; kill the worker after max(grace, three times the longest recent unit)."""
        running = self._running
        if running is None or running.task.job != job or running.cancelled.is_set():
            return
        running.cancel(self.patience)

    @property
    def patience(self) -> float:
        """Seconds that a cancelled task has to stop before its worker is killed."""
        return max(self._how.cancel_grace, 3.0 * max(self._units, default=0.0))

    def unload(self, model: str = "") -> None:
        """Free the memory of a model after the present task."""
        if self._worker is not None and self._worker.alive:
            self._worker.send(frames.Unload(model))

    def reset(self) -> None:
        """Forget the crashes, so that the next task starts a worker at once."""
        self._crashes = 0
        self._gave_up = None
        self._not_before = 0.0

    @property
    def degraded(self) -> bool:
        """Whether the worker keeps failing and is not restarted."""
        return self._gave_up is not None and time.monotonic() < self._gave_up

    def facts(self) -> dict[str, Any]:
        """State of the worker, for status."""
        worker = self._worker
        facts: dict[str, Any] = {"state": self._state(), "deaths": self._total_crashes}
        if worker is not None and worker.alive:
            facts.update(pid=worker.pid, info=worker.info)
        if warning := self.watchdog.warning:
            facts["warning"] = warning
        if self._last_crash:
            facts["last_death"] = self._last_crash
        return facts

    def _state(self) -> str:
        if self.degraded:
            return "degraded"
        if self._worker is None or not self._worker.alive:
            return "stopped"
        if not self._worker.ready.is_set():
            return "starting"
        if self.watchdog.warning:
            return "silent"
        return "busy" if self._running is not None else "idle"

    async def close(self) -> None:
        """Stop the worker; a task that still runs ends with an error, also one that waits for a start."""
        self._closed = True
        self.watchdog.stop()
        if self._running is not None:
            self._running.cancelled.set()
        if self._background is not None:
            self._background.cancel()
        if self._worker is not None:
            await self._worker.stop()


def _note_failure(start: asyncio.Task[WorkerProcess]) -> None:
    if not start.cancelled() and start.exception() is not None:
        log.debug("a start of the worker failed: %s", start.exception())


class _Running:
    """The task in the worker's hands."""

    def __init__(self, task: frames.Run, listener: Listener, units: deque[float]) -> None:
        self.task = task
        self.answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self.cancelled = asyncio.Event()
        self.killed = False
        self._listener = listener
        self._units = units
        self._worker: WorkerProcess | None = None
        self._last_sign = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._way_wanted = False

    def begin(self, worker: WorkerProcess) -> None:
        self._worker = worker
        self._last_sign = time.monotonic()
        if self.cancelled.is_set():
            worker.send(frames.Cancel(self.task.job))
        if self._way_wanted:
            worker.send(frames.StepAside(self.task.job))

    def step_aside(self) -> None:
        self._way_wanted = True
        if self._worker is not None and self._worker.alive:
            self._worker.send(frames.StepAside(self.task.job))

    def on_message(self, message: Any) -> None:
        if isinstance(message, frames.Tick):
            now = time.monotonic()
            self._units.append(now - self._last_sign)
            self._last_sign = now
            self._listener.tick(message.stage, message.step, message.steps, message.fraction)
        elif isinstance(message, frames.Preview):
            self._listener.preview(message.file)
        elif isinstance(message, frames.Saved):
            self._listener.saved()
        elif isinstance(message, frames.Follow):
            self._listener.follow(message.operation, message.params, message.id)
        elif self.answer.done():
            return
        elif isinstance(message, frames.Done):
            self.answer.set_result(message.result)
        elif isinstance(message, frames.Failed):
            self.answer.set_exception(error_from_wire(message.error))

    def cancel(self, patience: float) -> None:
        self.cancelled.set()
        if self._worker is not None:
            self._worker.send(frames.Cancel(self.task.job))
        self._timer = asyncio.get_running_loop().call_later(patience, self._force)

    def _force(self) -> None:
        if self._worker is not None and self._worker.alive and not self.answer.done():
            log.warning("job %s does not stop; its worker is killed", self.task.job)
            self.killed = True
            self._worker.kill()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.answer.done() and not self.answer.cancelled():
            self.answer.exception()  # seen, even when the task was cancelled around it
