"""What was downloaded: a manifest beside the files, by which they can be verified, and removed again. No torch."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, ModelMissing
from acestep.api.variants import ModelInfo
from acestep.checkpoints.info import find_checkpoints
from acestep.checkpoints.layout import TEXT_ENCODER, VAE, read_json, weight_files

MANIFEST = "acestep-bridge.json"
"""Written beside downloaded files: where they came from, their sizes and sums."""

class Downloaded(msgspec.Struct, frozen=True):
    """What a folder's manifest says about its files."""

    repository: str
    revision: str
    files: dict[str, dict[str, Any]]
    format: str = "acestep-bridge/download"
    version: int = 1


def write_manifest(folder: Path, manifest: Downloaded) -> None:
    """Put the manifest beside the files it describes, in one move."""
    draft = folder / f"{MANIFEST}.tmp"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    draft.replace(folder / MANIFEST)


def verify(info: ModelInfo, progress: Callable[[str, int, int], None] = lambda file, done, total: None) -> list[str]:
    """Read every file of a model again; one sentence per file that is not as published, none when all is well.

    Files without a published sum are checked for completeness only. Raises what ``progress`` raises.
    """
    folders = [Path(info.path), *_shared_folders(Path(info.path))]
    listed = [(folder, name, facts) for folder in folders for name, facts in _manifest(folder).items()]
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


def _counted(progress: Callable[[str, int, int], None], name: str, done: int, total: int) -> Callable[[int], None]:
    return lambda read: progress(name, done + read, total)


def _shared_folders(dit: Path) -> list[Path]:
    return [dit.parent / name for name in (VAE, TEXT_ENCODER) if (dit.parent / name).is_dir()]


def _manifest(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / MANIFEST
    return read_json(path).get("files", {}) if path.is_file() else {}


def remove(info: ModelInfo, root: Path) -> list[Path]:
    """Delete a downloaded model below ``root``, and the shared parts with the last one that uses them. Returns what was deleted.

    Raises `ModelMissing` for a model that is not below ``root`` (the embedded one, another tool's folder).
    """
    dit = Path(info.path).resolve()
    if root.resolve() not in dit.parents:
        raise ModelMissing(f"{info.name} is not in {root}; delete it where it was put", field="model")
    doomed = [dit]
    if not [other for other in find_checkpoints([dit.parent]) if Path(other.path) != dit]:
        doomed += _shared_folders(dit)
    for folder in doomed:
        shutil.rmtree(folder)
    return doomed


def sha256(path: Path, progress: Callable[[int], None] = lambda read: None) -> str:
    """Hex sum of a file."""
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
            read += len(block)
            progress(read)
    return digest.hexdigest()
