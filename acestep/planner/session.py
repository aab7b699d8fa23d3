"""The language models of this worker process: which one a job uses, loaded once, put aside when the memory is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from acestep.api.errors import AceError
from acestep.api.planning import PlannerSettings
from acestep.api.registry import Registry
from acestep.api.targets import resolve_target
from acestep.planner.device import choose_device, choose_dtype, device_memory
from acestep.planner.plan_inputs import AnyPlanner
from acestep.planner.planner_models import (
    TINY,
    PlannerInfo,
    choose_planner,
    find_planners,
    longest_plan,
    named_planner,
    none_to_choose,
    planner_folders,
    read_planner,
)
from acestep.planner.planning import Planner

log = logging.getLogger(__name__)

DEFAULT_BACKEND = "transformers"


OFFLOAD_BELOW = 20 * 2**30
"""Bytes of accelerator memory below which the language model waits on the CPU while other networks work."""


class LoadedPlanner(msgspec.Struct, frozen=True, kw_only=True):
    """A planner that is ready, and what it is."""

    planner: AnyPlanner
    info: PlannerInfo
    backend: str

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that belong into every result made with it."""
        if self.planner.made_by or self.info.trained:
            return self.planner.made_by
        return (f"the language model {self.info.name} has random weights: it writes only noise in a valid format",)


_loaded: dict[tuple[str, str], LoadedPlanner] = {}


def planner_for(
    registry: Registry, settings: PlannerSettings, worker: Mapping[str, Any], field: str = "model"
) -> LoadedPlanner:
    """The planner that the settings ask for, loaded if it is not yet. One at a time: another one takes its place.

    ``worker`` is the worker's settings map (home, checkpoints, device, dtype), ``field`` the request's name for the model.
    Raises `ModelMissing`, `OutOfMemory`, `BadCheckpoint`, `UnknownName`.
    """
    found = known_planners(worker)
    if (ruled := _without_model(registry, settings, found)) is not None:
        return ruled
    name = DEFAULT_BACKEND if settings.backend == "auto" else registry.planner(settings.backend).name
    device = choose_device(str(worker.get("device") or "auto"))
    number_bytes = choose_dtype(device, str(worker.get("dtype") or "auto")).itemsize
    running = next((loaded for loaded in _loaded.values() if loaded.backend == name), None)
    wanted = named_planner(settings.model)
    if wanted == TINY and TINY not in {info.name for info in found}:
        found.append(_build_tiny(worker))
    memory = device_memory(device) + (running.info.size_bytes if running and device.type == "cpu" else 0)
    try:
        info = choose_planner(wanted, found, memory, number_bytes)
    except AceError as failure:
        failure.field = field
        raise
    key = (name, info.path)
    if key not in _loaded:
        unload()
        backend = _resolve(registry, name)(Path(info.path), {**worker, "tokenizer": info.tokenizer})
        planner = Planner(backend, max_duration=longest_plan(memory * 2 // number_bytes))
        _loaded[key] = LoadedPlanner(planner=planner, info=info, backend=name)
        log.info("language model %s loaded by %s", info.name, name)
    return _loaded[key]


def _without_model(registry: Registry, settings: PlannerSettings, found: Iterable[PlannerInfo]) -> LoadedPlanner | None:
    """The planner that needs no language model, where it is asked for or none is here; else none."""
    auto = settings.backend == "auto"
    spec = registry.planner_without_model() if auto else registry.planner(settings.backend)
    if spec is None or spec.language_model or (auto and not none_to_choose(settings.model, found)):
        return None
    info = PlannerInfo(name=spec.name, path="", size_bytes=0, cache_bytes=0)
    return LoadedPlanner(planner=resolve_target(spec.target)(), info=info, backend=spec.name)


def known_planners(worker: Mapping[str, Any]) -> list[PlannerInfo]:
    """The language models on this disk, as a worker with these settings finds them."""
    return find_planners(planner_folders(worker.get("home"), worker.get("checkpoints") or ()))


def _build_tiny(worker: Mapping[str, Any]) -> PlannerInfo:
    """The random model, made in the home's cache where it is not there yet."""
    from acestep.planner.tiny import build_tiny

    folder = Path(worker.get("home") or Path.home() / ".cache" / "acestep-bridge") / "cache" / "planner" / TINY
    info = read_planner(folder)
    if info is None:
        folder.mkdir(parents=True, exist_ok=True)
        info = read_planner(build_tiny(folder))
    assert info is not None
    return info


def _resolve(registry: Registry, name: str) -> Any:
    """The class of a planner backend; transformers' own needs no plug-in to be there."""
    target = "acestep.planner.model:TransformersPlanner" if name == DEFAULT_BACKEND else registry.planner(name).target
    return resolve_target(target)


def loaded_planners() -> list[str]:
    """Names of the language models in memory, for status."""
    return [loaded.info.name for loaded in _loaded.values()]


def offload() -> None:
    """Move every language model out of the accelerator's memory; the next use brings it back."""
    for loaded in _loaded.values():
        loaded.planner.offload()


def put_away(worker: Mapping[str, Any]) -> None:
    """Make room for what comes after planning, on a device too small to hold everything at once."""
    device = choose_device(str(worker.get("device") or "auto"))
    if device.type in ("cuda", "xpu") and device_memory(device) < OFFLOAD_BELOW:
        offload()


def unload(model: str = "") -> None:
    """Free the memory of a language model (empty: of all)."""
    for key, loaded in list(_loaded.items()):
        if model in ("", loaded.info.name):
            del _loaded[key]
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
