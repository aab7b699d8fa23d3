"""What an operation that runs in the daemon is handed: the way to its job's progress, and what of the daemon it may use.

An operation names such a function as its target: ``async def run(request, daemon: DaemonContext) -> dict``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from acestep.api.variants import ModelInfo

if TYPE_CHECKING:
    from acestep.api.registry import Registry


class DaemonContext(Protocol):
    """One run of an operation inside the daemon. What blocks belongs into a thread: the daemon answers everybody meanwhile."""

    @property
    def job(self) -> str:
        """Id of the job."""

    @property
    def core(self) -> DaemonParts:
        """The daemon."""

    def report(self, stage: str, step: int, steps: int, fraction: float, /) -> None:
        """Tell how far it is, as often as it likes: ``fraction`` is that of the whole job."""

    async def follow(self, operation: str, params: dict[str, Any], job: str, /) -> str:
        """Hand in a further job under this id, for the same client; returns the id. Raises what the door refuses it with."""


class DaemonParts(Protocol):
    """What operations use of the daemon."""

    @property
    def library(self) -> DaemonLibrary:
        """The results."""

    @property
    def registry(self) -> Registry:
        """What the plug-ins offer."""

    @property
    def paths(self) -> DaemonPaths:
        """Where things are."""

    @property
    def settings(self) -> DaemonSettings:
        """How the daemon was set up."""

    def model(self, name: str = "") -> ModelInfo:
        """Facts of a model; the default one for the empty name. Looks at the disk. Raises `ModelMissing`."""

    async def look(self) -> None:
        """See which models are on the disk now, instead of within a minute."""

    async def unload(self, model: str = "") -> None:
        """Free the memory of a model in the worker (empty: of all)."""


class DaemonLibrary(Protocol):
    """The results on the disk."""

    @property
    def folder(self) -> Path:
        """A folder for each job."""


class DaemonPaths(Protocol):
    """Folders of the daemon."""

    @property
    def home(self) -> Path:
        """All state lies below."""

    @property
    def checkpoints(self) -> Path:
        """Where models are fetched to."""


class DaemonSettings(Protocol):
    """Settings that operations ask for."""

    @property
    def checkpoints(self) -> Sequence[str]:
        """Further folders with models, as the user wrote them."""
