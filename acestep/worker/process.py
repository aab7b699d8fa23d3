"""The worker's loop: frames in, one job at a time, frames out.

Knows pipes, threads and signals; knows nothing of audio or models. A reader thread takes cancels while a job runs; the main thread
does the work. The process ends when its input closes.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Protocol

import msgspec

from acestep.api import frames
from acestep.api.disk import FULL
from acestep.api.errors import AceError, Cancelled, DiskFull, InternalError, OutOfMemory, ProtocolError, Unavailable
from acestep.api.planned import PlannedConditioning
from acestep.api.shortage import is_out_of_memory, spoils_process
from acestep.worker.command_line import parse_arguments, prepare_environment

log = logging.getLogger("acestep.worker")

GRACE = 2.0
"""Seconds a running job gets to stop after the input has closed: nobody is left to read its result."""


def main(arguments: list[str], inlet: int, outlet: int) -> int:
    """Run until the input closes. ``inlet`` and ``outlet`` are the file descriptors of the frame pipes."""
    settings = parse_arguments(arguments)
    prepare_environment(settings["threads"])
    logging.basicConfig(
        level=settings["log_level"].upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the daemon decides what it means
    outlet_of_frames = PipeOutlet(outlet)
    worker = Worker(outlet_of_frames)
    reader = threading.Thread(target=worker.read, args=(inlet,), name="frames", daemon=True)
    reader.start()
    try:
        registry, backend = build(settings)
    except AceError as failure:
        log.error("the backend cannot start: %s", failure.message)
        if failure.field == "device" and isinstance(failure, Unavailable):
            outlet_of_frames.send(frames.NoDevice(failure.message))
        return 1
    worker.run(registry, backend)
    return 0


def build(settings: dict[str, Any]) -> tuple[Any, Any]:
    """The registry with all plug-ins and the backend named in the settings. Raises `AceError`."""
    from acestep.api.registry import Registry
    from acestep.api.targets import resolve_target

    registry = Registry.load(
        folder=settings["plugins"], disabled=settings["disable"], features=settings["feature"], entry_points=True
    )
    settings["registry"] = registry
    return registry, resolve_target(registry.backend(settings["backend"]).target)(settings)


def _told(failure: Exception) -> AceError:
    """What an error means to the user: too little memory or space are what a person can do something about."""
    if isinstance(failure, OutOfMemory) or (isinstance(failure, AceError) and not is_out_of_memory(failure)):
        return failure
    if is_out_of_memory(failure):
        return OutOfMemory("there is too little memory for this job")
    if isinstance(failure, OSError) and failure.errno in FULL:
        return DiskFull("no space left for the result")
    kind = (failure.strerror if isinstance(failure, OSError) else "") or type(failure).__name__
    return InternalError(f"the job failed inside the worker: {kind}; the log has more")


FIRST_JOB = 0.1
"""Seconds in which a job comes that waited for this worker; what warms up before it would only hold it up."""


class Outlet(Protocol):
    """Where a worker's messages go."""

    def send(self, message: msgspec.Struct) -> None:
        """Hand one message on, from any thread."""


