"""The actor on a node: holds the models and does one job at a time, as a worker process does for this machine.

Two groups of threads: one carries jobs, the other hears cancels and questions meanwhile, since Ray's own cancel does not reach a
method that runs. The node's settings (home,
checkpoints, threads, number type ...) are those of its own config file and environment.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acestep import __version__
from acestep.api import frames
from acestep.api.errors import AceError, Cancelled, ModelMissing, NotFound, WeightsChanged, error_from_wire
from acestep.audio import far
from acestep.checkpoints.families import find_models
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders
from acestep.checkpoints.installed import fingerprint
from acestep.worker.command_line import parse_arguments, prepare_environment
from acestep.worker.far_copies import FarCopies
from acestep.worker.far_files import FarFile
from acestep.worker.process import Worker, build
from bridge.cluster.parcel import CHUNK, Greeting, Piece, Said, Wanted, Wishes
from bridge.core.command import worker_options
from bridge.devices import Device
from bridge.paths import Paths
from bridge.settings import features, resolve

PATIENCE = 300.0
"""Seconds that a job waits for a piece of a file of the daemon's machine."""

LAST_WORDS = (frames.Done, frames.Failed)
"""What the worker says of a job at its end."""

CONTROL = "control"
"""Name of the group of threads that hears cancels."""


class NodeWorker:
    """One actor. `version` and `hello` first; then `run` for each job, `tell` and `give` at any time."""

    def __init__(self) -> None:
        self._outlet = _Outlet()
        self._worker = Worker(self._outlet)
        self._given: dict[int, queue.SimpleQueue[Any]] = {}
        self._asked = 0
        self._job = ""
        self._cancelled: set[str] = set()
        self._models: dict[str, Any] = {}

    def version(self) -> str:
        """The version of this package on the node."""
        return __version__

    def hello(self, wishes: bytes) -> bytes:
        """Load the backend; a `Greeting`, encoded."""
        try:
            hello = self._start(msgspec.json.decode(wishes, type=Wishes))
        except AceError as failure:
            hello = Greeting(error=failure.to_wire())
        return msgspec.json.encode(hello)

    def _start(self, wishes: Wishes) -> Greeting:
        own = resolve(
            {**msgspec.to_builtins(wishes), "features": sorted({*features(resolve({}).settings), *wishes.features})}
        )
        settings, paths = own.settings, Paths.of(own.settings)
        work = _work_folder(paths.home)
        self._copies = FarCopies(work / "copies", self._ask)
        self._staging = work / "staging"
        options = parse_arguments(
            worker_options(settings, paths, wishes.backend, Device(), features=features(settings))
        )
        options |= {"library": self._copies.library, "uploads": self._copies.uploads}
        prepare_environment(options["threads"])
        logging.basicConfig(level=options["log_level"].upper(), stream=sys.stderr)
        registry, backend = build(options)
        folders = checkpoint_folders(EMBEDDED, *map(Path, options["checkpoints"]))
        self._models = {model.name: model for model in find_models(folders, registry.families)}
        threading.Thread(target=self._worker.run, args=(registry, backend), name="jobs", daemon=True).start()
        ready = self._outlet.ready.get()
        return Greeting(pid=os.getpid(), info=ready.info, models=sorted(self._models))

    def tell(self, frame: bytes) -> bytes:
        """A message for the worker (a cancel, a question); what it has said besides its job, as frames."""
        for message in frames.FrameReader().feed(frame):
            if isinstance(message, frames.Cancel):
                self._cancel(message.job)
            else:
                self._worker.take(message)
        return self._outlet.news()

    def _cancel(self, job: str) -> None:
        """Stop a job wherever it is: it waits for no further piece of a file, hands no more over, and begins no further step."""
        self._cancelled.add(job)
        if job == self._job:
            for waiting in list(self._given.values()):
                waiting.put(Cancelled("the job was cancelled"))
        self._worker.take(frames.Cancel(job))

    def give(self, number: int, data: NDArray[np.uint8] | None, error: dict[str, Any] | None = None) -> None:
        """What the worker asked for under a number, or why it cannot be had."""
        if (waiting := self._given.get(number)) is not None:
            waiting.put(data if error is None else error_from_wire(error))

    def run(self, frame: bytes, files: bytes, weights: dict[str, str]) -> Iterator[Said | Wanted | Piece]:
        """One job from start to its last frame. ``weights``: model -> digest of its files on the daemon's machine."""
        (task,) = frames.FrameReader().feed(frame)
        staging, self._job = self._staging / task.job, task.job
        try:
            self._check_models(weights)
            yield from self._place(msgspec.msgpack.decode(files, type=list[FarFile]))
            far.use(self._copies)
            self._worker.take(msgspec.structs.replace(task, staging=str(staging)))
            yield from self._follow(staging)
        except AceError as failure:
            yield Said(frames.encode(frames.Failed(job=task.job, error=failure.to_wire())))
        finally:
            self._cancelled.discard(task.job)
            far.use(None)
            shutil.rmtree(staging, ignore_errors=True)

    def _check_models(self, weights: dict[str, str]) -> None:
        """Raises `ModelMissing`, `WeightsChanged`."""
        for name, digest in weights.items():
            if (model := self._models.get(name)) is None:
                raise ModelMissing(
                    f"the node has no model {name!r}; copy it into its checkpoints folder, or choose a node that has it",
                    field="model",
                    limits={"choices": sorted(self._models)},
                )
            if model.path and fingerprint(model) != digest:
                raise WeightsChanged(
                    f"the files of the model {name!r} on the node are not those of the daemon's machine; copy them again",
                    field="model",
                )

    def _place(self, files: list[FarFile]) -> Iterator[Said | Wanted | Piece]:
        """Make the copies that the job needs. What is needed whole is fetched on a thread, so that it can be asked for here."""
        failed: list[AceError] = []

        def take() -> None:
            try:
                self._copies.take(files)
            except AceError as failure:
                failed.append(failure)
            finally:
                self._outlet.job.put(None)

        threading.Thread(target=take, name="copies", daemon=True).start()
        while (message := self._outlet.job.get()) is not None:
            yield message
        if failed:
            raise failed[0]

    def _follow(self, staging: Path) -> Iterator[Said | Wanted | Piece]:
        """What the worker says of its job, each file before the frame that tells of it."""
        ended = False
        try:
            while not ended:
                message = self._outlet.job.get()
                if isinstance(message, Wanted):
                    yield message
                    continue
                ended = isinstance(message, LAST_WORDS)
                wanted = yield from self._hand_over(staging, _files_of(message, staging))
                if wanted:
                    yield Said(frames.encode(message))
                elif ended:
                    raise Cancelled("the job was cancelled")
        finally:
            if not ended:  # Ray could not keep what was handed over; the next job must not hear this one's words
                self._cancel(self._job)
                while not isinstance(self._outlet.job.get(), LAST_WORDS):
                    pass

    def _hand_over(self, staging: Path, names: list[str]) -> Generator[Piece, None, bool]:
        """The files piece by piece; whether they are still wanted, which they are not once the job is cancelled."""
        for name in names:
            for piece in _pieces(staging, name):
                if self._job in self._cancelled:
                    return False
                yield piece
        return True

    def _ask(self, path: str, start: int, end: int) -> None:
        """Fetch a part of a file of the daemon's machine; called by the thread that reads. Raises `AceError`."""
        for first in range(start, end, CHUNK):
            self._asked += 1
            number, waiting = self._asked, queue.SimpleQueue[Any]()
            self._given[number] = waiting
            try:
                if self._job in self._cancelled:  # asked once a cancel finds whoever waits
                    raise Cancelled("the job was cancelled")
                self._outlet.job.put(Wanted(number, path, first, min(first + CHUNK, end)))
                given = waiting.get(timeout=PATIENCE)
            except queue.Empty:
                raise NotFound(f"{Path(path).name} did not come from the daemon's machine", field="source") from None
            finally:
                del self._given[number]
            if isinstance(given, AceError):
                raise given
            self._copies.write(path, first, given.data)


