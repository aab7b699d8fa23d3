"""What checking a request asks of the machine: headers of sounds and facts of models."""

from __future__ import annotations

from typing import Protocol

import msgspec

from acestep.api.source import Source
from acestep.api.variants import ModelInfo


class AudioFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file's header says."""

    rate: int
    channels: int
    frames: int
    format: str = ""
    subtype: str = ""
    """Of a stored latent (format ``latent``): the family of codecs that it belongs to."""
    fingerprint: str = ""
    position: int = 0
    """Where the file says that it begins on its own timeline, in samples."""
    notes: tuple[str, ...] = ()
    """Sentences for the user about the file."""


class World(Protocol):
    """What admission asks of the machine it runs on."""

    def probe(self, source: Source) -> AudioFacts:
        """Header facts of a source (path, upload or latent). Raises `NotFound`, `NotAllowed`, `NotAudio` ..."""

    def model(self, name: str) -> ModelInfo:
        """Facts of a model; the default one for the empty name. Raises `ModelMissing`."""
