"""The task in a worker's hands: what it tells, and how it is asked to stop or to make way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import Any

from acestep.api import frames
from acestep.api.errors import error_from_wire
from bridge.core.executor import Listener
from bridge.core.worker import WorkerProcess

log = logging.getLogger(__name__)


class RunningTask:
    """One task with its listener, its answer, and what has been asked of it. ``units`` takes the lengths (s) of its units."""

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
        """The worker has it now."""
        self._worker = worker
        self._last_sign = time.monotonic()
        if self.cancelled.is_set():
            worker.send(frames.Cancel(self.task.job))
        if self._way_wanted:
            worker.send(frames.StepAside(self.task.job))

    def step_aside(self) -> None:
        """Ask it to make way, now or as soon as it has begun."""
        self._way_wanted = True
        if self._worker is not None and self._worker.alive:
            self._worker.send(frames.StepAside(self.task.job))

    def on_message(self, message: Any) -> None:
        """What the worker says of it."""
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
        """Ask it to stop; its worker is killed when it has not within ``patience`` seconds."""
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
        """It is over, however it ended."""
        if self._timer is not None:
            self._timer.cancel()
        if self.answer.done() and not self.answer.cancelled():
            self.answer.exception()  # seen, even when the task was cancelled around it