class PipeOutlet:
    """Writes whole frames to the daemon, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, message: msgspec.Struct) -> None:
        """Write one message; a daemon that is gone ends this process."""
        data = memoryview(frames.encode(message))
        with self._lock:
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                log.info("the daemon is gone")
                os._exit(0)


class Worker:
    """One job at a time, in the order of arrival; cancels are heard at any moment."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._current: Any = None
        self._cancelled: set[str] = set()
        self._info: dict[str, Any] = {}
        self._spoiled = False
        """Whether a library of this process cannot be relied on any more."""

    def read(self, inlet: int) -> None:
        """The reader thread: until the input closes or carries nonsense."""
        reader = frames.FrameReader()
        try:
            while data := os.read(inlet, 1 << 16):
                for message in reader.feed(data):
                    self.take(message)
        except (OSError, MemoryError, ProtocolError) as failure:
            log.error("the frame pipe failed: %s", failure)
        self._stop()

    def take(self, message: Any) -> None:
        """A message of the daemon, from any thread."""
        if isinstance(message, frames.Cancel):
            with self._lock:
                if self._current is not None and self._current.job == message.job:
                    self._current.cancel()
                else:
                    self._cancelled.add(message.job)
        elif isinstance(message, frames.StepAside):
            with self._lock:
                if self._current is not None and self._current.job == message.job:
                    self._current.step_aside()
        elif isinstance(message, frames.Ping):
            self._outlet.send(frames.Pong())
        elif isinstance(message, (frames.Run, frames.Unload)):
            self._inbox.put(message)
        else:
            log.warning("a worker takes no %s", type(message).__name__)

    def _stop(self) -> None:
        with self._lock:
            running = self._current
        if running is not None:
            running.cancel()
        self._inbox.put(None)
        timer = threading.Timer(GRACE, os._exit, args=(0,))
        timer.daemon = True
        timer.start()

    def run(self, registry: Any, backend: Any) -> None:
        """The main thread: jobs until the input has closed."""
        self._info = backend.info()
        self._outlet.send(frames.Ready(pid=os.getpid(), info=self._info))
        self._warm(registry, backend)
        while (message := self._inbox.get()) is not None:
            if isinstance(message, frames.Unload):
                self._unload(backend, message.model)
            else:
                self._outlet.send(self._do(message, registry, backend))
            if self._spoiled:
                log.error("a library found no memory and may not recover; another process takes over")
                return
            self._tell_changes(backend)

    def _warm(self, registry: Any, backend: Any) -> None:
        """Let the backend get ready for its first job until there is one; a backend need not know how."""
        warm = getattr(backend, "warm", None)
        if warm is None or self._has_job(FIRST_JOB):
            return
        from acestep.worker.backend import JobContext

        def give_way(*_progress: Any) -> None:
            if not self._inbox.empty():
                raise Cancelled("there is a job")

        with tempfile.TemporaryDirectory(prefix="acestep-warm-") as folder:
            try:
                warm(JobContext("warm-up", Path(folder), registry, give_way, backend=backend))
            except Exception:  # whatever a model, a plug-in or a library raises: the first job meets it again
                log.warning("the warm-up failed", exc_info=True)
        self._tell_changes(backend)

    def _has_job(self, seconds: float) -> bool:
        """Whether there is something to do, within so many seconds."""
        end = time.monotonic() + seconds
        while self._inbox.empty() and time.monotonic() < end:
            time.sleep(0.002)
        return not self._inbox.empty()

    def _tell_changes(self, backend: Any) -> None:
        info = backend.info()
        if info != self._info:
            self._info = info
            self._outlet.send(frames.Info(info))

    def _unload(self, backend: Any, model: str) -> None:
        try:
            backend.unload(model)
        except AceError as failure:
            log.warning("unload %r: %s", model, failure.message)

    def _do(self, run: frames.Run, registry: Any, backend: Any) -> msgspec.Struct:
        """One job from start to its last frame."""
        context = self._begin(run, registry, backend)
        try:
            context.check()
            context.staging.mkdir(parents=True, exist_ok=True)
            result = backend.run(run.operation, run.request, context)
            return frames.Done(job=run.job, result=msgspec.to_builtins(result))
        except Exception as failure:  # whatever a model, a plug-in or a library raises ends its job only
            self._spoiled = spoils_process(failure)
            if not isinstance(failure, AceError):
                log.exception("job %s", run.job)
            return frames.Failed(job=run.job, error=_told(failure).to_wire())
        finally:
            with self._lock:
                self._current = None

    def _begin(self, run: frames.Run, registry: Any, backend: Any) -> Any:
        from acestep.worker.backend import JobContext, Ties

        planned = msgspec.convert(run.planned, PlannedConditioning) if run.planned else None

        def report(stage: str, step: int, steps: int, fraction: float) -> None:
            share = min(max(fraction, 0.0), 0.9999)
            self._outlet.send(frames.Tick(job=run.job, stage=stage, step=step, steps=steps, fraction=share))

        def preview(file: dict[str, Any]) -> None:
            self._outlet.send(frames.Preview(job=run.job, file=file))

        def saved() -> None:
            self._outlet.send(frames.Saved(run.job))

        def follow(operation: str, params: dict[str, Any], job: str) -> None:
            self._outlet.send(frames.Follow(job=run.job, operation=operation, params=params, id=job))

        ties = Ties(saved, follow, planned)
        context = JobContext(run.job, Path(run.staging), registry, report, preview, backend, ties)
        with self._lock:
            self._current = context
            if run.job in self._cancelled:
                context.cancel()
                self._cancelled.discard(run.job)
        return context
