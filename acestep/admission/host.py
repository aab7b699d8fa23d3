"""What checking a request asks of the machine: headers of sounds and facts of models."""

from __future__ import annotations

from typing import Protocol

from acestep.api.source import AudioFacts, Source
from acestep.api.variants import ModelInfo


class World(Protocol):
    """What admission asks of the machine it runs on."""

    def probe(self, source: Source) -> AudioFacts:
        """Header facts of a source (path, upload or latent). Raises `NotFound`, `NotAllowed`, `NotAudio` ..."""

    def model(self, name: str) -> ModelInfo:
        """Facts of a model; the default one for the empty name. Raises `ModelMissing`."""
