"""The order in which a worker works: a waiting job before its warm-up, and nothing after a library that may not recover."""

from __future__ import annotations

import pytest

from acestep.api import frames
from acestep.api.errors import OutOfMemory
from acestep.worker import process
from acestep.worker.process import Worker


class Told:
    """Keeps what a worker says, and hands in a job as soon as it is ready where ``at_once``."""

    def __init__(self, at_once: bool) -> None:
        self.worker: Worker | None = None
        self.at_once, self.said = at_once, []

    def send(self, message) -> None:
        self.said.append(type(message).__name__)
        if isinstance(message, frames.Ready) and self.at_once:
            self.worker.take(frames.Run(job="a", operation="generate", request={}, staging="nowhere"))


class Backend:
    """Writes down in which order it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def info(self):
        return {}

    def warm(self, context) -> None:
        self.asked.append("warm")


@pytest.mark.parametrize(("at_once", "asked"), [(True, ["job"]), (False, ["warm"])])
def test_what_comes_first(monkeypatch, at_once, asked):
    """The daemon hands a waiting job in a moment after the worker has said that it is ready."""
    monkeypatch.setattr(process, "FIRST_JOB", 60.0 if at_once else 0.01)
    outlet, backend = Told(at_once), Backend()
    outlet.worker = worker = Worker(outlet)
    monkeypatch.setattr(
        worker,
        "_do",
        lambda run, registry, backend: backend.asked.append("job") or frames.Failed(job=run.job, error={}),
    )
    if at_once:
        monkeypatch.setattr(worker, "_tell_changes", lambda backend: worker._inbox.put(None))
    else:
        worker._inbox = _EmptyThenEnd()
    worker.run(None, backend)
    assert backend.asked == asked


class _EmptyThenEnd:
    """An inbox without jobs, whose input then closes."""

    def empty(self) -> bool:
        return True

    def get(self):
        return None


def test_a_worker_with_a_spoiled_library_ends(monkeypatch, tmp_path):
    """Its job is told as what it is, out of memory; the jobs behind it are another process's."""

    class Spoiled(Backend):
        def run(self, operation, request, context):
            self.asked.append(operation)
            raise OutOfMemory("too little") from RuntimeError("could not create a primitive")

    outlet, backend = Told(at_once=False), Spoiled()
    worker, sent = Worker(outlet), []
    monkeypatch.setattr(process, "FIRST_JOB", 60.0)
    monkeypatch.setattr(outlet, "send", sent.append)
    for job in "ab":
        worker.take(frames.Run(job=job, operation=job, request={}, staging=str(tmp_path / job)))
    worker.run(None, backend)
    assert backend.asked == ["a"]
    assert [(one.job, one.error["code"]) for one in sent if isinstance(one, frames.Failed)] == [("a", "out_of_memory")]


def test_a_worker_that_cannot_hear_any_more_ends(monkeypatch, tmp_path):
    """No memory for what the daemon sends: a process that stays would never hear of a cancel."""
    monkeypatch.setattr(process, "GRACE", 3600.0)  # the timer would end this process

    def full(reader, data):
        raise MemoryError

    monkeypatch.setattr(frames.FrameReader, "feed", full)
    inlet, outlet = process.os.pipe()
    process.os.write(outlet, b"x")
    worker = Worker(Told(at_once=False))
    worker.read(inlet)
    assert worker._inbox.get(timeout=10) is None
    for end in (inlet, outlet):
        process.os.close(end)
