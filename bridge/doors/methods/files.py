"""Methods that carry files to and from a daemon on another machine, in pieces that can be resumed after a break."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import msgspec

from acestep.api.errors import NotFound
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.uploads import read_chunk
from bridge.doors import limits
from bridge.doors.method import Ability, method
from bridge.doors.method_context import MethodContext
from bridge.doors.methods.jobs import JobName

UploadName = Annotated[str, param("Id of the upload.", max_length=64, example="up-0123456789abcdef")]
Index = Annotated[int, param("Index of the file in the result.", unit="files", ge=0, example=0)]


class UploadBegin(Request):
    """A file that is about to be sent. Beginning again with the same facts resumes."""

    name: Annotated[str, param("File name. Its ending tells the format.", max_length=255, example="song.wav")]
    size: Annotated[int, param("Size of the file.", unit="bytes", ge=1, example=1048576)]
    sha256: Annotated[
        str,
        param(
            "SHA-256 of the whole file in hexadecimal.",
            max_length=64,
            example="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ),
    ]


@method(
    "upload.begin",
    right=Right.OWNER,
    needs=Ability.BYTES,
    answer="Id of the upload, how many bytes have arrived (continue there), whether it is complete.",
    command=None,
)
async def begin_upload(context: MethodContext, request: UploadBegin) -> dict[str, Any]:
    """Announce a file, or find out how much of it has arrived."""
    known = await asyncio.to_thread(
        context.uploads.begin, request.size, request.sha256, name=request.name, client=context.caller.name
    )
    return dict(msgspec.to_builtins(known))


class UploadChunk(Request):
    """A piece of the file, directly behind what has arrived."""

    id: UploadName
    offset: Annotated[int, param("Position of this piece in the file.", unit="bytes", ge=0, example=0)]
    data: Annotated[
        bytes, param(f"At most {limits.CHUNK} bytes.", unit="bytes", max_length=limits.CHUNK, example="(bytes)")
    ]


@method(
    "upload.chunk",
    right=Right.OWNER,
    needs=Ability.BYTES,
    answer="How many bytes have arrived. After the last one the checksum is verified and the upload is complete.",
    command=None,
)
async def send_chunk(context: MethodContext, request: UploadChunk) -> dict[str, Any]:
    """Send the next piece of a file."""
    known = await asyncio.to_thread(context.uploads.write, request.id, request.offset, request.data)
    return dict(msgspec.to_builtins(known))


class WhichUpload(Request):
    """Which upload."""

    id: UploadName


@method(
    "upload.status",
    right=Right.OWNER,
    reads=True,
    needs=Ability.BYTES,
    answer="Id, size, how many bytes have arrived, whether it is complete.",
)
async def upload_status(context: MethodContext, request: WhichUpload) -> dict[str, Any]:
    """How much of a file has arrived; a complete one can be named as `upload` in a request."""
    return dict(msgspec.to_builtins(await asyncio.to_thread(context.uploads.find, request.id)))


@method("upload.drop", right=Right.OWNER, needs=Ability.BYTES, answer="Nothing.")
async def drop_upload(context: MethodContext, request: WhichUpload) -> dict[str, Any]:
    """Throw an upload away."""
    await asyncio.to_thread(context.uploads.remove, request.id)
    return {}


class DownloadBegin(Request):
    """Which file of which result."""

    id: JobName
    index: Index = 0


@method(
    "download.begin",
    right=Right.OWNER,
    reads=True,
    needs=Ability.BYTES,
    answer="Name, size in bytes, SHA-256 (empty where none was stored).",
    command=None,
)
async def begin_download(context: MethodContext, request: DownloadBegin) -> dict[str, Any]:
    """Name, size and sum of a result file."""
    file = _result_file(context, request.id, request.index)
    path = Path(file["path"])
    piece = await asyncio.to_thread(read_chunk, path, 0, 1)
    return {"name": path.name, "size": piece["size"], "sha256": file.get("sha256", "")}


class DownloadChunk(Request):
    """A piece of a result file."""

    id: JobName
    index: Index = 0
    offset: Annotated[int, param("Where the piece begins.", unit="bytes", ge=0, example=0)] = 0
    length: Annotated[
        int, param("How many bytes to return at most.", unit="bytes", ge=1, le=limits.CHUNK, example=262144)
    ] = limits.CHUNK


@method(
    "download.chunk",
    right=Right.OWNER,
    reads=True,
    needs=Ability.BYTES,
    answer="The bytes, their offset, and whether the file ends there.",
    command=None,
)
async def fetch_chunk(context: MethodContext, request: DownloadChunk) -> dict[str, Any]:
    """A piece of a result file."""
    path = Path(_result_file(context, request.id, request.index)["path"])
    piece = await asyncio.to_thread(read_chunk, path, request.offset, request.length)
    return {**piece, "last": request.offset + len(piece["data"]) >= piece["size"]}


def _result_file(context: MethodContext, job: str, index: int) -> dict[str, Any]:
    files = (context.core.job(job).result or {}).get("files", [])
    if index >= len(files):
        raise NotFound(f"the job {job} has {len(files)} result files", field="index", limits={"max": len(files) - 1})
    return dict(files[index])
