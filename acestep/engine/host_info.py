"""What the worker knows of the machine it runs on: where a job's files lie, and what its models are. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from acestep.api.errors import SourceChanged
from acestep.api.source import AudioFacts, Source
from acestep.api.variants import ModelInfo
from acestep.audio import far
from acestep.audio.sniff import fingerprint, probe
from acestep.latents.latent_store import find_latent


def locate_source(source: Source, settings: Mapping[str, Any]) -> Path:
    """The sound file (or latent file) that a source means; ``settings`` are the worker's, with ``library`` and ``uploads``.

    Raises `NotFound`, and `SourceChanged` when the file is another than when the job was accepted.
    """
    if source.latent:
        path = find_latent(Path(settings["library"]), source.latent)
    elif source.upload:
        path = Path(settings["uploads"]) / f"{source.upload}.audio"
    else:
        path = far.here(Path(source.path))
    if source.fingerprint and fingerprint(path) != source.fingerprint:
        raise SourceChanged(f"{path.name} has changed since the job was accepted; submit the job again", field="source")
    return path


class WorkerHostInfo:
    """An `acestep.admission.host.HostInfo` inside the worker. ``model`` gives the facts of a model by name."""

    def __init__(self, settings: Mapping[str, Any], model: Callable[[str], ModelInfo]) -> None:
        self._settings = settings
        self.model = model

    def probe(self, source: Source) -> AudioFacts:
        """Header facts of a source. Raises `NotFound`, `SourceChanged`, `NotAudio` ..."""
        return probe(locate_source(source, self._settings))
