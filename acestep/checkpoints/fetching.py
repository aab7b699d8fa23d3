"""Brings listed files onto the disk: resumed where they broke off, checked, converted if asked, never half there. No torch."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from huggingface_hub import get_session

from acestep.api.disk import FULL, require_space
from acestep.api.errors import AceError, DiskFull, DownloadFailed
from acestep.checkpoints.convert import converted_size, is_float32, to_bfloat16
from acestep.checkpoints.installed import Downloaded, read_manifest, sha256, write_manifest
from acestep.checkpoints.listing import TIMEOUT, RemoteFile, cached_file, short
from acestep.checkpoints.published import STORED_FLOAT32

log = logging.getLogger(__name__)

ATTEMPTS = 5
"""Tries per file, each from where the last one broke off."""

PAUSE = 1.0
"""Seconds before the second try; doubled for each further one."""

BLOCK = 256 * 1024
"""Bytes between two looks at the progress callback (and cancel), and the most that a broken connection loses."""

SPARE = 256 * 2**20
"""Bytes of disk that a download leaves free."""

Progress = Callable[[str, int, int], None]
"""``progress(file, done, total)``: bytes of the whole download. May raise to stop; what has arrived is kept."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What should come where: files, the checkpoint folder, headers for the server, whether float32 becomes bfloat16 on disk."""

    files: list[RemoteFile]
    root: Path
    headers: Mapping[str, str] = {}
    bfloat16: bool = False

    def part(self, file: RemoteFile) -> Path:
        """Where an unfinished file waits: by content, so another source can go on with it."""
        target = self.root / file.target
        return target.with_name(f".{target.name}.{(file.sha256 or file.revision)[:12]}.part")

    def shrinks(self, file: RemoteFile) -> bool:
        """Whether a file is one of those that are converted, as far as its name tells."""
        folder, _, name = file.target.rpartition("/")
        return self.bfloat16 and name.endswith(".safetensors") and folder in STORED_FLOAT32


def fetch_files(order: Order, progress: Progress) -> None:
    """What is missing of these files, and a manifest beside each folder's. Raises `DownloadFailed`, `DiskFull`."""
    missing = [file for file in order.files if not _present(order.root, file)]
    check_disk(order, missing)
    total = sum(file.size for file in order.files)
    meter = Meter(progress, total, total - sum(file.size for file in missing))
    for file in order.files:
        if file in missing:
            record(order.root, file, fetch_file(file, order, meter))
        elif not _entry(order.root, file):
            record(order.root, file, {"size": file.size, "sha256": file.sha256})
    for folder in dict.fromkeys((order.root / file.target).parent for file in order.files):
        _finish(folder, {Path(file.target).name for file in order.files})


def _finish(folder: Path, names: set[str]) -> None:
    """Say in a folder's manifest that everything is here; what another revision had more is forgotten."""
    manifest = read_manifest(folder)
    if manifest is not None:
        files = {name: facts for name, facts in manifest.files.items() if name in names}
        write_manifest(folder, msgspec.structs.replace(manifest, files=files, complete=True))


