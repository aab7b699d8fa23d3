"""What the daemon knows of its machine, and which files, uploads and results a caller may name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from acestep.admission.paths import UPLOADED
from acestep.api.errors import NotAllowed, NotFound, OutputUnwritable
from acestep.api.registry import Registry
from acestep.api.rights import Right
from acestep.api.source import AudioFacts, Source
from acestep.api.variants import ModelInfo
from acestep.audio import sniff
from acestep.checkpoints.adapters import check_adapters, parse_adapters
from acestep.checkpoints.digest import require_weights
from acestep.checkpoints.installed import fingerprint
from acestep.latents.latent_store import find_latent, job_of
from bridge.core import planners
from bridge.core.access import Access
from bridge.core.models import Models
from bridge.core.naming import names_job, sound_of_job
from bridge.core.uploads import Uploads
from bridge.paths import AllowedRoots, UserRoots


class Folders(msgspec.Struct, frozen=True):
    """Folders that requests name things in: results, the LoRA adapters' own, and the home with its datasets."""

    library: Path
    adapters: list[Path] = []
    home: Path = Path()


class DaemonHostInfo:
    """An `acestep.admission.host.CallerHostInfo` of this machine, made of its roots, models and uploads."""

    def __init__(self, roots: AllowedRoots, models: Models, uploads: Uploads, folders: Folders) -> None:
        self.roots = roots
        self._models = models
        self._uploads = uploads
        self._folders = folders

    def for_caller(self, access: Access, client_of: Callable[[str], str]) -> DaemonHostInfo:
        """This machine as a caller may use it. ``client_of`` tells who handed a job in.

        A stranger names no file of this machine but the results of its own jobs: neither to read nor to find out what is there.
        The machine's own user names any file.
        """
        if access.right >= Right.USER:
            roots = UserRoots(self.roots.read, self.roots.write)
            return DaemonHostInfo(roots, self._models, self._uploads, self._folders)
        if not access.stranger:
            return self
        return _StrangersHostInfo(self, lambda job: access.owns(client_of(job)))

    def model(self, name: str) -> ModelInfo:
        """Facts of a model. Raises `ModelMissing`."""
        return self._models.get(name)

    def require_planner(self, registry: Registry, request: Any, field: str, *, listens: bool = False) -> None:
        """See that the language model which a request names in a field can be run, or that rules can take its place.

        Raises `Unavailable`, `ModelMissing`.
        """
        planners.require_planner(registry, self._models, request, field, listens=listens)

    def weights(self, model: ModelInfo) -> str:
        """A digest of a sample of a model's files; empty for one that is not on the disk."""
        return fingerprint(model) if model.path else ""

    def require_weights(self, named: dict[str, str], models: set[str]) -> None:
        """See that a recipe's models are those here, by a sample of their files. Raises `WeightsChanged`."""
        here = {name: self._models.get(name) for name in models & named.keys()}
        require_weights(named, {name: fingerprint(found) for name, found in here.items() if found.path})

    def require_checkpoint(self, request: Any, *, read: bool) -> None:
        """See that the checkpoint a request names can make its codes. Raises `ModelMissing`, `ModelUnsuited`."""
        planners.require_checkpoint(self._models, request, read=read)

    def require_adapters(self, adapters: list[str], model: str) -> None:
        """See that every adapter a stage names is here and fits its model.

        Raises `UnknownName` with those there are, `BadRequest`, `BadCheckpoint`, `ModelUnsuited`.
        """
        if adapters:
            found = self.model(model)
            layers = self._models.family(found).layers(found)
            check_adapters(parse_adapters(adapters, self._folders.adapters), layers)

    def probe(self, source: Source) -> AudioFacts:
        """Header facts of a source. Raises `NotFound`, `NotAllowed`, `NotAudio`, `CorruptAudio` ..."""
        return sniff.probe(self.place(source))

    def file(self, text: str, field: str) -> Path:
        """The file that a path field names: a path of this machine, ``upload:<id>``, or a finished job (and its file)."""
        if text.startswith(UPLOADED):
            return self.place(Source(upload=text.removeprefix(UPLOADED)))
        if names_job(text):
            text = str(sound_of_job(self._folders.library, text, field))
        return self.roots.reading(text, field)

    @property
    def home(self) -> Path:
        """The folder of the daemon's state."""
        return self._folders.home

    def read_folder(self, text: str, field: str) -> Path:
        """A folder whose files may be read. Raises `BadRequest`, `NotAllowed` or `NotFound`."""
        return self.roots.reading_folder(text, field)

    def folder(self, text: str, field: str) -> Path:
        """A folder for copies, and that it can be written. Raises `NotAllowed` or `OutputUnwritable`."""
        folder = self.roots.writing(text, field)
        nearest = folder
        while not nearest.exists() and nearest != nearest.parent:
            nearest = nearest.parent
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise OutputUnwritable(f"{text} cannot be written", field=field)
        return folder

    def named(self, text: str) -> str:
        """A sentence with the names that uploads had where they came from."""
        return self._uploads.named(text)

    def place(self, source: Source) -> Path:
        """The file that a source means."""
        if source.path:
            return self.file(source.path, "source")
        if source.upload:
            return self._uploads.path(source.upload)
        return find_latent(self._folders.library, source.latent)


OWN_ONLY = "from another machine you can use only results of your own jobs"


class _StrangersHostInfo(DaemonHostInfo):
    """What a caller without rights sees: its own results."""

    def __init__(self, whole: DaemonHostInfo, owns: Callable[[str], bool]) -> None:
        super().__init__(OwnResults(whole._folders.library, owns), whole._models, whole._uploads, whole._folders)
        self._owns = owns

    def file(self, text: str, field: str) -> Path:
        if names_job(text) and not self._owns(text.partition("/")[0]):
            raise NotAllowed(OWN_ONLY, field=field)
        return super().file(text, field)

    def place(self, source: Source) -> Path:
        if source.upload:
            raise NotAllowed("only the owner may upload files", field="upload")
        if not source.path and not self._owns(source.latent.partition("/")[0]):
            raise NotFound(f"there is no stored latent {source.latent!r}", field="source_latent")
        return super().place(source)


class OwnResults(AllowedRoots):
    """The files of one caller's jobs in the library, and nothing else of this machine."""

    def __init__(self, library: Path, owns: Callable[[str], bool]) -> None:
        super().__init__([library], [])
        self._owns = owns

    def reading(self, text: str, field: str = "source") -> Path:
        """The real path of a file of an own result. Raises `NotAllowed` for every other, whether it exists or not."""
        try:
            real = super().reading(text, field)
        except (NotAllowed, NotFound):
            real = None
        (library,) = self.read
        if (
            real is None
            or real.parent == library
            or not self._owns(job_of(library / real.relative_to(library).parts[0]))
        ):
            raise NotAllowed(OWN_ONLY, field=field)
        return real

    def reading_folder(self, text: str, field: str = "folder") -> Path:
        """Nothing. Raises `NotAllowed`."""
        raise NotAllowed(OWN_ONLY, field=field)

    def writing(self, text: str, field: str = "folder") -> Path:
        """Nothing. Raises `NotAllowed`."""
        raise NotAllowed("only the owner may have results copied", field=field)
