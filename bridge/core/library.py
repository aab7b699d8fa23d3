"""Results on disk. The worker fills a staging folder; its rename into the library is the commit, so nothing there is ever
half-written.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import json
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, DiskFull, InternalError, NotFound, OutputUnwritable
from bridge.core.records import JobRecord, folder_name

log = logging.getLogger(__name__)

RECORD = "result.json"
"""In every library folder: the job's id, number and result. What a restart believes when the database was behind."""

FORMAT = "acestep-bridge/result"
VERSION = 1
RECIPE = "recipe.json"
"""Sidecar of every result: the request that makes it again."""

MAX_RECORD = 64 * 1024 * 1024


class Library:
    """The folders of finished results and the staging beside it."""

    def __init__(self, library: Path, staging: Path, free_bytes: int = 0) -> None:
        self.folder = library
        self.staging = staging
        self._free_bytes = free_bytes

    def stage(self, job: JobRecord) -> Path:
        """Where an attempt at a job writes; empty when the attempt begins. Raises `DiskFull` or `OutputUnwritable`."""
        place = self.staging / f"{folder_name(job.id)}~a{job.attempt}"
        with _named_errors(self.staging):
            self.staging.mkdir(parents=True, exist_ok=True)
            _remove(place)
            if shutil.disk_usage(self.staging).free < self._free_bytes:
                raise DiskFull(
                    f"less than {self._free_bytes >> 20} MiB are free for results in {self.folder}",
                    limits={"free_bytes": self._free_bytes},
                )
            place.mkdir()
        return place

    def commit(self, job: JobRecord, staged: Path, result: dict[str, Any]) -> dict[str, Any]:
        """Move an attempt's files into the library; returns the result with the ``folder`` it lies in.

        Everything is synced before and after the rename. Raises `DiskFull`, `OutputUnwritable`, or `InternalError` for a
        result that names files which are not there.
        """
        _check_files(staged, result)
        with _named_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            place = self._free_place(job)
            kept = {**result, "folder": place.name}
            record = {"format": FORMAT, "version": VERSION, "job": job.id, "number": job.number, "result": kept}
            _write_synced(staged / RECORD, json.dumps(record, ensure_ascii=False).encode())
            if kept.get("recipe") and not (staged / RECIPE).exists():
                _write_synced(staged / RECIPE, json.dumps(kept["recipe"], ensure_ascii=False, indent=1).encode())
            _sync_folder(staged)
            os.rename(staged, place)
            _sync_folder(self.folder)
        return kept

    def _free_place(self, job: JobRecord) -> Path:
        """A folder that no forgotten job of the same id has left."""
        return next(place for place in self._places(job) if not place.exists())

    def _places(self, job: JobRecord) -> Iterator[Path]:
        name = folder_name(job.id)
        yield self.folder / name
        for count in range(2, 1_000_000):
            yield self.folder / f"{name}~{count}"

    def committed(self, job: JobRecord) -> dict[str, Any] | None:
        """The result of a job whose commit happened before a crash; None when it did not."""
        for place in self._places(job):
            if not place.is_dir():
                return None
            record = _read_record(place)
            if record is not None and record.get("job") == job.id and record.get("number") == job.number:
                result: dict[str, Any] = record["result"]
                return result
        return None

    def file(self, result: dict[str, Any], name: str) -> Path:
        """The path of one of a result's files. Raises `NotFound` for a name that is not one of them."""
        if name not in {entry["name"] for entry in result.get("files", [])}:
            raise NotFound(f"the result has no file {name!r}", field="name")
        return self.folder / str(result.get("folder", "")) / name

    def located(self, result: dict[str, Any]) -> dict[str, Any]:
        """A result as clients see it: its folder and files with absolute paths."""
        if "folder" not in result:
            return result
        folder = self.folder / result["folder"]
        files = [{**entry, "path": str(folder / entry["name"])} for entry in result.get("files", [])]
        return {**result, "folder": str(folder), "files": files}

    def copy_out(self, result: dict[str, Any], target: Path) -> list[str]:
        """Copy a result's files into a folder (checked by the caller), never over another file; returns their paths.

        Each copy is complete under its name or absent. Raises `DiskFull` or `OutputUnwritable`.
        """
        copies = []
        with _named_errors(target):
            target.mkdir(parents=True, exist_ok=True)
            for entry in result.get("files", []):
                copies.append(str(_copy(self.file(result, entry["name"]), target)))
            _sync_folder(target)
        return copies

    def clear_staging(self, keep: frozenset[str] = frozenset()) -> None:
        """Remove what attempts of earlier lives have left."""
        for entry in _entries(self.staging):
            if entry.name not in keep:
                _remove(entry)

    def discard(self, staged: Path) -> None:
        """Remove an attempt that came to nothing."""
        _remove(staged)

    def remove(self, name: str) -> None:
        """Remove a result: out of the library in one step, so that a crash on the way leaves no half of it there."""
        gone = self.staging / f"{name}~gone"
        with _named_errors(self.folder):
            self.staging.mkdir(parents=True, exist_ok=True)
            _remove(gone)
            os.rename(self.folder / name, gone)
        _remove(gone)
        log.info("removed the old result %s", name)


@contextlib.contextmanager
def _named_errors(folder: Path) -> Iterator[None]:
    """The system's errors as ours, with the folder's name."""
    try:
        yield
    except OSError as failure:
        raise storage_error(failure, folder) from failure


def storage_error(failure: OSError, folder: Path) -> AceError:
    """What a failed write into a folder is called."""
    if failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(f"no space left in {folder}")
    return OutputUnwritable(f"{folder} cannot be written: {failure.strerror or failure}")


def _check_files(staged: Path, result: dict[str, Any]) -> None:
    """A worker's file names are plain names of files in its staging folder; anything else is an error of its code."""
    for entry in result.get("files", []):
        name = str(entry["name"])
        if Path(name).name != name or name == RECORD or not (staged / name).is_file() or (staged / name).is_symlink():
            raise InternalError(f"the worker named a result file {name!r} that is not there")


def _read_record(place: Path) -> dict[str, Any] | None:
    try:
        if (place / RECORD).stat().st_size > MAX_RECORD:
            return None
        record = msgspec.json.decode((place / RECORD).read_bytes())
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("result"), dict) else None


def _copy(source: Path, folder: Path) -> Path:
    target = folder / source.name
    count = 2
    while os.path.lexists(target):
        if target.exists() and filecmp.cmp(source, target, shallow=False):
            return target  # copied before a crash
        target = folder / f"{source.stem}-{count}{source.suffix}"
        count += 1
    draft = folder / f".{target.name}.part"
    try:
        draft.unlink(missing_ok=True)
        with source.open("rb") as reading, draft.open("xb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)
            writing.flush()
            os.fsync(writing.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make a folder's entries durable; Windows does so by itself and cannot open folders."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