def check_disk(order: Order, missing: list[RemoteFile]) -> None:
    """Refuse what the disk cannot take, with the figures. Raises `DiskFull`.

    What has arrived of a file counts as paid. Converting needs room for one file as published beside those that are done.
    """
    need = sum(file.size // 2 if order.shrinks(file) else file.size for file in missing)
    need += max((file.size // 2 for file in missing if order.shrinks(file)), default=0)
    need -= sum(order.part(file).stat().st_size for file in missing if order.part(file).exists())
    if missing:
        hint = "" if order.bfloat16 or not any(file.target.partition("/")[0] in STORED_FLOAT32 for file in missing) else (
            "; stored as bfloat16 (--store bfloat16) it needs half as much"
        )  # fmt: skip
        require_space("the model needs", need, order.root, spare=SPARE, hint=hint)


def _entry(root: Path, file: RemoteFile) -> dict[str, Any]:
    target = root / file.target
    manifest = read_manifest(target.parent)
    return {} if manifest is None else manifest.files.get(target.name, {})


def _present(root: Path, file: RemoteFile) -> bool:
    """Whether this very content is here, as it is or converted. Files of unknown origin count by their length."""
    target, entry = root / file.target, _entry(root, file)
    if not target.is_file() or target.stat().st_size != entry.get("size", file.size):
        return False
    origin = entry.get("source", entry)
    if file.sha256 and origin.get("sha256"):
        return bool(origin["sha256"] == file.sha256)
    manifest = read_manifest(target.parent)
    if manifest is not None and entry and not file.sha256 and file.size < BLOCK and file.url:
        return manifest.revision == file.revision or file.revision in ("main", "master")
    return bool(origin.get("size", file.size) == file.size)


def record(root: Path, file: RemoteFile, facts: dict[str, Any]) -> None:
    """Write one finished file into its folder's manifest, so that a later run knows it."""
    target = root / file.target
    known = read_manifest(target.parent)
    files = {**(known.files if known else {}), target.name: facts}
    write_manifest(target.parent, Downloaded(file.repository, file.revision, files, complete=False))


def fetch_file(file: RemoteFile, order: Order, meter: Meter) -> dict[str, Any]:
    """One file into its final place, whole and with the published sum, or not at all; returns its entry in the manifest.

    What has arrived waits in a ``.part`` file, also when the process is killed. (The hub's own client starts files over in every
    run, which is no way to fetch 20 GB over a weak line.) A file that lies in the hub's cache is taken from there.
    Raises `DownloadFailed`, `DiskFull`, `OutputUnwritable`.
    """
    target, part = order.root / file.target, order.part(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    meter.begin(file)
    cached = cached_file(file)
    if cached is None and not file.url:
        raise DownloadFailed(f"{file.path} left the hub's cache while it was read", field="model")
    if cached is None:
        _arrive(file, part, order.headers, meter)
    arrived = cached or part
    if file.sha256 and sha256(arrived, lambda read: meter.now(file.size)) != file.sha256:
        part.unlink(missing_ok=True)
        where = "in the hub's cache is damaged; delete it there" if cached else "arrived damaged and was discarded"
        raise DownloadFailed(f"{file.path} {where}; run the download again")
    if order.shrinks(file) and is_float32(arrived):
        facts = _converted(file, arrived, target, meter)
        part.unlink(missing_ok=True)
    else:
        _take_over(arrived, part, target)
        facts = {"size": file.size, "sha256": file.sha256}
    meter.end(file)
    return facts


def _converted(file: RemoteFile, arrived: Path, target: Path, meter: Meter) -> dict[str, Any]:
    require_space(f"converting {file.path} needs", converted_size(arrived), target.parent, spare=SPARE)
    published = file.sha256 or sha256(arrived)
    size, digest = to_bfloat16(arrived, target, lambda: meter.now(file.size))
    source = {"size": file.size, "sha256": published, "dtype": "float32"}
    return {"size": size, "sha256": digest, "dtype": "bfloat16", "source": source}


def _take_over(arrived: Path, part: Path, target: Path) -> None:
    """Put a whole file in its place: moved, or out of the hub's cache as a hard link, or as a copy on another disk."""
    if arrived != part:
        part.unlink(missing_ok=True)
        try:
            os.link(arrived, part)
        except OSError:
            with full_disk_told(arrived.name):
                shutil.copyfile(arrived, part)
    part.replace(target)


@contextmanager
def full_disk_told(name: str) -> Iterator[None]:
    """Turns the system's "no space left" into `DiskFull`."""
    try:
        yield
    except OSError as failure:
        if failure.errno not in FULL:
            raise
        raise DiskFull(f"the disk filled up at {name}; free some space and run the download again") from failure


def _arrive(file: RemoteFile, part: Path, headers: Mapping[str, str], meter: Meter) -> None:
    """Let a file arrive in its part file. Raises `DownloadFailed`, `DiskFull`."""
    try:
        stubborn(lambda: _append(file, part, headers, meter))
    except AceError:
        raise
    except Exception as failure:  # a stranger's client: network, server and format errors share no base class
        raise DownloadFailed(
            f"{file.path} broke off ({short(failure)}); run the download again to resume it"
        ) from failure


def _append(file: RemoteFile, part: Path, headers: Mapping[str, str], meter: Meter) -> None:
    """Add what is missing to the part file; raises when the connection ends before the file does."""
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    meter.now(have)
    if have == file.size:
        part.touch()
        return
    asked = {**headers, "Accept-Encoding": "identity", "Range": f"bytes={have}-"}
    with get_session().stream("GET", file.url, headers=asked, follow_redirects=True, timeout=TIMEOUT) as response:
        response.raise_for_status()
        resumed = response.status_code == 206
        with full_disk_told(file.path), part.open("ab" if resumed else "wb") as out:
            have = have if resumed else 0
            for block in response.iter_bytes(BLOCK):
                out.write(block)
                have += len(block)
                meter.now(have)
    if have != file.size:
        raise OSError(f"{have} of {file.size} bytes arrived")


def stubborn(action: Callable[[], Any]) -> Any:
    """The action's result, tried again after a broken connection; what the server refuses outright is not asked twice."""
    for attempt in range(ATTEMPTS):
        try:
            return action()
        except AceError:
            raise  # cancelled by the progress callback, or the disk is full
        except Exception as failure:  # a stranger's client, as above
            status = getattr(getattr(failure, "response", None), "status_code", 500)
            if attempt == ATTEMPTS - 1 or status in (400, 401, 403, 404):
                raise
            log.info("retrying after %s", short(failure))
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("unreachable")


class Meter:
    """One count of bytes over all files of a download; it never falls."""

    def __init__(self, progress: Progress, total: int, done: int) -> None:
        self._progress, self._total, self._base = progress, total, done
        self._name, self._highest = "", 0

    def begin(self, file: RemoteFile) -> None:
        """A file starts."""
        self._name = file.target
        self.now(0)

    def now(self, have: int) -> None:
        """So many bytes of the current file are there."""
        self._highest = max(self._highest, self._base + have)
        self._progress(self._name, min(self._highest, self._total), self._total)

    def end(self, file: RemoteFile) -> None:
        """The current file is whole."""
        self._base += file.size
        self.now(0)
