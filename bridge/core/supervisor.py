"""Keeps a worker process alive: starts it, restarts it with growing pauses, gives it up after five crashes in a row, and ends one
that will not stop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from acestep.api import frames
from acestep.api.errors import AceError, Cancelled, Degraded, DeviceLost, WorkerDied
from bridge.core.executor import Listener
from bridge.core.running_task import RunningTask
from bridge.core.watchdog import Watchdog
from bridge.core.worker import WorkerProcess
from bridge.devices import Device

log = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before the restart after the first, second ... crash in a row."""

MAX_CONSECUTIVE_CRASHES = 5
"""Crashes in a row after which tasks are refused."""

ANY_DEVICE = Device()
"""The best device that there is, as the worker sees it."""

RECENT_UNITS = 256
"""Units of work whose length counts for the patience with a cancelled task."""


class Supervision(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor needs to know. ``command`` is asked before every start, so changed settings take effect."""

    command: Callable[[Device], list[str]]
    told: Callable[[dict[str, Any]], None] = lambda info: None
    """Hears what every worker that starts says of its machine."""
    news: Callable[[dict[str, Any]], None] = lambda info: None
    """Hears it again whenever that changes, also before the worker is ready."""
    keep: bool = False
    """Whether a worker that ended is started again at once, and gets tasks only when it is ready: another lane is quicker."""
    cancel_grace: float = 10.0
    degraded_retry: float = 60.0
    silence: float = 45.0
    """Seconds without any sign of a worker after which it is restarted."""


class LocalExecutor:
    """An `Executor` made of one child process for one device, one task at a time: it computes itself, or drives another machine."""

    def __init__(self, supervision: Supervision, device: Device = ANY_DEVICE) -> None:
        self.device = device
        self.gone = ""
        self._how = supervision
        self._worker: WorkerProcess | None = None
        self._command: list[str] = []
        self._starting = asyncio.Lock()
        self._background: asyncio.Task[None] | None = None
        self._running: RunningTask | None = None
        self._crashes = 0
        self._total_crashes = 0
        self._last_crash = ""
        self._gave_up: float | None = None
        self._failed_device = False
        """Whether the device failed in a task and nobody has seen yet whether it is still there."""
        self._look_again: asyncio.TimerHandle | None = None
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
            if self._how.keep:
                self._start_later()

    async def run(self, task: frames.Run, listener: Listener) -> dict[str, Any]:
        """Do one task; see `Executor.run`."""
        running = self._running = RunningTask(task, listener, self._units)
        try:
            worker = await self._worker_for(running)
            worker.send(task)
            running.begin(worker)
            ends: list[asyncio.Future[Any]] = [running.answer, worker.ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not running.answer.done():
                return self._lost(running, worker)
            failure = running.answer.exception()
            if isinstance(failure, WorkerDied):
                await worker.stop()
                self._note_crash(worker, failure.message)
            else:
                self._crashes = 0
            if isinstance(failure, DeviceLost):
                await self._renew(worker)
            return running.answer.result()
        finally:
            running.end()
            self._running = None
            self._keep()

    async def _worker_for(self, running: RunningTask) -> WorkerProcess:
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

    def _lost(self, running: RunningTask, worker: WorkerProcess) -> dict[str, Any]:
        """What a task ends with whose worker is gone."""
        if running.cancelled.is_set():
            if not running.killed:
                self._note_crash(worker)
            raise Cancelled("the job was cancelled")
        self._note_crash(worker)
        raise worker.ended.result()

    async def _renew(self, worker: WorkerProcess) -> None:
        """End a worker whose device failed: its process cannot use it any more. Whether the device is there, the next one tells."""
        self._failed_device = True
        worker.noted = True
        self._total_crashes += 1
        self._last_crash = f"{self.device.name} stopped working"
        await worker.stop()
        self.start()

    def adopt(self, device: Device) -> None:
        """From now on go by a device's own name. The worker that runs already is on it, and stays."""
        self.device = device
        if self._worker is not None and self._worker.alive:
            self._command = self._how.command(device)

    async def _ready_worker(self) -> WorkerProcess:
        """A worker that has said it is ready; waits out the pause after a crash.

        Raises `Degraded`, `WorkerDied`, or `DeviceLost` when there is no device for it.
        """
        async with self._starting:
            command = self._how.command(self.device)
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
            raise WorkerDied("the daemon is stopping")
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
            if worker.no_device:
                raise self._without_device(worker)
            self._note_crash(worker)
            return None
        self.gone, self._failed_device = "", False
        worker.ended.add_done_callback(lambda _: self._on_idle_crash(worker))
        self._how.told(worker.info)
        return worker

    def _without_device(self, worker: WorkerProcess) -> DeviceLost:
        """The device is not there: told at once, and looked for again after a while."""
        worker.noted = True
        if not self.gone:
            log.error("no worker for %s: %s", self.device.name, worker.no_device)
        self.gone, self._failed_device = worker.no_device, False
        self._start_later()
        return DeviceLost(worker.no_device, field="device")

    def _start_later(self) -> None:
        if self._look_again is None or self._look_again.cancelled() or self._look_again.when() <= _now():
            self._look_again = asyncio.get_running_loop().call_later(self._how.degraded_retry, self.start)

    def _keep(self) -> None:
        """Start a worker in the place of one that ended, where one is to stand ready."""
        if self._how.keep and not self._closed and not self.gone and (self._worker is None or not self._worker.alive):
            self.start()

    def _on_idle_crash(self, worker: WorkerProcess) -> None:
        """A worker that ends while nothing runs counts too, or a crash on every start would never be seen."""
        if self._running is None and not self._closed and worker is self._worker:
            if worker.no_device:
                self._without_device(worker)
            else:
                self._note_crash(worker)
            self._keep()

    def _note_crash(self, worker: WorkerProcess, reason: str = "") -> None:
        if self._closed or worker.noted:
            return
        worker.noted = True
        self._crashes += 1
        self._total_crashes += 1
        self._last_crash = reason or (worker.ended.result().message if worker.ended.done() else "it was killed")
        pause = PAUSES[min(self._crashes, len(PAUSES)) - 1]
        self._not_before = time.monotonic() + pause
        log.warning("worker %d: %s (crash %d in a row)", worker.pid, self._last_crash, self._crashes)
        if self._crashes >= MAX_CONSECUTIVE_CRASHES:
            self._gave_up = time.monotonic() + self._how.degraded_retry
            self._failed_device = False
            log.error("the worker is given up for %.0f s", self._how.degraded_retry)

    def _on_message(self, message: Any) -> None:
        if isinstance(message, frames.Info):
            self._how.news(message.info)
            return
        running = self._running
        if running is None or running.task.job != message.job:
            log.debug("a late %s for job %s", type(message).__name__, getattr(message, "job", "?"))
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
        """Forget the crashes, so that the next task starts a worker at once; look for a device that was gone."""
        self._crashes = 0
        self._gave_up = None
        self._not_before = 0.0
        if self.gone:
            self.start()

    @property
    def degraded(self) -> bool:
        """Whether the worker keeps failing and is not restarted."""
        return self._gave_up is not None and time.monotonic() < self._gave_up

    @property
    def ready(self) -> bool:
        """Whether a task may come: not while the device is missing, under suspicion, or its worker given up."""
        if self.degraded or self.gone or self._failed_device:
            return False
        return not self._how.keep or (self._worker is not None and self._worker.alive and self._worker.ready.is_set())

    def holds(self, models: Sequence[str]) -> bool:
        """Whether these models are open in the worker."""
        worker = self._worker
        return worker is not None and worker.alive and set(models) <= set(worker.info.get("models", ()))

    def lacks(self, models: Sequence[str]) -> bool:
        """Whether one of these models is known not to be on the disk of the machine that it works on."""
        on_disk = self._worker.info.get("on_disk") if self._worker is not None else None
        return on_disk is not None and not set(models) <= set(on_disk)

    @property
    def room(self) -> int | None:
        """Bytes of the device's memory, as the worker has told."""
        gigabytes = self._worker.info.get("memory_gb") if self._worker is not None else None
        return None if gigabytes is None else int(gigabytes * 2**30)

    def facts(self) -> dict[str, Any]:
        """State of device and worker, for status."""
        worker = self._worker
        facts: dict[str, Any] = {"device": self.device.name, "state": self._state(), "deaths": self._total_crashes}
        if self.gone:
            facts["warning"] = f"{self.device.name} is gone: {self.gone}"
        if worker is not None and worker.alive:
            facts.update(pid=worker.pid, info={key: worker.info[key] for key in worker.info if key != "places"})
        if warning := self.watchdog.warning:
            facts["warning"] = warning
        if self._last_crash:
            facts["last_death"] = self._last_crash
        return facts

    def _state(self) -> str:
        if self.gone:
            return "gone"
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
        if self._look_again is not None:
            self._look_again.cancel()
        if self._background is not None:
            self._background.cancel()
        if self._worker is not None:
            await self._worker.stop()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _note_failure(start: asyncio.Task[WorkerProcess]) -> None:
    if not start.cancelled() and start.exception() is not None:
        log.debug("a start of the worker failed: %s", start.exception())
