"""Files to and from clients on other machines, in chunks that can be taken up again after a break."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Protocol

import msgspec

from acestep.api.errors import NotFound, Unavailable
from bridge.core import uploads as chunks
from bridge.doors import requests
from bridge.doors.desk import Caller, Desk


class Files(Protocol):
    """What the verbs below need of the core's uploads (`bridge.core.uploads.Uploads`); called in a thread."""

    def begin(self, size: int, sha256: str, *, name: str = "", client: str = "") -> chunks.Upload:
        """Announce a file, or find it again."""

    def write(self, upload: str, offset: int, data: bytes) -> chunks.Upload:
        """Store a chunk."""

    def find(self, upload: str) -> chunks.Upload:
        """What is known of an upload."""

    def remove(self, upload: str) -> None:
        """Forget an upload."""


def _files(desk: Desk) -> Files:
    if desk.files is None:
        raise Unavailable("this daemon takes no uploads")
    return desk.files


async def begin_upload(desk: Desk, caller: Caller, request: requests.UploadBegin) -> dict[str, Any]:
    """Announce a file; the answer says from where to send."""
    files = _files(desk)
    known = await asyncio.to_thread(files.begin, request.size, request.sha256, name=request.name, client=caller.name)
    return msgspec.to_builtins(known)


async def write_chunk(desk: Desk, caller: Caller, request: requests.UploadChunk) -> dict[str, Any]:
    """Store a chunk."""
    return msgspec.to_builtins(await asyncio.to_thread(_files(desk).write, request.id, request.offset, request.data))


async def upload_status(desk: Desk, caller: Caller, request: requests.UploadId) -> dict[str, Any]:
    """How much has arrived."""
    return msgspec.to_builtins(await asyncio.to_thread(_files(desk).find, request.id))


async def drop_upload(desk: Desk, caller: Caller, request: requests.UploadId) -> dict[str, Any]:
    """Forget an upload."""
    await asyncio.to_thread(_files(desk).remove, request.id)
    return {}


def _result_file(desk: Desk, job: str, index: int) -> dict[str, Any]:
    files = (desk.core.job(job).result or {}).get("files", [])
    if index >= len(files):
        raise NotFound(f"the job {job} has {len(files)} result files", field="index", limits={"max": len(files) - 1})
    return files[index]


async def begin_download(desk: Desk, caller: Caller, request: requests.DownloadBegin) -> dict[str, Any]:
    """Facts of a result file."""
    file = _result_file(desk, request.id, request.index)
    path = Path(file["path"])
    piece = await asyncio.to_thread(chunks.read_chunk, path, 0, 1)
    return {"name": path.name, "size": piece["size"], "sha256": file.get("sha256", "")}


async def read_chunk(desk: Desk, caller: Caller, request: requests.DownloadChunk) -> dict[str, Any]:
    """A piece of a result file."""
    path = Path(_result_file(desk, request.id, request.index)["path"])
    piece = await asyncio.to_thread(chunks.read_chunk, path, request.offset, request.length)
    return {**piece, "last": request.offset + len(piece["data"]) >= piece["size"]}
