"""Which files of this machine a job on another one reads, and what of each it is told at once.

Of uncompressed sound that is the header and what stands behind the samples: the other machine asks for the window that it reads
and for no more. Every other file it needs whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError
from acestep.audio.latent_header import SUFFIX
from acestep.audio.sniff import sniff
from acestep.latents.latent_index import LatentIndex
from acestep.latents.latent_store import RECORD, find_latent

PATHS = frozenset({"path", "reference", "guide", "source"})
"""Fields of an admitted request that hold the real path of a file."""

LATENTS = frozenset({"latent", "resume", "source_latent"})
"""Fields that hold the id of a stored latent."""

ENDS = 4096
"""Bytes at both ends of a file by which it is recognised (`acestep.audio.sniff.fingerprint`)."""

MOST_AT_ONCE = 1 << 20
"""Bytes that are told at once; a file with more than that around its samples is needed whole."""


class FarFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file as another machine is told of it."""

    path: str
    """Where it lies on the machine that has it, as requests name it."""
    place: str
    """Where its copy belongs, below the folder of copies."""
    size: int
    changed: int
    """Time of its last change (ns)."""
    pieces: tuple[tuple[int, bytes], ...] = ()
    """What is told of it at once: offset and bytes."""
    whole: bool = True
    """Whether all of it is needed before the job begins."""


class StoreFolders(msgspec.Struct, frozen=True):
    """Where this machine keeps results and uploads."""

    library: Path
    uploads: Path


def far_files(request: dict[str, Any], folders: StoreFolders, index: LatentIndex) -> list[FarFile]:
    """The files that an admitted request reads, stored latents of its sounds included; missing ones are left out."""
    found: dict[Path, FarFile] = {}
    for path in _named(request, folders):
        for one in (path, *_beside(path, index)):
            if one not in found and one.is_file():
                found[one] = _described(one, folders)
    return list(found.values())


def _named(value: Any, folders: StoreFolders) -> Iterator[Path]:
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from _named(inner, folders)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if not isinstance(inner, str):
            yield from _named(inner, folders)
        elif key in PATHS and Path(inner).is_absolute():
            yield Path(inner)
        elif key == "upload" and inner:
            yield folders.uploads / f"{inner}.audio"
        elif key in LATENTS and inner:
            try:
                yield find_latent(folders.library, inner)
            except AceError:
                continue


def _beside(path: Path, index: LatentIndex) -> Iterator[Path]:
    """The stored latents that a sound may come from, and the sounds of a stored latent."""
    if path.suffix == SUFFIX:
        yield from sorted(one for one in path.parent.iterdir() if one.is_file())
        return
    latents = [*path.parent.glob(f"*{SUFFIX}"), *index.with_sound_of(path.stat().st_size)] if path.is_file() else []
    for latent in latents:
        yield latent
        yield latent.parent / RECORD


def _described(path: Path, folders: StoreFolders) -> FarFile:
    facts = path.stat()
    shared: dict[str, Any] = {
        "path": str(path),
        "place": _place(path, folders),
        "size": facts.st_size,
        "changed": facts.st_mtime_ns,
    }
    try:
        layout = None if path.suffix == SUFFIX else sniff(path)
    except AceError:
        layout = None
    if layout is None or not layout.data:
        return FarFile(**shared)
    last = min(layout.data + layout.frames * layout.frame_bytes, facts.st_size - ENDS)
    first = max(layout.data, ENDS)
    if last <= first or first + facts.st_size - last > MOST_AT_ONCE:
        return FarFile(**shared)
    return FarFile(
        **shared, pieces=tuple(_read(path, *span) for span in ((0, first), (last, facts.st_size))), whole=False
    )


def _place(path: Path, folders: StoreFolders) -> str:
    for name, folder in (("library", folders.library), ("uploads", folders.uploads)):
        if path.is_relative_to(folder):
            return f"{name}/{path.relative_to(folder).as_posix()}"
    return f"elsewhere/{sha256(str(path.parent).encode()).hexdigest()[:16]}/{path.name}"


def _read(path: Path, start: int, end: int) -> tuple[int, bytes]:
    with path.open("rb") as file:
        file.seek(start)
        return start, file.read(end - start)
