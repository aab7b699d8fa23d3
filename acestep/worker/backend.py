"""What the worker process and a backend expect of each other. No torch here; a backend brings what it needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from acestep.api.errors import Cancelled, Suspended
from acestep.api.planned import PlannedConditioning
from acestep.api.registry import Registry
from acestep.api.result import Result


class Ties:
    """What a job has with the daemon besides progress, whichever part of it runs: a request to stop or to make way, what it has
    saved, further jobs that it asks for, and the plan that was made for it elsewhere."""

    def __init__(
        self,
        saved: Callable[[], None] = lambda: None,
        follow: Callable[[str, dict[str, Any], str], None] = lambda operation, params, job: None,
        planned: PlannedConditioning | None = None,
    ) -> None:
        self.cancelled = threading.Event()
        self.way_wanted = threading.Event()
        self.saved = saved
        self.follow = follow
        self.planned = planned


class JobContext:
    """One running job as seen by the code that does it.

    ``tick`` is called after every unit of work (velocity call, VAE tile, shard read): it reports progress and raises
    `Cancelled` once the job is cancelled, so no unit starts after that. ``staging`` is the folder all files go into.
    """

    def __init__(
        self,
        job: str,
        staging: Path,
        registry: Registry,
        report: Callable[[str, int, int, float], None],
        preview: Callable[[dict[str, Any]], None] = lambda file: None,
        backend: Backend | None = None,
        ties: Ties | None = None,
    ) -> None:
        self.job = job
        self.staging = staging
        self.registry = registry
        self.preview = preview
        self.backend = backend
        """The backend that runs the job, for operations that use its models and settings."""
        self._report = report
        self._ties = ties or Ties()

    def cancel(self) -> None:
        """Ask the job to stop at its next check; safe from any thread."""
        self._ties.cancelled.set()

    def check(self) -> None:
        """Raise `Cancelled` if the job was cancelled."""
        if self._ties.cancelled.is_set():
            raise Cancelled("the job was cancelled")

    def step_aside(self) -> None:
        """Ask the job to make way for another one as soon as it has saved its place; safe from any thread."""
        self._ties.way_wanted.set()

    def makes_way(self) -> bool:
        """Whether another job waits for this one to save its place and to raise `Suspended`."""
        return self._ties.way_wanted.is_set()

    def make_way(self) -> None:
        """Raise `Suspended` if another job waits: for work that is saved piece by piece anyway."""
        if self.makes_way():
            raise Suspended("the job made room for another one")

    def saved(self) -> None:
        """Tell that something new has been saved which a crash does not take back."""
        self._ties.saved()

    def follow(self, operation: str, params: dict[str, Any], job: str) -> None:
        """Hand in a further job, for the same client; if the door refuses it, that becomes a note of this one's result."""
        self._ties.follow(operation, params, job)

    @property
    def planned(self) -> PlannedConditioning | None:
        """The plan of a render that another device has made; None where it is to be made here, if any is."""
        return self._ties.planned

    def tick(self, stage: str, step: int, steps: int, fraction: float) -> None:
        """Report that ``step`` of ``steps`` in ``stage`` is done, ``fraction`` (0 to 1) of the whole job."""
        self._report(stage, step, steps, fraction)
        self.check()

    def within(self, folder: Path) -> JobContext:
        """The same job with another folder for its files."""
        return JobContext(self.job, folder, self.registry, self._report, self.preview, self.backend, self._ties)

    def part(self, begin: float, end: float = 1.0) -> JobContext:
        """The same job for code that does a part of it and counts its own fractions from 0: they become ``begin`` to ``end``."""

        def report(stage: str, step: int, steps: int, fraction: float) -> None:
            self._report(stage, step, steps, begin + (end - begin) * fraction)

        return JobContext(self.job, self.staging, self.registry, report, self.preview, self.backend, self._ties)


class Backend(Protocol):
    """Runs jobs in the worker. Built as ``Class(settings)`` with the worker's settings map (device, dtype, threads ...).

    It may also have ``warm(context)``: called once before the first job, to make that one quick; gives way at ``context.tick``.
    """

    def info(self) -> dict[str, Any]:
        """Device, dtype, loaded models and memory, for status."""

    def run(self, operation: str, request: dict[str, Any], context: JobContext) -> Result:
        """Do the job: all files written and synced in ``context.staging`` when it returns.

        ``request`` is the canonical recipe of a render, or the plain request of another operation; for the operation
        `acestep.api.planned.THINK` a `PlanWish`, whose answer is a `PlannedConditioning` as ``data``. Raises `AceError`.
        """

    def unload(self, model: str) -> None:
        """Free the memory of a model (empty: of all), at once."""
