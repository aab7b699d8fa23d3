"""Which models this daemon can name: those on disk, the embedded one, and those that could be fetched."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import ModelMissing
from acestep.api.family import Families, ModelFamily
from acestep.api.registry import Registry
from acestep.api.variants import VARIANTS, ModelInfo
from acestep.checkpoints import catalogue
from acestep.checkpoints import info as checkpoints
from acestep.checkpoints.families import find_models, model_problems
from acestep.checkpoints.installed import AnyModel, PlannerInfo, find_model, language_models, model_facts
from bridge.paths import Paths
from bridge.settings import Settings, features

FRESH = 5.0
"""Seconds that a look at the disk is believed; a model that was just copied in is seen after that."""

SCRATCH = "tiny"
"""The checkpoint of random weights that the worker can build by itself."""


class Models:
    """The models of this machine, of all ``families``. Safe from several threads."""

    def __init__(self, folders: list[Path], families: Families, default: str = "") -> None:
        self._folders = folders
        self._families = families
        self._default = default
        self._lock = threading.Lock()
        self._found: dict[str, ModelInfo] = {}
        self._language: list[PlannerInfo] = []
        self._looked = float("-inf")

    @classmethod
    def of(cls, settings: Settings, paths: Paths) -> Models:
        """Those that the settings' folders hold, of every family whose plug-in loads; for commands without a daemon."""
        registry = Registry.load(folder=paths.plugins, disabled=settings.plugins_disabled, features=features(settings))
        folders = [paths.checkpoints, *(Path(folder).expanduser() for folder in settings.checkpoints)]
        return cls(folders, registry.families, settings.model)

    @property
    def families(self) -> Families:
        """The families whose models these are, by name."""
        return self._families

    def all(self, *, now: bool = False) -> dict[str, ModelInfo]:
        """Every model by name, from a look at the disk at most `FRESH` seconds old; ``now``: from a new one."""
        with self._lock:
            if now or time.monotonic() - self._looked > FRESH:
                self._found = self._look()
                self._looked = time.monotonic()
            return self._found

    def known(self) -> dict[str, ModelInfo]:
        """The models as they were last seen, at once."""
        return self._found or {SCRATCH: _scratch()}

    def _look(self) -> dict[str, ModelInfo]:
        places = checkpoints.checkpoint_folders(checkpoints.EMBEDDED, *self._folders)
        found = {model.name: model for model in find_models(places, self._families)}
        found.setdefault(SCRATCH, _scratch())
        self._language = [*language_models(places)]
        return found

    def default(self) -> str:
        """Name of the model that the empty name means."""
        if self._default:
            return self._default.removeprefix(checkpoints.PREFIX)
        embedded = checkpoints.EMBEDDED.name
        return embedded if embedded in self.known() else SCRATCH

    def get(self, name: str) -> ModelInfo:
        """Facts of a model; the default one for the empty name. Raises `ModelMissing`."""
        found = self.all()
        wanted = name or self.default()
        for model in found.values():
            if wanted in (model.name, Path(model.path).name if model.path else model.name):
                return model
        fetchable = wanted in catalogue.published(self._families)
        hint = f"; `acestep-bridge models download {wanted}` fetches it" if fetchable else ""
        raise ModelMissing(
            f"there is no model {wanted!r} on this machine{hint}", field="model", limits={"choices": sorted(found)}
        )

    def find(self, name: str) -> AnyModel:
        """As `get`, language models (``lm-1.7B``) included. Raises `ModelMissing`."""
        if not catalogue.language_model(name):
            return self.get(name)
        return find_model(name, checkpoints.checkpoint_folders(*self._folders), self._families)

    def family(self, model: ModelInfo) -> ModelFamily:
        """The description of a model's family."""
        return self._families[model.family].described()

    def language_models(self) -> list[PlannerInfo]:
        """The language models on this disk, from a look at most `FRESH` seconds old."""
        self.all()
        return self._language

    def problems(self) -> dict[str, str]:
        """Path -> sentence for what lies in the folders like a model and cannot be used; reads headers."""
        return model_problems(checkpoints.checkpoint_folders(*self._folders), self._families)

    def rows(self) -> list[dict[str, Any]]:
        """Every model for clients: facts, whether it is here, whether it is the default. Language models come last."""
        known, default = self.known(), self.default()
        here = [{**msgspec.to_builtins(model), "kind": "checkpoint"} for model in known.values()]
        here += [{**model_facts(model), "variant": "language"} for model in self._language]
        names = {row["name"] for row in here}
        rows = [{**row, "present": True} for row in here]
        published = catalogue.published(self._families)
        rows += [self._absent(name) for name in published if name not in names]
        return [{**row, "default": row["name"] == default} for row in rows]

    def _absent(self, name: str) -> dict[str, Any]:
        """The row of a model that could be fetched, with what that would cost in bytes."""
        language = bool(catalogue.language_model(name))
        first = catalogue.packages(name, self._families)[0]
        cost = catalogue.cost_of(name, self._folders[0], self._families)
        return {
            "name": name,
            "variant": "language" if language else name,
            "kind": "language" if language else "checkpoint",
            "present": False,
            "repository": first.repository,
            "fetch_bytes": cost.fetch,
            "disk_bytes": cost.disk,
            "disk_bytes_bfloat16": cost.disk_bfloat16,
            "memory_bytes": {"float32": cost.memory_float32, "bfloat16": cost.memory_bfloat16},
            "license": first.license,
            **({"remark": first.remark} if first.remark else {}),
        }


def _scratch() -> ModelInfo:
    variant = VARIANTS[SCRATCH]
    return ModelInfo(
        name=SCRATCH,
        path="",
        variant=SCRATCH,
        task_types=variant.tasks,
        trained=False,
        latent_family="acestep-1.5-random",
    )
