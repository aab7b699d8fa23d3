"""What the worker process and a backend expect of each other. No torch here; a backend brings what it needs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from acestep.api.errors import Cancelled
from acestep.api.registry import Registry
from acestep.api.result import Result


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
    ) -> None:
        self.job = job
        self.staging = staging
        self.registry = registry
        self.preview = preview
        self.backend = backend
        """The backend that runs the job, for operations that use its models and settings."""
        self._report = report
        self._cancel = threading.Event()

    def cancel(self) -> None:
        """Ask the job to stop at its next check; safe from any thread."""
        self._cancel.set()

    def check(self) -> None:
        """Raise `Cancelled` if the job was cancelled."""
        if self._cancel.is_set():
            raise Cancelled("the job was cancelled")

    def tick(self, stage: str, step: int, steps: int, fraction: float) -> None:
        """Report that ``step`` of ``steps`` in ``stage`` is done, ``fraction`` (0 to 1) of the whole job."""
        self._report(stage, step, steps, fraction)
        self.check()

    def within(self, folder: Path) -> JobContext:
        """The same job with another folder for its files."""
        inner = JobContext(self.job, folder, self.registry, self._report, self.preview, self.backend)
        inner._cancel = self._cancel
        return inner

    def part(self, begin: float) -> JobContext:
        """The same job for code that does its rest and counts its own fractions from 0: they become ``begin`` to 1."""
        rest = JobContext(
            self.job,
            self.staging,
            self.registry,
            lambda stage, step, steps, fraction: self._report(stage, step, steps, begin + (1 - begin) * fraction),
            self.preview,
            self.backend,
        )
        rest._cancel = self._cancel
        return rest


class Backend(Protocol):
    """Runs jobs in the worker. Built as ``Class(settings)`` with the worker's settings map (device, dtype, threads ...)."""

    def info(self) -> dict[str, Any]:
        """Device, dtype, loaded models and memory, for status."""

    def run(self, operation: str, request: dict[str, Any], context: JobContext) -> Result:
        """Do the job: all files written and synced in ``context.staging`` when it returns.

        ``request`` is the canonical recipe of a render, or the plain request of another operation. Raises `AceError`.
        """

    def unload(self, model: str) -> None:
        """Free the memory of a model (empty: of all), at once."""
