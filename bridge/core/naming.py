"""Sounds of finished jobs by name: wherever a file is wanted, ``take-1`` or ``take-1/2-extract-bass-stem.wav`` will do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import NotFound
from acestep.latents.latent_store import RECORD, folders_of, job_of
from bridge.core.records import JOB_ID

NAMED = re.compile(rf"({JOB_ID.pattern})(?:/([^/]+))?")

MAIN = ("whole", "part", "stem", "span", "patch", "residual")
"""Which of a result's files is meant when only the job is named: the first of these that it has, of the last stage."""


def names_job(text: str) -> bool:
    """Whether a text can be the name of a job or of one of its files; paths are absolute and cannot."""
    return NAMED.fullmatch(text) is not None


def sound_of_job(library: Path, text: str, field: str) -> Path:
    """The file that a job's name means. Raises `NotFound` with what there is."""
    found = NAMED.fullmatch(text)
    assert found is not None
    job, name = found[1], found[2]
    for folder in folders_of(library, job):
        files = _files(folder) if job_of(folder) == job else []
        if not files:
            continue
        chosen = name or _main(files)
        if chosen is not None and any(entry.get("name") == chosen for entry in files):
            return folder / chosen
        names = [str(entry.get("name")) for entry in files]
        raise NotFound(
            f"the job {job!r} has no file {name!r}" if name else f"the job {job!r} has no sound",
            field=field,
            limits={"choices": names},
        )
    raise NotFound(f"there is no finished job {job!r}, and a file is named by its whole path", field=field)


def _main(files: list[dict[str, Any]]) -> str | None:
    """The first take of the last stage, in the role that is most of a result."""
    sounds = [entry for entry in files if entry.get("role") in MAIN]
    last = max((int(entry.get("stage", 1)) for entry in sounds), default=1)
    ranked = sorted(
        (MAIN.index(entry["role"]), int(entry.get("variant", 0)), str(entry["name"]))
        for entry in sounds
        if int(entry.get("stage", 1)) == last
    )
    return ranked[0][2] if ranked else None


def _files(folder: Path) -> list[dict[str, Any]]:
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes())
        return [entry for entry in record["result"]["files"] if isinstance(entry, dict)]
    except (OSError, KeyError, TypeError, UnicodeDecodeError, RecursionError, msgspec.DecodeError):
        return []
