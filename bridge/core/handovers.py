"""Results on their way to a host: what somebody sends from the page waits in the spool folder until a script of that host takes it.

There is one file a host, ``handover-<host>.json``. A script takes all that is in it by renaming the file: of several that look, one
succeeds, and nobody need be asked. The daemon adds to a file in the same way: it takes the file, and writes another.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from acestep.api.errors import BadRequest, Busy, NotFound, OutputUnwritable
from bridge.core.interface import JobState, JobView

HostName = Literal["reaper", "ardour", "ableton"]
HOSTS: tuple[str, ...] = get_args(HostName)

FORMAT = "acestep-bridge/handover"
VERSION = 1

MOST_WAITING = 64
"""Results that wait for one host."""

LONGEST_TITLE = 80

NO_SOUND = frozenset({"latent", "plot", "log"})
"""Roles of result files that no host can place."""


class Handovers:
    """What waits for hosts, in the files of a spool folder. Blocking."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._turn = threading.Lock()

    def send(self, host: str, view: JobView, files: list[int]) -> dict[str, Any]:
        """Let results of a finished job wait for a host; the row of it.

        Raises `BadRequest`, `NotFound`, `Busy`, `OutputUnwritable`.
        """
        entry = {
            "id": f"handover-{uuid.uuid4().hex[:12]}",
            "title": _title(view),
            "sent": time.time(),
            "job": {
                "id": view.id,
                "operation": view.operation,
                "state": "done",
                "request": view.request,
                "result": {
                    "recipe": (view.result or {}).get("recipe"),
                    "notes": [],
                    "files": list(_placed(view, files)),
                },
            },
        }
        with self._changing(host) as waiting:
            if len(waiting) >= MOST_WAITING:
                raise Busy(f"{MOST_WAITING} results are already waiting for {host}", limits={"results": MOST_WAITING})
            waiting.append(entry)
        return _row(host, entry)

    def rows(self) -> list[dict[str, Any]]:
        """What waits, the oldest first."""
        with self._turn:
            found = [_row(host, entry) for host in HOSTS for entry in self._read(self._path(host))]
        return sorted(found, key=lambda row: row["sent"])

    def take_back(self, name: str) -> None:
        """Let a result wait no longer. Raises `NotFound` for one that a host has taken."""
        for host in HOSTS:
            with self._changing(host) as waiting:
                kept = [entry for entry in waiting if entry.get("id") != name]
                if len(kept) < len(waiting):
                    waiting[:] = kept
                    return
        raise NotFound(f"{name} is no longer waiting; a host may have taken it", field="id")

    @contextlib.contextmanager
    def _changing(self, host: str) -> Iterator[list[dict[str, Any]]]:
        """The entries of a host, to be changed in place. No script can take them meanwhile; what goes wrong changes nothing."""
        path, held = self._path(host), self._path(host).with_suffix(".held")
        with self._turn:
            waiting = self._read(held)  # a daemon that was killed in the middle left it
            try:
                with contextlib.suppress(FileNotFoundError):
                    os.replace(path, held)
                    waiting = [*waiting, *self._read(held)]
                before = list(waiting)
                try:
                    yield waiting
                except BaseException:
                    waiting = before
                    raise
                finally:
                    self._write(path, waiting)
                    held.unlink(missing_ok=True)
            except OSError as failure:
                raise OutputUnwritable(f"{path} cannot be written: {failure.strerror}") from None

    def _path(self, host: str) -> Path:
        return self._spool / f"handover-{host}.json"

    def _read(self, path: Path) -> list[dict[str, Any]]:
        """The entries of a file; none where there is no file, or one that is not ours."""
        try:
            data = msgspec.json.decode(path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            return []
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
            return []
        return [entry for entry in data.get("results", []) if isinstance(entry, dict)]

    def _write(self, path: Path, waiting: list[dict[str, Any]]) -> None:
        if not waiting:
            return
        draft = path.with_suffix(".tmp")
        draft.write_bytes(msgspec.json.encode({"format": FORMAT, "version": VERSION, "results": waiting}))
        os.replace(draft, path)


def _title(view: JobView) -> str:
    return " ".join((view.caption or view.operation).split())[:LONGEST_TITLE]


def _placed(view: JobView, files: list[int]) -> Iterator[dict[str, Any]]:
    """The chosen files (none: every take) as new parts, which lie where they are asked for: the host says where that is."""
    if view.state is not JobState.DONE:
        raise BadRequest(f"the job {view.id} has no results; only finished jobs can be sent", field="job")
    there: list[dict[str, Any]] = (view.result or {}).get("files", [])
    usual = [
        index
        for index, file in enumerate(there)
        if file["role"] not in NO_SOUND and not file.get("preview") and not file.get("copy_of")
    ]
    for index in files or usual:
        if not 0 <= index < len(there):
            raise NotFound(f"the job {view.id} has {len(there)} files", field="files", limits={"max": len(there) - 1})
        file = there[index]
        if file["role"] in NO_SOUND:
            raise BadRequest(f"{file['name']} is not a sound", field="files")
        if not Path(file["path"]).is_file():
            raise NotFound(f"{file['name']} is gone", field="files")
        yield {**file, "role": "part", "start": 0, "preview": False}


def _row(host: str, entry: dict[str, Any]) -> dict[str, Any]:
    job = entry.get("job") or {}
    files = (job.get("result") or {}).get("files") or []
    return {
        "id": entry.get("id", ""),
        "host": host,
        "title": entry.get("title", ""),
        "job": job.get("id", ""),
        "files": len(files),
        "sent": entry.get("sent", 0.0),
    }
