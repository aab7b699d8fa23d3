"""Which checkpoints are on this machine, and what each is able to do. No torch, so the daemon can ask.

A checkpoint's short name is its folder's without the ``acestep-v15-`` that all of them carry: ``turbo``, ``xl-base``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from acestep.api.errors import AceError, ModelMissing
from acestep.api.variants import CODE_TASKS, VARIANTS, ModelInfo
from acestep.checkpoints.files import GGUF, SAFETENSORS, read_header, weight_files
from acestep.checkpoints.hub_cache import folder_name, repository_name
from acestep.checkpoints.inferred import read_config
from acestep.checkpoints.layout import INDEX, Parts, is_transformer, locate, settled
from acestep.checkpoints.places import EMBEDDED as EMBEDDED
from acestep.checkpoints.places import loose_files, places
from acestep.checkpoints.strangers import strangers
from acestep.checkpoints.weights import CODEC, read_contents
from acestep.planner.planner_models import find_planners, planner_problems

PREFIX = "acestep-v15-"
TRAINED = "trained"
"""Config entry that is false in random checkpoints: whatever those render is noise."""

LICENSE = "MIT"
"""Licence of the published weights; a checkpoint's own config may say otherwise."""

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
    """Every complete checkpoint below the folders, each name once, the first place wins. What one lacks, another may lend."""
    near = list(folders)
    found: dict[str, ModelInfo] = {}
    for path in candidates(near):
        try:
            info = read_info(path, near)
        except AceError:
            continue  # incomplete or damaged: `checkpoint_problems` says why when somebody asks for it
        found.setdefault(info.name, info)
    return list(found.values())


def checkpoint_problems(folders: Iterable[Path]) -> dict[str, str]:
    """Path -> sentence for everything that lies below the folders like a model and cannot be used."""
    near = list(folders)
    problems: dict[str, str] = {}
    used: set[str] = set()
    for path in candidates(near):
        try:
            info = read_info(path, near)
        except AceError as failure:
            problems[str(path)] = failure.message
            used.add(str(path))
        else:
            used.update((info.path, *map(str, part_paths(info).folders())))
    return problems_beside(near, problems, used)


def problems_beside(near: list[Path], problems: dict[str, str], used: set[str]) -> dict[str, str]:
    """The problems of checkpoints, with those of language models and of what is not a model, given the places that are ``used``."""
    planners = planner_problems(near)
    used |= planners.keys() | {str(Path(info.path).resolve()) for info in find_planners(near)}
    return {**strangers(places(near), used), **planners, **problems}


def find_checkpoint(name: str, folders: Iterable[Path]) -> ModelInfo:
    """The checkpoint of that short name, folder name or path. Raises `ModelMissing` with the names there are."""
    return one_named(name, find_checkpoints(folders))


def one_named(name: str, found: Iterable[ModelInfo]) -> ModelInfo:
    """The one of that short name, folder name or path. Raises `ModelMissing` with the names there are."""
    known = list(found)
    for info in known:
        if name in (info.name, Path(info.path).name, info.path):
            return info
    raise ModelMissing(
        f"there is no model {name!r} on this machine",
        field="model",
        limits={"choices": sorted(info.name for info in known)},
    )


def candidates(folders: Iterable[Path]) -> list[Path]:
    """Places that hold a DiT or a diffusers index, and loose files with a DiT in them."""
    seen: dict[Path, None] = {}
    looked = places(folders)
    for path in looked:
        if (path / INDEX).is_file() or is_transformer(path):
            seen.setdefault(path.resolve())
    for file in loose_files(looked):
        if "transformer" in parts_of(file):
            seen.setdefault(settled(file))
    inside = {path for path in seen if path.parent in seen and (path.parent / INDEX).is_file()}
    return [path for path in seen if path not in inside]


def parts_of(file: Path) -> dict[str, Any]:
    """The parts in a weight file; none where it cannot be read."""
    try:
        return read_contents(file).parts
    except AceError:
        return {}


