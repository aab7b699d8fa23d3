"""The seam between the job runner and whatever does the work: here a child process, elsewhere another machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from acestep.api.frames import Run
from bridge.devices import Device


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """What an executor tells while a task runs, on the event loop."""

    tick: Callable[[str, int, int, float], None]
    """Stage, step, steps, fraction of the whole job (0 to 1)."""
    preview: Callable[[dict[str, Any]], None]
    """A preview file stands in the staging folder."""
    saved: Callable[[], None] = lambda: None
    """The job has saved something new, which a crash does not take back."""
    follow: Callable[[str, dict[str, Any], str], None] = lambda operation, params, job: None
    """The job hands in a further one: operation, parameters, id."""


class Executor(Protocol):
    """Runs tasks one after the other, on one device."""

    device: Device
    """Where its tasks run."""

    def start(self) -> None:
        """Get ready in the background; `run` works without it."""

    async def run(self, task: Run, listener: Listener) -> dict[str, Any]:
        """Do a task, whose ``staging`` folder does not exist yet.

        Returns its `acestep.api.result.Result` as a map once all files are written and synced.
        Raises the `AceError` that the task ended with: `Cancelled` after a cancel, `WorkerDied` when the process ended.
        """

    def cancel(self, job: str) -> None:
        """Ask the running task to stop, and force it when it does not."""

    def step_aside(self, job: str) -> None:
        """Ask the running task to save its place and to end with `Suspended`; it may also just end."""

    def unload(self, model: str = "") -> None:
        """Free the memory of a model (empty: of all) after the present task."""

    def reset(self) -> None:
        """Try again after the executor gave up."""

    def facts(self) -> dict[str, Any]:
        """State, device, models, memory, deaths, for status."""

    @property
    def degraded(self) -> bool:
        """Whether tasks are refused for now, because too many have ended it."""

    @property
    def gone(self) -> str:
        """A sentence while the device is not there, else nothing."""

    @property
    def ready(self) -> bool:
        """Whether a task may be given to it; one whose worker starts takes it and waits."""

    def holds(self, models: Sequence[str]) -> bool:
        """Whether these models are open, so that a task with them starts at once."""

    def lacks(self, models: Sequence[str]) -> bool:
        """Whether one of these models is known to be missing where it works."""

    @property
    def room(self) -> int | None:
        """Bytes of the device's memory; None where none has to be told apart from the machine's."""

    async def close(self) -> None:
        """Stop the running task and free everything."""
