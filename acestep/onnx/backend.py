"""The backend for machines without torch: new parts, by exported graphs in ONNX Runtime, on the CPU.

It makes what `generate` makes: the same files, recipe and seeds as the torch backend, to rounding. What it cannot do (edits of
given sound, the planner, adapters, training) is refused by name before any work.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from acestep.admission.recipe import read_recipe
from acestep.api.errors import AceError, ModelMissing, Unavailable
from acestep.api.planned import THINK
from acestep.api.registry import Registry
from acestep.api.result import Result
from acestep.api.variants import ModelInfo
from acestep.checkpoints.families import find_named
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders
from acestep.engine.host_info import WorkerHostInfo
from acestep.onnx.door import FOLDER
from acestep.onnx.manifest import MANIFEST, read_export
from acestep.onnx.part import PartRender
from acestep.onnx.sessions import OnnxModel
from acestep.worker.backend import JobContext

CPU = ("", "auto", "cpu")


class OnnxBackend:
    """Runs jobs on exported models. ``settings`` is the worker's map: home, library, checkpoints, dtype, threads, model."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Raises `Unavailable` for another device than the CPU."""
        self.settings = dict(settings)
        device = str(settings.get("device") or "auto")
        if device not in CPU:
            raise Unavailable(f"the backend onnx runs on the CPU, not on {device}", field="device")
        self._home = Path(settings["home"])
        self._folders = [Path(folder) for folder in settings.get("checkpoints") or ()]
        registry = settings.get("registry")
        self._families = (Registry.load() if registry is None else registry).families
        self._model: OnnxModel | None = None
        self.host = WorkerHostInfo(self.settings, self.model_info)

    def info(self) -> dict[str, Any]:
        """What a status shows."""
        model = self._model
        return {
            "backend": "onnx",
            "device": "cpu",
            "devices": [],
            "dtype": "float32" if model is None else model.export.dtype,
            "models": [] if model is None else [model.export.model.name],
            "memory_bytes": 0 if model is None else model.memory(),
            "threads": self._threads,
            "onnxruntime": onnxruntime.__version__,
        }

    @property
    def _threads(self) -> int:
        return int(self.settings.get("threads") or 1)

    def unload(self, model: str) -> None:
        """Drop the graphs of a model, or all."""
        if self._model is not None and model in ("", self._model.export.model.name):
            self._model.close()
            self._model = None

    def model_info(self, name: str) -> ModelInfo:
        """Facts of a model; the default one for the empty name. Raises `ModelMissing`."""
        wanted = name or str(self.settings.get("model") or "") or EMBEDDED.name
        return find_named(wanted, checkpoint_folders(EMBEDDED, *self._folders), self._families)

    def run(self, operation: str, request: dict[str, Any], context: JobContext) -> Result:
        """A new part. Raises `AceError`."""
        if operation == THINK or context.registry.operation(operation).target:
            raise Unavailable(
                f"{operation} needs the backend torch; this worker runs exported models only", field="backend"
            )
        begun = time.monotonic()
        render = PartRender(context, read_recipe(context.registry, request), self.host)
        return render.carry_out(self._open(render.model), begun)

    def _open(self, info: ModelInfo) -> OnnxModel:
        """The export of a model. Raises `ModelMissing`, `BadCheckpoint`."""
        if self._model is not None and self._model.export.model.name == info.name:
            return self._model
        self.unload("")
        self._model = OnnxModel(
            find_export(self._home / FOLDER, info, str(self.settings.get("dtype") or "")), self._threads
        )
        return self._model


def find_export(folder: Path, info: ModelInfo, dtype: str) -> Path:
    """The folder with a model's export: float16 where that is the number format of the settings, else float32 first.

    Raises `ModelMissing`.
    """
    found: dict[str, Path] = {}
    for place in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            export = read_export(place.parent)
        except AceError:
            continue  # a damaged one is named where it is the only one: as missing
        if export.model.name == info.name:
            found.setdefault(export.dtype, place.parent)
    if not found:
        raise ModelMissing(
            f"there is no complete export of {info.name} in {folder}: `acestep-bridge export-onnx {info.name}` writes one, on this "
            "machine or on another one with torch, from which its folder is copied",
            field="model",
        )
    first = "float16" if dtype == "float16" else "float32"
    return found.get(first) or next(iter(found.values()))
