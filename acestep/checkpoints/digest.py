"""A fingerprint of weight files that is quick enough to take at every load. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from acestep.api.errors import WeightsChanged
from acestep.checkpoints.files import SAFETENSORS, read_header

SAMPLES = 64
BLOCK = 64 * 1024


def weights_digest(files: Iterable[Path]) -> str:
    """Hex digest over each file's tensor table (safetensors), length and 64 evenly spaced 64 KiB blocks.

    It tells checkpoints apart and notices a retrained or merged one without reading gigabytes; it is no proof against a forger.
    """
    digest = hashlib.sha256()
    for path in files:
        header = read_header(path) if path.suffix.lower() == SAFETENSORS else b""
        size = path.stat().st_size
        digest.update(len(header).to_bytes(8, "little") + header + size.to_bytes(8, "little"))
        with path.open("rb") as file:
            for index in range(SAMPLES):
                file.seek(max(0, (size - BLOCK) * index // (SAMPLES - 1)))
                digest.update(file.read(BLOCK))
                if size <= BLOCK:
                    break
    return digest.hexdigest()[:32]


def require_weights(named: Mapping[str, str], used: Mapping[str, str]) -> None:
    """Raise `WeightsChanged` where a recipe names other weights than those that are here under the name."""
    for name, digest in used.items():
        if named.get(name, digest) != digest:
            raise WeightsChanged(
                f"the recipe was made with other weights of {name} ({named[name][:8]}) than those here "
                f"({digest[:8]}), so the same samples cannot be made again; leave out its weights to render it "
                "anyway",
                field="weights",
                limits={name: digest},
            )
