"""The stored latents of a library, for the daemon: list, inspect, pin, delete, and the cap on their size. No torch.

A latent's id is ``<job>/<file>``.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadLatent, NotFound, OutputUnwritable
from acestep.audio.latent_header import SUFFIX, LatentFacts, read_latent_facts

RECORD = "result.json"
"""In every result folder; names the job."""

PIN = ".pin"
"""An empty file of the latent's name with this ending keeps it whatever the cap says."""


class LatentUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How much the stored latents are, and which were removed to keep them below the cap."""

    count: int
    bytes: int
    gone: tuple[str, ...] = ()


def job_of(folder: Path) -> str:
    """The job whose results a folder holds: what its record says, else its name."""
    try:
        return str(msgspec.json.decode((folder / RECORD).read_bytes())["job"])
    except (OSError, KeyError, TypeError, UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        return folder.name


def find_latent(library: Path, name: str) -> Path:
    """The file of a latent's id. Raises `NotFound`, also for anything that would lie outside the library."""
    job, _, file = name.partition("/")
    plain = all(part and Path(part).name == part and part not in (".", "..") for part in (job, file))
    if plain and file.endswith(SUFFIX):
        for folder in folders_of(library, job):
            path = folder / file
            if path.is_file() and not path.is_symlink() and job_of(folder) == job:
                return path
    raise NotFound(f"there is no stored latent {name!r}", field="source_latent")


def folders_of(library: Path, job: str) -> Iterator[Path]:
    """Where a job's results may lie: the folder of its name, or one that had to be named otherwise."""
    yield library / job
    beginning = job.strip(".").lower().replace(".", "_")
    if library.is_dir():
        yield from sorted(path for path in library.iterdir() if path.name.startswith(f"{beginning}~"))


def stored_latents(library: Path) -> Iterator[tuple[str, Path]]:
    """Id and file of every latent, newest result first."""
    for _, folder in sorted(_dated_folders(library), reverse=True):
        found = sorted((library / folder).glob(f"*{SUFFIX}"))
        job = job_of(library / folder) if found else ""
        yield from ((f"{job}/{path.name}", path) for path in found)


def _dated_folders(library: Path) -> Iterator[tuple[float, str]]:
    """When each result was made, and its folder's name. Names, not paths: a library may hold a hundred thousand."""
    if library.is_dir():
        with os.scandir(library) as entries:
            yield from ((entry.stat().st_mtime, entry.name) for entry in entries if entry.is_dir())


def _row(name: str, path: Path, size: int, facts: LatentFacts) -> dict[str, Any]:
    return {
        "id": name,
        "bytes": size,
        "model": facts.model,
        "family": facts.family,
        "frames": facts.frames,
        "samples": facts.samples,
        "rate": facts.rate,
        "start": facts.start,
        "caption": facts.caption,
        "seed": facts.seed,
        "step": None if facts.checkpoint is None else facts.checkpoint["index"] + 1,
        "pinned": _pin(path).exists(),
    }


def list_latents(library: Path, search: str, limit: int) -> dict[str, Any]:
    """Rows of the latents whose id, model or caption contain ``search``; damaged ones are named with their reason."""
    rows: list[dict[str, Any]] = []
    total = 0
    for name, path in stored_latents(library):
        try:
            size = path.stat().st_size
        except OSError:
            continue  # somebody else tidies at the same time
        total += size
        if len(rows) == limit:
            continue
        try:
            row = _row(name, path, size, read_latent_facts(path))
        except BadLatent as failure:
            row = {"id": name, "bytes": size, "error": failure.message}
        if search.lower() in f"{row['id']} {row.get('model', '')} {row.get('caption', '')}".lower():
            rows.append(row)
    return {"latents": rows, "bytes": total}


def delete_latent(library: Path, name: str) -> dict[str, Any]:
    """Remove one latent; its job's sound stays. Raises `NotFound` or `OutputUnwritable`."""
    path = find_latent(library, name)
    size = path.stat().st_size
    try:
        _unlink(path)
    except OSError as failure:
        raise OutputUnwritable(f"{name} cannot be removed: {failure.strerror}", field="latent") from failure
    return {"id": name, "bytes": size}


def pin_latent(library: Path, name: str, pinned: bool) -> dict[str, Any]:
    """Keep a latent whatever the cap says, or no longer. Raises `NotFound` or `OutputUnwritable`."""
    path = find_latent(library, name)
    made = path.parent.stat()
    try:
        _pin(path).touch() if pinned else _pin(path).unlink(missing_ok=True)
        os.utime(path.parent, ns=(made.st_atime_ns, made.st_mtime_ns))
    except OSError as failure:
        raise OutputUnwritable(f"{name} cannot be pinned: {failure.strerror}", field="latent") from failure
    return {"id": name, "pinned": pinned}


def trim_latents(library: Path, most: int, needed: Collection[str] = ()) -> LatentUsage:
    """Remove the oldest latents until all together are at most ``most`` bytes (0: no cap).

    Pinned ones stay, and those in folders that begin with a name in ``needed``. The sound of their jobs stays in any case.
    """
    found = []
    for name, path in stored_latents(library):
        try:
            facts = path.stat()
        except OSError:
            continue  # somebody else tidies at the same time
        found.append((facts.st_mtime, facts.st_size, name, path))
    total, count, gone = sum(entry[1] for entry in found), len(found), []
    for _, size, name, path in sorted(found):
        if not most or total <= most:
            break
        if _pin(path).exists() or path.parent.name.partition("~")[0] in needed:
            continue
        _unlink(path)
        total, count = total - size, count - 1
        gone.append(name)
    return LatentUsage(count=count, bytes=total, gone=tuple(gone))


def _pin(path: Path) -> Path:
    return path.with_name(path.name + PIN)


def _unlink(path: Path) -> None:
    """Remove a latent and its pin. The folder keeps its date, which says when the result was made."""
    made = path.parent.stat()
    path.unlink()
    _pin(path).unlink(missing_ok=True)
    os.utime(path.parent, ns=(made.st_atime_ns, made.st_mtime_ns))
