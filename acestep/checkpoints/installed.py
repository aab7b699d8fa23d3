"""What was downloaded: a manifest beside the files, by which they can be verified, and removed again. No torch."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadCheckpoint, ModelMissing
from acestep.api.family import NO_FAMILIES, Families
from acestep.api.variants import ModelInfo
from acestep.checkpoints.catalogue import BY_NAME, LANGUAGE, language_model, packages
from acestep.checkpoints.digest import weights_digest
from acestep.checkpoints.families import find_named
from acestep.checkpoints.files import read_json, weight_files
from acestep.checkpoints.info import find_checkpoint, part_paths, read_info
from acestep.checkpoints.layout import TEXT_ENCODER, VAE, is_transformer, locate, users
from acestep.checkpoints.memory import stored_numbers, whole_bytes
from acestep.checkpoints.published import FILES, license_of
from acestep.planner.planner_models import PREFIX as PLANNER_PREFIX
from acestep.planner.planner_models import (
    PlannerInfo,
    find_planners,
    named_planner,
    none_to_choose,
    planner_folders,
    read_planner,
    require_known_codes,
    require_present,
)

MANIFEST = "acestep-bridge.json"
"""Written beside downloaded files: where they came from, their sizes and sums."""


AnyModel = ModelInfo | PlannerInfo
"""What can be downloaded: a checkpoint or a language model."""


class LentParts(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that were downloaded for other models to borrow."""

    name: str
    path: str
    size_bytes: int


def read_download(name: str, root: Path, families: Families = NO_FAMILIES) -> AnyModel | LentParts:
    """Facts of what `packages` of that name have brought to ``root``. Raises `ModelMissing` and `BadCheckpoint`."""
    for spec in families.values():
        if downloads := spec.described().published().get(name):
            return spec.described().read_info(root / downloads[0].folder, [root])
    folders = [root / package.target for package in packages(name)]
    if name not in BY_NAME:
        return read_model(folders[0])
    sizes = [file.stat().st_size for folder in folders for file in folder.iterdir() if file.is_file()]
    return LentParts(name=name, path=str(folders[0]), size_bytes=sum(sizes))


def read_model(folder: Path) -> AnyModel:
    """Facts of a complete checkpoint or language model. Raises `ModelMissing` and `BadCheckpoint`."""
    planner = read_planner(folder)
    return read_info(folder) if planner is None else planner


def find_model(name: str, folders: Iterable[Path], families: Families = NO_FAMILIES) -> AnyModel:
    """The model of that name below the folders, language models (``lm-1.7B``) included. Raises `ModelMissing`."""
    places = list(folders)
    if wanted := language_model(name):
        found = {info.name: info for info in language_models(places)}
        if wanted not in found:
            limits = {"choices": sorted(f"{LANGUAGE}{known}" for known in found)}
            raise ModelMissing(f"there is no model {name!r} on this machine", field="model", limits=limits)
        return found[wanted]
    return find_named(name, places, families) if families else find_checkpoint(name, places)


def plans_by_rules(name: str, found: Iterable[PlannerInfo]) -> bool:
    """Whether a request that names a language model so, or none, is planned without one."""
    return none_to_choose(name, found)


def require_language_model(name: str, found: Iterable[PlannerInfo], field: str) -> None:
    """See that a language model that a request names is here. Raises `ModelMissing` about ``field`` with what is here instead."""
    try:
        require_present(named_planner(name), list(found))
    except ModelMissing as failure:
        failure.field = field
        raise


def require_codes(model: ModelInfo) -> None:
    """See that the language model knows the codes of a checkpoint. Raises `ModelUnsuited`."""
    require_known_codes(model)


def language_models(folders: Iterable[Path]) -> list[PlannerInfo]:
    """Every complete language model below the folders, and where ACE-Step's own variables point."""
    return find_planners(planner_folders(None, folders))


def model_facts(model: AnyModel | LentParts) -> dict[str, Any]:
    """A model for clients: what is known of it, its defaults and its short name."""
    facts = msgspec.to_builtins(model)
    if isinstance(model, LentParts):
        return {**facts, "kind": "parts"}
    if isinstance(model, PlannerInfo):
        license = license_of(f"{PLANNER_PREFIX}{model.name}") if model.trained else ""
        return {**facts, "name": f"{LANGUAGE}{model.name}", "kind": "language", "license": license}
    facts |= {"kind": "checkpoint", "defaults": msgspec.to_builtins(model.defaults)}
    if model.defaults.repository and not model.weight_files:
        facts["text_encoder_license"] = license_of(TEXT_ENCODER)
    return {**facts, "memory_bytes": model.memory_bytes or _memory(model)} if model.path else facts


def _memory(model: ModelInfo) -> dict[str, int]:
    """Bytes that the whole model takes in memory, by number format."""
    numbers = stored_numbers(part_paths(model))
    return {dtype: whole_bytes(numbers, dtype) for dtype in ("float32", "bfloat16")}


