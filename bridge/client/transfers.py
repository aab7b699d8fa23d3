"""Files on their way to and from the daemon: sums, chunks, where to resume."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from acestep.api.errors import CorruptAudio, NotFound
from bridge.doors.limits import CHUNK


def announcement(path: Path) -> dict[str, Any]:
    """The parameters of ``upload.begin`` for a file. Raises `NotFound`."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"name": path.name, "size": path.stat().st_size, "sha256": digest}
    except OSError as failure:
        raise NotFound(f"{path} cannot be read: {failure.strerror}", field="source") from None


def chunk_at(path: Path, offset: int) -> bytes:
    """The chunk at ``offset``."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(CHUNK)


def arrived(path: Path) -> int:
    """How many bytes of a download are here already."""
    return path.stat().st_size if path.exists() else 0


def append(path: Path, offset: int, data: bytes) -> None:
    """Write a downloaded chunk in its place."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.seek(offset)
        file.write(data)


def verify(path: Path, facts: dict[str, Any]) -> None:
    """Check a finished download against what the daemon said of it. Raises `CorruptAudio`; the file is removed then."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if path.stat().st_size != facts["size"] or (facts["sha256"] and digest != facts["sha256"]):
        path.unlink()
        raise CorruptAudio(f"{facts['name']} arrived damaged; fetch it again")
