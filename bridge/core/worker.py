"""One life of a worker process: started, spoken to in frames, and gone without a trace.

The process ends by itself when its input closes, so none outlives the daemon, whatever way the daemon ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from acestep.api import frames
from acestep.api.errors import AceError, OutOfMemory, ProtocolError, WorkerDied
from acestep.api.shortage import says_out_of_memory
from bridge.children import environment

log = logging.getLogger(__name__)
worker_log = logging.getLogger("acestep.worker.stderr")

READ_SIZE = 1 << 16
LAST_LINES = 40
MAX_LINE = 2_000
"""Characters of a line of the worker's standard error that are kept."""

STOP_GRACE = 3.0
"""Seconds a worker gets to leave after its input was closed."""


class WorkerProcess:
    """A running worker. Messages arrive at ``on_message``; ``ended`` completes with the reason once it is gone."""

    def __init__(self, process: asyncio.subprocess.Process, on_message: Callable[[Any], None]) -> None:
        self._process = process
        self._on_message = on_message
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._killed_because = ""
        self.ready = asyncio.Event()
        self.last_message_at = time.monotonic()
        """When a frame came last (monotonic s)."""
        self.noted = False
        """Whether its end has been counted as a crash."""
        self.info: dict[str, Any] = {}
        self.no_device = ""
        """Why it ended before it was ready, when its device is not there."""
        self.ended: asyncio.Task[AceError] = asyncio.create_task(self._live(), name=f"worker {process.pid}")

    @classmethod
    async def start(cls, command: Sequence[str], on_message: Callable[[Any], None]) -> WorkerProcess:
        """Start the command. Raises `WorkerDied` when the system cannot start it."""
        options: dict[str, Any] = {"env": environment(PYTHONUNBUFFERED="1")}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        else:
            options["start_new_session"] = True  # a Ctrl-C in the terminal is for the daemon alone
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, **options)
        except OSError as failure:
            raise WorkerDied(f"the worker cannot be started: {failure}") from failure
        log.info("worker %d started", process.pid)
        return cls(process, on_message)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs and its pipes are read."""
        return not self.ended.done()

    def send(self, message: msgspec.Struct) -> None:
        """Send a message; one to a worker that has just ended is lost, which `ended` tells."""
        if self.alive and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(frames.encode(message))

    def kill(self, reason: str = "") -> None:
        """End the process at once, and what it has started: on POSIX it leads a group of its own. ``reason``: why, for people."""
        self._killed_because = reason
        with contextlib.suppress(ProcessLookupError):
            if sys.platform != "win32" and self._process.returncode is None:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()

    async def stop(self) -> None:
        """Close its input and wait until it is gone, by force after `STOP_GRACE`."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        done, _ = await asyncio.wait([self.ended], timeout=STOP_GRACE)
        if not done:
            self.kill()
            await asyncio.wait([self.ended])

    async def _live(self) -> AceError:
        """Read both pipes to their end, then collect the process."""
        errors = asyncio.create_task(self._read_errors())
        try:
            await self._read_frames()
        except ProtocolError as failure:
            log.error("worker %d sent nonsense and is ended: %s", self.pid, failure.message)
            self.kill()
        code = await self._process.wait()
        done, _ = await asyncio.wait([errors], timeout=1.0)  # a grandchild may hold the pipe open
        if not done:
            errors.cancel()
        if self._process.stdin is not None:
            self._process.stdin.close()
        transport = getattr(self._process, "_transport", None)
        if transport is not None:
            transport.close()  # frees the pipes even when a grandchild still holds their other ends
        log.info("worker %d ended with %s", self.pid, describe_exit(code))
        return WorkerDied(self._killed_because) if self._killed_because else why_it_ended(code, list(self._lines))

    async def _read_frames(self) -> None:
        assert self._process.stdout is not None
        reader = frames.FrameReader()
        while data := await self._process.stdout.read(READ_SIZE):
            self.last_message_at = time.monotonic()
            for message in reader.feed(data):
                if isinstance(message, frames.Pong):
                    continue
                if isinstance(message, frames.Ready):
                    self.info = message.info
                    self.ready.set()
                elif isinstance(message, frames.NoDevice):
                    self.no_device = message.reason
                elif isinstance(message, frames.Info):
                    self.info = message.info
                    self._on_message(message)
                else:
                    self._on_message(message)

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        rest = b""
        while data := await self._process.stderr.read(READ_SIZE):
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[-MAX_LINE:]
            for line in lines:
                self._note(line)
        self._note(rest)

    def _note(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").rstrip()[:MAX_LINE]
        if text:
            self._lines.append(text)
            worker_log.info("%s", text, extra={"worker": self.pid})


def describe_exit(code: int) -> str:
    """An exit status in words."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {-code} ({signal.Signals(-code).name})"
    return f"signal {-code}"


_INSIDE_TRACEBACK = re.compile(r"Traceback |  |\s*\^")


def why_it_ended(code: int, lines: list[str]) -> AceError:
    """A crash as an error. A library that ends the process because memory is used up says so with its last words."""
    if lines and says_out_of_memory(lines[-1]):
        return OutOfMemory(
            f"the worker had too little memory for this job and ended ({describe_exit(code)}); try a shorter region, one variant "
            "or a smaller model"
        )
    return WorkerDied(explain_crash(code, lines))


def explain_crash(code: int, lines: list[str]) -> str:
    """One sentence on why a worker ended, with its last words but without any traceback."""
    words = [line for line in lines if not _INSIDE_TRACEBACK.match(line)][-3:]
    hint = ""
    if code == -9:
        hint = "; the system may have run out of memory"
    said = f". Its last lines: {' | '.join(words)[:600]}" if words else ""
    return f"the worker ended with {describe_exit(code)}{hint}{said}"