class Downloaded(msgspec.Struct, frozen=True):
    """What a folder's manifest says about its files."""

    repository: str
    revision: str
    files: dict[str, dict[str, Any]]
    format: str = "acestep-bridge/download"
    version: int = 1
    complete: bool = True
    """False while the rest of the folder is still on its way."""


def read_manifest(folder: Path) -> Downloaded | None:
    """The manifest of a folder; None where there is none. Raises `BadCheckpoint`."""
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        return msgspec.convert(read_json(path), Downloaded)
    except msgspec.ValidationError as failure:
        raise BadCheckpoint(f"{path} is not a manifest of a download; delete it", field="model") from failure


def write_manifest(folder: Path, manifest: Downloaded) -> None:
    """Put the manifest beside the files it describes, in one move."""
    draft = folder / f"{MANIFEST}.tmp"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    draft.replace(folder / MANIFEST)


def verify(info: AnyModel, progress: Callable[[str, int, int], None] = lambda file, done, total: None) -> list[str]:
    """Read every file of a model again; one sentence per file that is not as published, none when all is well.

    Of a converted file the sum of what lies here counts. Files that were put here by other means are held against the sums that
    are known of them; those without a sum are checked for completeness only. Raises what ``progress`` raises.
    """
    folders = _places(info)
    listed = [(folder, name, facts) for folder in folders for name, facts in _expected(folder).items()]
    total, done, problems = sum(facts["size"] for _, _, facts in listed), 0, []
    for folder, name, facts in listed:
        path = folder / name
        if not path.is_file() or path.stat().st_size != facts["size"]:
            problems.append(f"{path} is missing or has another length")
        elif facts["sha256"] and sha256(path, _counted(progress, name, done, total)) != facts["sha256"]:
            problems.append(f"{path} is damaged or was changed")
        done += facts["size"]
    for folder in folders:
        try:
            weight_files(folder)
        except AceError as failure:
            problems.append(failure.message)
    return list(dict.fromkeys(problems))


def _expected(folder: Path) -> dict[str, dict[str, Any]]:
    return {**_known(folder), **_manifest(folder)}


def remarks(info: AnyModel) -> list[str]:
    """What should be known of a model's files besides that they are whole: which are conversions of what was published."""
    found = []
    for folder in _places(info):
        for name, facts in _manifest(folder).items():
            if source := facts.get("source"):
                found.append(
                    f"{folder.name}/{name} is a conversion to {facts.get('dtype', 'bfloat16')}: published were "
                    f"{source['size']} bytes of {source.get('dtype', 'float32')} with the sum {source['sha256'] or 'unknown'}"
                )
    return found


def _known(folder: Path) -> dict[str, dict[str, Any]]:
    """Files of a folder that have the name and the length of published ones, as a manifest would list them."""
    return {
        name: {"size": known.size, "sha256": known.sha256}
        for name, known in FILES.get(folder.name, {}).items()
        if (folder / name).is_file() and (folder / name).stat().st_size == known.size
    }


def _counted(progress: Callable[[str, int, int], None], name: str, done: int, total: int) -> Callable[[int], None]:
    return lambda read: progress(name, done + read, total)


def fingerprint(info: AnyModel) -> str:
    """One digest of all weight files of a model, as recipes carry it."""
    folders = _places(info)
    return weights_digest(dict.fromkeys(file for folder in folders for file in weight_files(folder)))


def _places(info: AnyModel) -> list[Path]:
    """Every folder or file with weights of a model, shared and borrowed ones included; a language model shares nothing."""
    own = Path(info.path)
    if isinstance(info, PlannerInfo):
        return [own]
    if info.weight_files:
        return list(dict.fromkeys(file if file == own else file.parent for file in map(Path, info.weight_files)))
    try:
        return part_paths(info).folders()
    except AceError:  # a part is gone: what is left can still be looked at
        return [own, *(own.parent / name for name in (VAE, TEXT_ENCODER) if (own.parent / name).is_dir())]


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    manifest = read_manifest(folder)
    return manifest.files if manifest else {}


def remove(info: AnyModel, root: Path) -> list[Path]:
    """Delete a downloaded model below ``root``, and the shared parts with the last one that uses them. Returns what was deleted.

    Raises `ModelMissing` for a model that is not below ``root`` (the embedded one, another tool's folder).
    """
    own = Path(info.path).resolve()
    if root.resolve() not in own.parents:
        raise ModelMissing(f"{info.name} is not in {root}; delete it where it was put", field="model")
    doomed = [own, *(part for part in _taken_from_outside(own) if users(part) == [own])]
    for place in doomed:
        if place.is_file():
            place.unlink()
        else:
            shutil.rmtree(place)
    return doomed


def _taken_from_outside(own: Path) -> list[Path]:
    """Codec and text encoder of a DiT that do not lie inside it: those of its bundle, or of one beside it."""
    if not is_transformer(own):
        return []
    parts = locate(own)
    return [part for part in (parts.vae, parts.text_encoder) if own not in part.parents]


def sha256(path: Path, progress: Callable[[int], None] = lambda read: None) -> str:
    """Hex sum of a file."""
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
            read += len(block)
            progress(read)
    return digest.hexdigest()
