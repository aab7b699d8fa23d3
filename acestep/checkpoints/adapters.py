"""LoRA adapters by name: where they lie, and how a request's list becomes the model's. No torch."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, UnknownName

FOLDER = "loras"
"""Beside the checkpoints and in the home: one folder (PEFT) or one safetensors file per adapter."""

MAX_SCALE = 4.0
"""Beyond this an adapter only destroys; the original allows 2."""

MAX_ADAPTERS = 8
"""Adapters loaded at once per model; it bounds what a client can make the worker hold."""

_NAME = re.compile(r"[^/\\\0=]{1,100}")


class AdapterWish(msgspec.Struct, frozen=True):
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
    """Name -> place of every adapter, the first place wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_dir() and any(path.rglob("adapter_config.json")):
                found.setdefault(path.name, path)
            elif path.suffix == ".safetensors":
                found.setdefault(path.stem, path)
    return found


async def run_list(request: Any, daemon: Any) -> dict[str, Any]:
    """Operation ``loras``: name and place of every adapter. ``daemon`` offers ``core.paths`` and ``core.settings``."""
    paths, settings = daemon.core.paths, daemon.core.settings
    folders = [paths.checkpoints, *(Path(folder).expanduser() for folder in settings.checkpoints)]
    found = await asyncio.to_thread(known_adapters, adapter_folders(paths.home, folders))
    return {"loras": [{"name": name, "path": str(path)} for name, path in found.items()]}


def parse_adapters(wishes: Iterable[str], folders: Iterable[Path]) -> tuple[AdapterWish, ...]:
    """``name`` or ``name=scale`` -> adapters, in order. Raises `BadRequest` and, naming those there are, `UnknownName`.

    The daemon calls it at the door, the worker again before it loads them.
    """
    known: dict[str, Path] | None = None
    found = []
    for wish in wishes:
        name, _, scale = wish.partition("=")
        if known is None:
            known = known_adapters(folders)
        if not _NAME.fullmatch(name) or name not in known:
            raise UnknownName(f"there is no LoRA {name!r}", field="lora", limits={"choices": sorted(known)})
        found.append(AdapterWish(name, known[name], _scale(scale, wish)))
    if len({wish.name for wish in found}) < len(found):
        raise BadRequest("a LoRA is named twice", field="lora")
    if len(found) > MAX_ADAPTERS:
        limits = {"max": MAX_ADAPTERS}
        raise BadRequest(f"at most {MAX_ADAPTERS} adapters can be loaded at once", field="lora", limits=limits)
    return tuple(found)


def _scale(text: str, wish: str) -> float:
    try:
        scale = float(text) if text else 1.0
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale):
        raise BadRequest(f"{wish!r} is no 'name=scale'", field="lora")
    return checked_scale(scale)


def checked_scale(scale: float) -> float:
    """A usable scale. Raises `BadRequest`."""
    if not math.isfinite(scale) or abs(scale) > MAX_SCALE:
        limits = {"min": -MAX_SCALE, "max": MAX_SCALE}
        raise BadRequest(f"an adapter's scale is at most {MAX_SCALE:g}", field="lora", limits=limits)
    return float(scale)
