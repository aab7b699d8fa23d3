"""Which checkpoints are on this machine, and what each is able to do. No torch, so the daemon can ask.

A checkpoint's short name is its folder's without the ``acestep-v15-`` that all of them carry: ``turbo``, ``xl-base``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from acestep.api.errors import AceError, ModelMissing
from acestep.api.variants import VARIANTS, ModelInfo
from acestep.checkpoints.layout import INDEX, Parts, is_transformer, locate, read_json, weight_files

PREFIX = "acestep-v15-"
TRAINED = "trained"
"""Config entry that is false in random checkpoints: whatever those render is noise."""

LICENSE = "MIT"
"""Licence of the published weights; a checkpoint's own config may say otherwise."""

EMBEDDED = Path(__file__).parent / "nano"
"""The checkpoint that is shipped with the package, when there is one."""

LATENT_FAMILIES = {"AutoencoderOobleck": "acestep-1.5", "NanoCodec": "nano"}
"""Codec class -> family of latents; latents pass between models of one family only."""


def checkpoint_folders(*extra: Path) -> list[Path]:
    """Where checkpoints are looked for: ``extra``, then the folders that ACE-Step's own environment variables name."""
    found = [*extra]
    if own := os.environ.get("ACESTEP_CHECKPOINTS_DIR"):
        found.append(Path(own))
    if root := os.environ.get("ACESTEP_PROJECT_ROOT"):
        found.append(Path(root) / "checkpoints")
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def find_checkpoints(folders: Iterable[Path]) -> list[ModelInfo]:
    """Every complete checkpoint below the folders (two levels deep), each name once, the first place wins."""
    found: dict[str, ModelInfo] = {}
    for path in _candidates(folders):
        try:
            info = read_info(path)
        except AceError:
            continue  # incomplete or damaged: `checkpoint_problem` says why when somebody asks for it
        found.setdefault(info.name, info)
    return list(found.values())


def checkpoint_problems(folders: Iterable[Path]) -> dict[str, str]:
    """Path -> sentence for every folder that looks like a checkpoint and cannot be opened."""
    problems: dict[str, str] = {}
    for path in _candidates(folders):
        try:
            read_info(path)
        except AceError as failure:
            problems[str(path)] = failure.message
    return problems


def find_checkpoint(name: str, folders: Iterable[Path]) -> ModelInfo:
    """The checkpoint of that short name, folder name or path. Raises `ModelMissing` with the names there are."""
    found = find_checkpoints(folders)
    for info in found:
        if name in (info.name, Path(info.path).name, info.path):
            return info
    raise ModelMissing(
        f"there is no model {name!r} on this machine",
        field="model",
        limits={"choices": sorted(info.name for info in found)},
    )


def _candidates(folders: Iterable[Path]) -> list[Path]:
    """Folders that hold a DiT or a diffusers index: the given ones, their children and grandchildren."""
    seen: dict[Path, None] = {}
    for folder in folders:
        for path in (folder, *_children(folder), *(deep for child in _children(folder) for deep in _children(child))):
            if (path / INDEX).is_file() or is_transformer(path):
                seen.setdefault(path.resolve())
    inside = {path for path in seen if path.parent in seen and (path.parent / INDEX).is_file()}
    return [path for path in seen if path not in inside]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def read_info(path: Path) -> ModelInfo:
    """Facts of the checkpoint at ``path``, once all its weight files are known to be there.

    Raises `ModelMissing` for what is incomplete, `BadCheckpoint` for what is no checkpoint.
    """
    parts = locate(path)
    files = [file for folder in parts.folders() for file in weight_files(folder)]
    config = read_json(parts.transformer / "config.json")
    root = parts.transformer.parent if parts.diffusers else parts.transformer
    codec = str(read_json(parts.vae / "config.json").get("_class_name", "AutoencoderOobleck"))
    variant = recognise_variant(root.name, config)
    return ModelInfo(
        name=root.name.removeprefix(PREFIX),
        path=str(root),
        variant=variant,
        task_types=VARIANTS[variant].tasks,
        hidden_size=int(config.get("hidden_size", 0)),
        layers=int(config.get("num_hidden_layers", 0)),
        xl=is_xl(config),
        trained=bool(config.get(TRAINED, True)),
        stem_captions=bool(config.get("is_lego_sft", False)),
        codec=codec,
        latent_family=_latent_family(codec, config),
        size_bytes=sum(file.stat().st_size for file in files),
        license=str(config.get("license", LICENSE)),
    )


def _latent_family(codec: str, config: dict[str, Any]) -> str:
    """The family of a checkpoint's latents; random codecs share none with trained ones."""
    family = LATENT_FAMILIES.get(codec, codec.lower())
    return family if config.get(TRAINED, True) else f"{family}-random"


def is_xl(config: dict[str, Any]) -> bool:
    """Whether the condition encoder has sizes of its own, as in the 4B models (their timbre token differs too)."""
    own = config.get("encoder_hidden_size")
    return own is not None and own != config.get("hidden_size")


def recognise_variant(folder: str, config: dict[str, Any]) -> str:
    """The row of `VARIANTS` for a DiT: its config says turbo, base or sft, its folder's name which sort of turbo.

    An unknown kind is treated by what its config says of distillation: turbo if distilled, base otherwise.
    """
    named = folder.lower().removeprefix(PREFIX).replace("_", "-")
    version = str(config.get("model_version") or "").lower().replace("_", "-")
    if version in ("tiny", "nano"):
        return version
    kind = next((word for word in ("turbo", "base", "sft") if word in version or (not version and word in named)), "")
    if not kind:
        kind = "turbo" if config.get("is_turbo") else "base"
    if is_xl(config):
        return f"xl-{kind}"
    finer = [name for name in VARIANTS if name.startswith(kind) and name in named]
    return max(finer, key=len, default=kind)


def part_paths(info: ModelInfo) -> Parts:
    """Where the parts of a known checkpoint lie."""
    return locate(Path(info.path))