def read_info(path: Path, near: Iterable[Path] = ()) -> ModelInfo:
    """Facts of the checkpoint at ``path``, once all its weight files are known to be there; ``near``: folders to borrow from.

    Raises `ModelMissing` for what is incomplete, `BadCheckpoint` for what is not a checkpoint.
    """
    folders = list(near)
    parts = locate(path, folders)
    files = dict.fromkeys(file for folder in parts.folders() for file in weight_files(folder))
    config = read_config(parts.transformer, "transformer")
    root = parts.transformer.parent if parts.diffusers else parts.transformer
    codec = str(read_config(parts.vae, CODEC).get("_class_name", "AutoencoderOobleck"))
    name = short_name(root)
    lacks = () if parts.audio_tokenizer else NO_CODES
    hints = f"{name} {_header_words(root)}"
    variant = recognise_variant(hints, config)
    return ModelInfo(
        name=name,
        path=str(root),
        variant=variant,
        task_types=tuple(task for task in VARIANTS[variant].tasks if not lacks or task not in CODE_TASKS),
        hidden_size=int(config.get("hidden_size", 0)),
        layers=int(config.get("num_hidden_layers", 0)),
        xl=is_xl(config),
        trained=bool(config.get(TRAINED, True)),
        stem_captions=bool(config.get("is_lego_sft", False)),
        codec=codec,
        latent_family=_latent_family(codec, config),
        size_bytes=sum(file.stat().st_size for file in files),
        license=str(config.get("license", LICENSE)),
        origin=_origin(root, parts),
        lacks=lacks,
        borrowed=_borrowed(root, parts),
        assumed="" if _says_kind(hints, config) else ASSUMED.format(kind=VARIANTS[variant].name),
        near=tuple(str(folder) for folder in folders),
        exports=tuple(part for part in EXPORTS if not lacks or part not in CODE_EXPORTS),
        unexported=dict(zip(CODE_EXPORTS, lacks, strict=True)) if lacks else {},
    )


CODE_EXPORTS = ("audio_tokenizer", "audio_detokenizer")
EXPORTS = ("transformer", "condition_encoder", "text_encoder", *CODE_EXPORTS, "codec_encoder", "codec_decoder")
"""Parts that can be written as graphs."""


NO_CODES = ("audio_tokenizer", "audio_token_detokenizer")
"""The parts that official diffusers repositories may do without: those for semantic codes."""


def short_name(root: Path) -> str:
    """What a checkpoint is called: its folder or file without what all have in common; a cached one by its repository."""
    return (root.stem if root.is_file() else folder_name(root)).removeprefix(PREFIX)


def _origin(root: Path, parts: Parts) -> str:
    """In which form a checkpoint lies here, and of which repository it is where a hub's cache says so."""
    form = "diffusers" if parts.diffusers else "original"
    if root.is_file():
        form = "GGUF" if root.suffix.lower() == GGUF else "ComfyUI"
    cached = repository_name(root)
    return f"{form}, {cached}" if cached else form


def _borrowed(root: Path, parts: Parts) -> dict[str, str]:
    """Part -> where it lies, of the parts that are not the checkpoint's own."""
    named = {
        "codec": parts.vae,
        "text_encoder": parts.text_encoder,
        "text_tokenizer": parts.text_tokenizer,
        "audio_tokenizer": parts.audio_tokenizer,
        "silence_latent": parts.silence,
    }
    home = root if parts.diffusers else root.parent
    return {name: str(place) for name, place in named.items() if place is not None and not place.is_relative_to(home)}


KINDS = ("turbo", "base", "sft")

ASSUMED = (
    "nothing in its name or config says whether it is turbo, base or sft, and its tensors do not tell; it is run as {kind}. "
    "Put the right word into its name if that is wrong"
)


def _says_kind(named: str, config: dict[str, Any]) -> bool:
    """Whether a name or config tells what kind of model a DiT is."""
    words = f"{named} {config.get('model_version') or ''}".lower()
    return "is_turbo" in config or any(kind in words for kind in (*KINDS, "tiny", "nano"))


def _header_words(root: Path) -> str:
    """What a single file says of itself in its header (ComfyUI's savers and merge tools write titles there)."""
    if root.suffix.lower() != SAFETENSORS or not root.is_file():
        return ""
    entries = json.loads(read_header(root)).get("__metadata__") or {}
    return " ".join(str(entries[key]) for key in TITLES if key in entries)


TITLES = ("modelspec.title", "modelspec.architecture", "title", "name", "ss_output_name", "model_version")
"""Entries of a header that name the model."""


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
    kind = next((word for word in KINDS if word in version or (not version and word in named)), "")
    if not kind:
        kind = "turbo" if config.get("is_turbo") else "base"
    if is_xl(config):
        return f"xl-{kind}"
    finer = [name for name in VARIANTS if name.startswith(kind) and name in named]
    return max(finer, key=len, default=kind)


def part_paths(info: ModelInfo) -> Parts:
    """Where the parts of a known checkpoint lie, borrowed ones included. Raises as `locate` does."""
    return locate(Path(info.path), map(Path, info.near))
