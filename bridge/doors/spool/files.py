"""Spool files: what a request file may be, and how a status file is written. Blocking; the door calls it in a thread."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec

from acestep.api.errors import AceError, BadRequest, ProtocolError, TooLarge
from acestep.api.schema import Request, convert, param
from acestep.api.text import decode_text
from bridge.core.interface import TERMINAL, JobState
from bridge.doors import limits

REQUEST_FORMAT, STATUS_FORMAT, VERSION = "acestep-bridge/spool", "acestep-bridge/spool-status", 1

NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
"""A request's name is also the job's id."""


UNFINISHED = frozenset(JobState) - TERMINAL


class SpoolRequest(Request):
    """What a request file says."""

    format: Annotated[str, param("acestep-bridge/spool")]
    version: Annotated[int, param("1")]
    method: Annotated[str, param("Method, as over RPC.", max_length=limits.RPC_METHOD)]
    params: Annotated[dict, param("Its parameters.")] = {}


class RequestFile(msgspec.Struct, frozen=True):
    """A request file that was taken out of the folder: its name, and what it says or why it says nothing."""

    name: str
    request: SpoolRequest | None
    error: dict[str, Any] | None = None


class Folder:
    """The folders ``requests`` and ``status`` of a spool."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.requests = root / "requests"
        self.status = root / "status"

    def create(self) -> None:
        """Make them, for their owner only."""
        for folder in (self.root, self.requests, self.status):
            folder.mkdir(parents=True, exist_ok=True)
            if os.name == "posix":
                folder.chmod(0o700)

    def take(self, most: int) -> list[RequestFile]:
        """Take up to ``most`` finished requests out of the folder, oldest first.

        A file that is not a request is taken too, and becomes an error for its host; ``.tmp`` files are still being written.
        """
        found: list[tuple[float, Path]] = []
        with contextlib.suppress(OSError), os.scandir(self.requests) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    with contextlib.suppress(OSError):
                        found.append((entry.stat(follow_symlinks=False).st_mtime, Path(entry.path)))
        return [taken for _, path in sorted(found)[:most] if (taken := self._take_one(path)) is not None]

    def _take_one(self, path: Path) -> RequestFile | None:
        name = path.stem
        request: SpoolRequest | None = None
        error: AceError | None = None
        try:
            request = _parse(_read(path))
            check_name(name)
        except FileNotFoundError:
            return None
        except AceError as failure:
            error = failure
        except OSError as failure:
            error = ProtocolError(f"the request cannot be read: {failure.strerror}")
        _remove(path)
        return RequestFile(name, None, error.to_wire()) if error is not None else RequestFile(name, request)

    def write(self, name: str, data: dict[str, Any]) -> None:
        """Write a status file, whole or not at all. Its name is that of the request's file, also where that is not a job's name."""
        target = self.status / f"{name}.json"
        draft = self.status / f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.{os.getpid()}.tmp"
        shown = os.fsencode(name).decode("utf-8", "replace")
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode({"format": STATUS_FORMAT, "version": VERSION, "name": shown, **data}))
        try:
            os.replace(draft, target)
        except PermissionError:  # Windows: the host is reading it this moment
            time.sleep(0.02)
            os.replace(draft, target)

    def unfinished(self) -> list[tuple[str, dict[str, Any]]]:
        """Names and answers of the jobs whose status was not final when it was written last."""
        found = []
        for path in self.status.glob("*.json"):
            try:
                data = msgspec.json.decode(_read(path), type=dict[str, Any])
                job, answer = data.get("job") or {}, data.get("answer") or {}
                if job.get("state") in UNFINISHED and NAME.fullmatch(path.stem) and answer.get("id"):
                    found.append((path.stem, answer))
            except (OSError, ProtocolError, TooLarge, msgspec.DecodeError, UnicodeDecodeError, AttributeError):
                continue  # a file that is not ours, or damaged: the clean-up takes it one day
        return found

    def clean(self, age: float) -> int:
        """Remove files older than ``age`` seconds: statuses nobody fetched, requests that were never finished."""
        limit = time.time() - age
        removed = 0
        for folder in (self.requests, self.status):
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        if entry.stat(follow_symlinks=False).st_mtime < limit:
                            removed += _remove(Path(entry.path))
        return removed


def _read(path: Path) -> bytes:
    """A plain file's bytes. Links, pipes and devices are refused without being followed or waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise ProtocolError("a request must be a file, not a link")
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise ProtocolError("a request is a plain file")
        if facts.st_size > limits.SPOOL_REQUEST:
            raise TooLarge(
                f"a request may have at most {limits.SPOOL_REQUEST} bytes", limits={"max": limits.SPOOL_REQUEST}
            )
        return file.read(limits.SPOOL_REQUEST + 1)


def _parse(data: bytes) -> SpoolRequest:
    try:
        found = msgspec.json.decode(decode_text(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as failure:
        raise ProtocolError(f"the request is not valid JSON: {failure}") from None
    request = convert(found, SpoolRequest)
    if request.format != REQUEST_FORMAT or request.version != VERSION:
        raise BadRequest(f"a request has format {REQUEST_FORMAT!r} and version {VERSION}", field="format")
    return request


def check_name(name: str) -> None:
    """Refuse a name that no job can have. Raises `BadRequest`."""
    if not NAME.fullmatch(name):
        raise BadRequest(
            "the name of a request is the id of its job: 1 to 64 letters, digits, dots, underscores and hyphens, no dot first",
            field="id",
            limits={"max_length": 64},
        )


def _remove(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
    except OSError:
        return False
    return True
