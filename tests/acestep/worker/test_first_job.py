"""A job that waited for its worker is not held up by a warm-up; where none comes, the worker warms up."""

from __future__ import annotations

import pytest

from acestep.api import frames
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
