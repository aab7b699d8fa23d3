"""Stored latents: results that can be gone on with without another pass through the codec. Safetensors with a description."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from acestep.api.errors import BadLatent
from acestep.audio.latent_header import KEY, SUFFIX, LatentFacts, read_latent_facts, require_family
from acestep.audio.write import digest, storage_errors, sync
from acestep.denoising.denoising_run import Snapshot
from acestep.latents.latent_index import LatentIndex


def save_latent(path: Path, latent: Tensor, facts: LatentFacts, state: dict[str, Tensor] | None = None) -> str:
    """Write float32 [1, T, C] (and the tensors of a stored run) with its facts; returns the file's sha256."""
    tensors = {"latent": latent.detach().float().cpu().contiguous(), **(state or {})}
    description = msgspec.json.encode(facts).decode()
    with storage_errors(path):
        save_file(tensors, path, metadata={KEY: description})
        sync(path)
        return digest(path)


def load_latent(path: Path, family: str) -> tuple[Tensor, LatentFacts, dict[str, Tensor]]:
    """Latent, facts and further tensors. Raises `BadLatent` when it is damaged, not finite, or of another family."""
    facts = read_latent_facts(path)
    require_family(path.name, facts, family)
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as failure:
        raise BadLatent(f"{path.name} is damaged: {failure}", field="source_latent") from None
    latent = tensors.pop("latent")
    if not torch.isfinite(latent).all():
        raise BadLatent(f"{path.name} holds values that are not numbers", field="source_latent")
    return latent.float(), facts, tensors


@dataclass(frozen=True)
class StoredLatent:
    """The stored latent of a sound: sample 0 of the sound lies ``offset`` samples after the latent's, and ``frames`` (first,
    last + 1; none: all) of the latent are what is heard."""

    path: Path
    offset: int = 0
    frames: tuple[int, int] | None = None


def latent_of(path: Path, index: LatentIndex, family: str, codec: str) -> StoredLatent | None:
    """The stored latent of one of our own results, when it is of this codec and the sound is unchanged.

    Looked for beside the sound, and in the library for a copy that lies elsewhere.
    """
    size, content = path.stat().st_size, functools.cache(lambda: digest(path))
    for candidate in _candidates(path, size, index):
        try:
            facts = read_latent_facts(candidate)
        except BadLatent:
            continue
        if (facts.family, facts.codec, facts.checkpoint) != (family, codec, None):
            continue
        for companion in facts.audio:
            if (companion.name == path.name or companion.bytes == size) and companion.sha256 == content():
                return StoredLatent(candidate, companion.offset, companion.frames)
    return None


def _candidates(path: Path, size: int, index: LatentIndex) -> Iterator[Path]:
    yield from sorted(path.parent.glob(f"*{SUFFIX}"))
    yield from index.with_sound_of(size)


def pack_snapshot(snapshot: Snapshot) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A run's state as flat tensors and a plain map, the inverse of `unpack_snapshot`."""
    tensors: dict[str, Tensor] = {}

    def strip(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            tensors[name] = value.detach().cpu().contiguous().clone()
            return {"tensor": name}
        if isinstance(value, dict):
            return {"map": {key: strip(inner, f"{name}.{key}") for key, inner in value.items()}}
        if isinstance(value, (list, tuple)):
            return {"list": [strip(inner, f"{name}.{index}") for index, inner in enumerate(value)]}
        return {"plain": value}

    parts = {name: getattr(snapshot, name) for name in ("x", "x0", "sampler", "guidance", "velocity")}
    state = {name: strip(value, f"state.{name}") for name, value in parts.items()}
    return tensors, {"index": snapshot.index, "t": snapshot.t, **state}


def unpack_snapshot(tensors: dict[str, Tensor], plain: dict[str, Any]) -> Snapshot:
    """The state of a stored run. Raises `BadLatent` when something of it is missing."""

    def fill(value: Any) -> Any:
        if "tensor" in value:
            return tensors[value["tensor"]]
        if "map" in value:
            return {key: fill(inner) for key, inner in value["map"].items()}
        return [fill(inner) for inner in value["list"]] if "list" in value else value["plain"]

    try:
        parts = {name: fill(plain[name]) for name in ("x", "x0", "sampler", "guidance", "velocity")}
        return Snapshot(index=int(plain["index"]), t=float(plain["t"]), **parts)
    except (KeyError, TypeError, ValueError) as failure:
        raise BadLatent(f"the stored run lacks {failure}", field="resume") from None
