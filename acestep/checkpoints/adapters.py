"""Adapters by name: where they lie, what each is, and how a request's list becomes the model's. No torch."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.daemon_context import DaemonContext
from acestep.api.errors import AceError, BadRequest, UnknownName
from acestep.checkpoints.adapter_file import ADAPTER_PICKLES, adapter_places, fit, read_adapter_file
from acestep.checkpoints.adapter_strength import ADAPTER_CONFIG, ADAPTER_FILES

FOLDER = "loras"
"""Beside the checkpoints and in the home: one folder or one safetensors file per adapter."""

SIGNS = (ADAPTER_CONFIG, *ADAPTER_FILES, *ADAPTER_PICKLES)
"""Files by which a folder is known as an adapter, also as one that cannot be used."""

PICKLE_ENDINGS = (".pt", ".pth", ".ckpt", ".bin")

MAX_SCALE = 4.0
"""Beyond this an adapter only destroys; the original allows 2."""

MAX_ADAPTERS = 8
"""Adapters loaded at once per model; it bounds what a client can make the worker hold."""

_NAME = re.compile(r"[^/\\\0=]{1,100}")


class AdapterOptions(msgspec.Struct, frozen=True):
    """An adapter that a stage asks for."""

    name: str
    path: Path
    scale: float


def adapter_folders(home: Path, checkpoints: Iterable[Path]) -> list[Path]:
    """Where adapters are looked for."""
    return [
        home / FOLDER,
        *(folder / FOLDER for folder in checkpoints),
        *(folder.parent / FOLDER for folder in checkpoints),
    ]


def known_adapters(folders: Iterable[Path]) -> dict[str, Path]:
    """Name -> place of every adapter, those that cannot be used among them; the first place wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() and _is_adapter_folder(path):
                found.setdefault(path.name, path)
            elif path.is_file() and path.suffix in (".safetensors", *PICKLE_ENDINGS):
                found.setdefault(path.stem, path)
    return found


def _is_adapter_folder(path: Path) -> bool:
    signs = any((place / name).is_file() for place in adapter_places(path) for name in SIGNS)
    return signs or any(path.glob("*.safetensors"))


async def run_list(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``loras``: every adapter, and how it fits the named model (the default one for the empty name).

    Raises `ModelMissing`.
    """
    paths, settings = daemon.core.paths, daemon.core.settings
    folders = [paths.checkpoints, *(Path(folder).expanduser() for folder in settings.checkpoints)]

    def look() -> dict[str, Any]:
        model = daemon.core.model(request.model)
        found = known_adapters(adapter_folders(paths.home, folders))
        layers = daemon.core.registry.family(model.family).described().layers(model)
        return {"model": model.name, "loras": [adapter_row(name, path, layers) for name, path in found.items()]}

    return await asyncio.to_thread(look)


def adapter_row(name: str, path: Path, layers: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """An adapter for clients: its facts, or as ``problem`` why it cannot be used with a model of these layers (none: any model)."""
    row: dict[str, Any] = {"name": name, "path": str(path)}
    try:
        adapter = read_adapter_file(path)
        return {**row, **(fit(adapter, layers) if layers else adapter).facts(), "problem": ""}
    except AceError as failure:
        return {**row, "problem": failure.message}


def check_adapters(asked: Iterable[AdapterOptions], layers: Mapping[str, tuple[int, ...]]) -> None:
    """See at the door that adapters can be opened, and fit a model of these layers (none: one that is only built when needed).

    Reads headers only. Raises `BadCheckpoint`, `ModelMissing`, `ModelUnsuited`.
    """
    for one in asked:
        adapter = read_adapter_file(one.path)
        if layers:
            fit(adapter, layers)


def describe_adapter(name: str, scale: float, facts: Mapping[str, Any]) -> str:
    """One sentence for a result that an adapter had a part in."""
    rank = f" of rank {facts['rank']}" if facts["rank"] else ""
    factor = f"alpha / rank {facts['scaling']:g}" + ("" if facts["uniform"] else " in most layers")
    used = f"{facts['matched']} of {facts['tensors']} tensors used"
    text = f"{name}: {facts['kind']}{rank} at scale {scale:g} ({factor}); {used}"
    if facts["matched"] < facts["tensors"]:
        text += f", no place for {', '.join(facts['unmatched'])}"
        text += " ..." if facts["tensors"] - facts["matched"] > len(facts["unmatched"]) else ""
    if not facts["alpha_from"] and facts["rank"]:
        text += "; the file names no alpha, so the rank was taken for it"
    return text


def parse_adapters(asked: Iterable[str], folders: Iterable[Path]) -> tuple[AdapterOptions, ...]:
    """``name`` or ``name=scale`` -> adapters, in order. Raises `BadRequest` and, naming those there are, `UnknownName`.

    The daemon calls it at the door, the worker again before it loads them.
    """
    places, known, found = list(folders), None, []
    for one in asked:
        name, _, scale = one.partition("=")
        if known is None:
            known = known_adapters(places)
        if (kept := _kept(name, places)) is not None:
            known[name] = kept
        if not _NAME.fullmatch(name) or name not in known:
            raise UnknownName(f"there is no LoRA {name!r}", field="lora", limits={"choices": sorted(known)})
        found.append(AdapterOptions(name, known[name], _scale(scale, one)))
    if len({one.name for one in found}) < len(found):
        raise BadRequest("a LoRA is named twice", field="lora")
    if len(found) > MAX_ADAPTERS:
        limits = {"max": MAX_ADAPTERS}
        raise BadRequest(f"at most {MAX_ADAPTERS} adapters can be loaded at once", field="lora", limits=limits)
    return tuple(found)


def _kept(name: str, folders: Iterable[Path]) -> Path | None:
    """The adapter that a training kept after an epoch, which is named ``NAME@EPOCH``; the training may still run."""
    training, _, epoch = name.rpartition("@")
    if training in ("", ".", "..") or not epoch.isdecimal() or not _NAME.fullmatch(name):
        return None
    places = (folder / training / "checkpoints" / f"epoch_{int(epoch)}" for folder in folders)
    return next((place for place in places if place.is_dir()), None)


def _scale(text: str, one: str) -> float:
    try:
        scale = float(text) if text else 1.0
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale):
        raise BadRequest(f"{one!r} is no 'name=scale'", field="lora")
    return checked_scale(scale)


def checked_scale(scale: float) -> float:
    """A usable scale. Raises `BadRequest`."""
    if not math.isfinite(scale) or abs(scale) > MAX_SCALE:
        limits = {"min": -MAX_SCALE, "max": MAX_SCALE}
        raise BadRequest(f"an adapter's scale is at most {MAX_SCALE:g}", field="lora", limits=limits)
    return float(scale)
