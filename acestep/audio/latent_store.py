"""The stored latents of a library, for the daemon: list, inspect, delete. No torch.

A latent's id is ``<job>/<file>``. The functions with a ``daemon`` are targets of operations; it offers ``core.library.folder``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadLatent, NotFound, OutputUnwritable
from acestep.audio.latent_header import SUFFIX, LatentFacts, read_latent_facts

RECORD = "result.json"
"""In every result folder; names the job."""


def job_of(folder: Path) -> str:
    """The job whose results a folder holds: what its record says, else its name."""
    try:
        return str(msgspec.json.decode((folder / RECORD).read_bytes())["job"])
    except (OSError, KeyError, TypeError, msgspec.DecodeError):
        return folder.name


def find_latent(library: Path, name: str) -> Path:
    """The file of a latent's id. Raises `NotFound`, also for anything that would lie outside the library."""
    job, _, file = name.partition("/")
    plain = all(part and Path(part).name == part and part not in (".", "..") for part in (job, file))
    if plain and file.endswith(SUFFIX):
        for folder in _folders_of(library, job):
            path = folder / file
            if path.is_file() and not path.is_symlink() and job_of(folder) == job:
                return path
    raise NotFound(f"there is no stored latent {name!r}", field="source_latent")


def _folders_of(library: Path, job: str) -> Iterator[Path]:
    """Where a job's results may lie: the folder of its name, or one that had to be named otherwise."""
    yield library / job
    beginning = job.strip(".").lower().replace(".", "_")
    if library.is_dir():
        yield from sorted(path for path in library.iterdir() if path.name.startswith(f"{beginning}~"))


def stored_latents(library: Path) -> Iterator[tuple[str, Path]]:
    """Id and file of every latent, newest result first."""
    folders = [path for path in library.iterdir() if path.is_dir()] if library.is_dir() else []
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        found = sorted(folder.glob(f"*{SUFFIX}"))
        job = job_of(folder) if found else ""
        yield from ((f"{job}/{path.name}", path) for path in found)


def _row(name: str, path: Path, facts: LatentFacts) -> dict[str, Any]:
    return {
        "id": name,
        "bytes": path.stat().st_size,
        "model": facts.model,
        "family": facts.family,
        "frames": facts.frames,
        "samples": facts.samples,
        "rate": facts.rate,
        "start": facts.start,
        "caption": facts.caption,
        "seed": facts.seed,
        "step": None if facts.checkpoint is None else facts.checkpoint["index"] + 1,
    }


def list_latents(library: Path, search: str, limit: int) -> dict[str, Any]:
    """Rows of the latents whose id, model or caption contain ``search``; damaged ones are named with their reason."""
    rows: list[dict[str, Any]] = []
    total = 0
    for name, path in stored_latents(library):
        total += path.stat().st_size
        if len(rows) == limit:
            continue
        try:
            row = _row(name, path, read_latent_facts(path))
        except BadLatent as failure:
            row = {"id": name, "bytes": path.stat().st_size, "error": failure.message}
        if search.lower() in f"{row['id']} {row.get('model', '')} {row.get('caption', '')}".lower():
            rows.append(row)
    return {"latents": rows, "bytes": total}


def delete_latent(library: Path, name: str) -> dict[str, Any]:
    """Remove one latent; its job's sound stays. Raises `NotFound` or `OutputUnwritable`."""
    path = find_latent(library, name)
    size = path.stat().st_size
    try:
        path.unlink()
    except OSError as failure:
        raise OutputUnwritable(f"{name} cannot be removed: {failure.strerror}", field="latent") from failure
    return {"id": name, "bytes": size}


async def run_list(request: Any, daemon: Any) -> dict[str, Any]:
    """Operation ``latents``."""
    return await asyncio.to_thread(list_latents, daemon.core.library.folder, request.search, request.limit)


async def run_inspect(request: Any, daemon: Any) -> dict[str, Any]:
    """Operation ``latent``."""
    path = await asyncio.to_thread(find_latent, daemon.core.library.folder, request.latent)
    facts = await asyncio.to_thread(read_latent_facts, path)
    return {"id": request.latent, "path": str(path), **msgspec.to_builtins(facts)}


async def run_delete(request: Any, daemon: Any) -> dict[str, Any]:
    """Operation ``latent-delete``."""
    return await asyncio.to_thread(delete_latent, daemon.core.library.folder, request.latent)
