"""What admission asks of the machine it runs on: headers of sounds, facts of models, and at the door what a caller may name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from acestep.api.registry import Registry
from acestep.api.source import AudioFacts, Source
from acestep.api.variants import ModelInfo


class HostInfo(Protocol):
    """What planning a render asks of the machine. Daemon and worker have one each."""

    def probe(self, source: Source) -> AudioFacts:
        """Header facts of a source (path, upload or latent). Raises `NotFound`, `NotAllowed`, `NotAudio` ..."""

    def model(self, name: str) -> ModelInfo:
        """Facts of a model; the default one for the empty name. Raises `ModelMissing`."""


class CallerHostInfo(HostInfo, Protocol):
    """What the door asks besides, about files and models as far as a caller may name them. Every refusal is an `AceError`."""

    @property
    def home(self) -> Path:
        """The folder of the daemon's state: datasets and adapters lie there."""

    def place(self, source: Source) -> Path:
        """The file that a source means."""

    def file(self, text: str, field: str) -> Path:
        """The file that a path field names: a path, ``upload:<id>``, or a finished job (and its file)."""

    def read_folder(self, text: str, field: str) -> Path:
        """A folder whose files may be read."""

    def folder(self, text: str, field: str) -> Path:
        """A folder for copies, which can be written."""

    def named(self, text: str) -> str:
        """A sentence with the names that uploads had where they came from."""

    def weights(self, model: ModelInfo) -> str:
        """Digest of a model's weights; empty where there are none on the disk."""

    def require_planner(self, registry: Registry, request: Any, field: str, *, listens: bool = False) -> None:
        """See that the language model which a request names in a field can be run, or that rules can take its place."""

    def require_checkpoint(self, request: Any, *, read: bool) -> None:
        """See that the checkpoint which a request names can make its codes, or ``read`` them."""

    def require_adapters(self, adapters: list[str], model: str) -> None:
        """See that every adapter of a stage is here and fits its model."""

    def require_weights(self, named: dict[str, str], models: set[str]) -> None:
        """See that a recipe's models are those here."""
