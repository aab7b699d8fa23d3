"""Notices a worker that does not answer any more: one that was stopped, or hangs where not even its reader runs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from acestep.api import frames
from bridge.core.worker import WorkerProcess

log = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two questions."""

UNEASY = 10.0
"""Seconds of silence after which status warns."""


class Watchdog:
    """Asks the worker every few seconds whether it is there, and ends one that has been silent for ``patience`` seconds.

    A worker that computes answers, because its reader is a thread of its own; so silence means that the process was stopped, that
    the machine has no memory left, or that a library holds the interpreter. The supervisor then starts another one.
    """

    def __init__(
        self, current: Callable[[], WorkerProcess | None], restart: Callable[[], None], patience: float
    ) -> None:
        self._current = current
        self._restart = restart
        self._patience = patience
        self._task: asyncio.Task[None] | None = None
        self.restarts = 0

    def start(self) -> None:
        """Begin to watch; a second call changes nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch(), name="watchdog")

    def stop(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()

    @property
    def silence(self) -> float:
        """Seconds since a worker that is up was heard last; 0 when there is none."""
        worker = self._current()
        if worker is None or not worker.alive or not worker.ready.is_set():
            return 0.0
        return time.monotonic() - worker.last_message_at

    @property
    def warning(self) -> str:
        """A sentence while the worker is silent, else nothing."""
        silence, worker = self.silence, self._current()
        if silence < UNEASY or worker is None:
            return ""
        stopped = " (it was stopped by a signal; `kill -CONT` wakes it)" if is_stopped(worker.pid) else ""
        left = max(0.0, self._patience - silence)
        return f"the worker has not answered for {silence:.0f} s{stopped}; it is restarted in {left:.0f} s"

    async def _watch(self) -> None:
        asked = time.monotonic()
        while True:
            await asyncio.sleep(EVERY)
            worker, now = self._current(), time.monotonic()
            if worker is None or not worker.alive or not worker.ready.is_set():
                continue
            if now - asked > 3 * EVERY:  # this process was not running either; the worker gets its time anew
                worker.last_message_at = now
            asked = now
            worker.send(frames.Ping())
            if self.silence > self._patience:
                reason = f"the worker did not answer for {self.silence:.0f} s and was restarted"
                log.error("%s (process %d)", reason, worker.pid)
                self.restarts += 1
                worker.kill(reason)
                await asyncio.wait([worker.ended])
                self._restart()


def is_stopped(pid: int) -> bool:
    """Whether a process stands still because of a signal, where the system tells (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False