class _Outlet:
    """Where the worker's messages go: those of a job in order to whoever carries it, others to whoever asks next."""

    def __init__(self) -> None:
        self.job: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.ready: queue.SimpleQueue[frames.Ready] = queue.SimpleQueue()
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def send(self, message: msgspec.Struct) -> None:
        if isinstance(message, frames.Ready):
            self.ready.put(message)
        elif isinstance(message, (frames.Pong, frames.Info)):
            self._news.put(message)
        else:
            self.job.put(message)

    def news(self) -> bytes:
        found = b""
        while True:
            try:
                found += frames.encode(self._news.get_nowait())
            except queue.Empty:
                return found


def _work_folder(home: Path) -> Path:
    """A folder for this process on the node's disk; those of processes that have ended go."""
    root = home / "cluster"
    root.mkdir(parents=True, exist_ok=True)
    for old in root.iterdir():
        if not old.name.isdigit() or not Path("/proc", old.name).exists():
            shutil.rmtree(old, ignore_errors=True)
    own = root / str(os.getpid())
    own.mkdir(exist_ok=True)
    return own


def _files_of(message: msgspec.Struct, staging: Path) -> list[str]:
    """The files that belong to a message of the worker, relative to the job's staging folder."""
    if isinstance(message, frames.Preview):
        return [str(message.file.get("name", ""))]
    if isinstance(message, frames.Done):
        return [path.relative_to(staging).as_posix() for path in sorted(staging.rglob("*")) if path.is_file()]
    return []


def _pieces(folder: Path, name: str) -> Iterator[Piece]:
    path = folder / name
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in range(0, size, CHUNK) or (0,):
            data = np.frombuffer(file.read(CHUNK), np.uint8)
            yield Piece(name, start, data, start + CHUNK >= size)
