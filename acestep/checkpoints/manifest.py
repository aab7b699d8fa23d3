"""The pinned files of a packaged checkpoint: what is opened is what was shipped, byte for byte. No torch.

Only folders that carry a ``manifest.json`` are held to it; published checkpoints have none.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from acestep.api.errors import BadCheckpoint, ModelMissing
from acestep.checkpoints.files import read_json

MANIFEST = "manifest.json"
FORMAT, VERSION = "acestep-checkpoint-manifest", 1


def verify_manifest(folder: Path) -> bool:
    """Check every listed file of ``folder`` by size and sha256; False when there is no manifest.

    Raises `ModelMissing` for a file that is gone, `BadCheckpoint` for one that was changed; both name it.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return False
    data = read_json(path)
    files = data.get("files")
    if data.get("format") != FORMAT or data.get("version") != VERSION or not isinstance(files, dict):
        raise BadCheckpoint(f"{path} is not a manifest of this version", field="model")
    for name, pin in files.items():
        _verify_file(folder, name, pin if isinstance(pin, dict) else {})
    return True


def _verify_file(folder: Path, name: str, pin: dict[str, object]) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise BadCheckpoint(f"the manifest of {folder.name} names a file outside it", field="model")
    if not path.is_file():
        raise ModelMissing(
            f"{name} of the packaged model {folder.name} is missing; install the package again", field="model"
        )
    if path.stat().st_size != pin.get("bytes") or _sha256(path) != pin.get("sha256"):
        raise BadCheckpoint(
            f"{name} of the packaged model {folder.name} was changed; install the package again", field="model"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
