"""The three kinds of body that the original takes, read within bounds: JSON, a form, a form with files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from acestep.api.errors import AceError, Unavailable
from bridge.core.uploads import CHUNK, Uploads
from bridge.doors import limits
from bridge.doors.http.body import body_pieces, declared_length, read_body
from bridge.doors.rest.envelope import hard

PARTS = {"src_audio": "source", "ctx_audio": "source", "reference_audio": "reference", "ref_audio": "reference"}
"""Names of the parts that carry sounds -> what they are for."""

MAX_FIELDS, MAX_DEPTH = 200, 32

FORM = "application/x-www-form-urlencoded"


class ParsedBody:
    """What a request says: its values by name, and the uploads that its files became, by what they are for."""

    def __init__(self, values: dict[str, Any], files: dict[str, str] | None = None) -> None:
        self.values = values
        self.files = files or {}


Admit = Callable[[Mapping[str, Any]], None]
"""Looks at the values of a body before its files are kept; raises `HTTPException`."""


class BodyReader:
    """Reads the bodies of a door. Files on their way in never take more of the disk than uploads may."""

    def __init__(self, uploads: Uploads | None, largest: int, quota: int) -> None:
        self._uploads = uploads
        self._most = largest + limits.HTTP_BODY
        self._quota = max(quota, self._most)
        self._coming = 0

    async def read(self, request: Request, client: str, admit: Admit, *, optional: bool = False) -> ParsedBody:
        """A body of any of the three kinds, once ``admit`` has let its values in; files are kept only then. ``optional``: it may
        be empty.

        Raises `HTTPException`: 400, 408, 413, 415, 429, and what ``admit`` raises.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._multipart(request, client, admit)
        data = await read_body(request)
        body = ParsedBody({}) if optional and not data.strip() else _parsed(kind, data)
        admit(body.values)
        return body

    async def _multipart(self, request: Request, client: str, admit: Admit) -> ParsedBody:
        """A form whose files become uploads, as those of clients on other machines; parts of other names are left alone."""
        async with self.form(request) as form:
            values = {name: value for name, value in reversed(form.multi_items()) if isinstance(value, str)}
            admit(values)
            files: dict[str, str] = {}
            for part, role in PARTS.items():
                sent = form.get(part)
                if isinstance(sent, UploadFile) and sent.size and role not in files:
                    files[role] = await self.keep(sent.file, sent.size, sent.filename or "", client)
            return ParsedBody(values, files)

    @contextlib.asynccontextmanager
    async def form(self, request: Request, most_files: int = 8) -> AsyncIterator[FormData]:
        """A multipart body, read within bounds; its files are gone afterwards. Raises `HTTPException`: 400, 408, 413, 429."""
        size = min(declared_length(request) or self._most, self._most)
        if self._coming + size > self._quota:
            raise HTTPException(429, "too many files are being sent at once; try again", {"retry-after": "5"})
        self._coming += size
        try:
            form = await self._parsed_form(request, most_files)
            try:
                yield form
            finally:
                await form.close()
        finally:
            self._coming -= size

    async def _parsed_form(self, request: Request, most_files: int) -> FormData:
        pieces = _with_end(body_pieces(request, self._most))
        parser = MultiPartParser(
            request.headers, pieces, max_files=most_files, max_fields=MAX_FIELDS, max_part_size=limits.HTTP_BODY
        )
        try:
            return await parser.parse()
        except (MultiPartException, KeyError, ValueError) as failure:
            raise HTTPException(400, f"the multipart body cannot be read: {_reason(failure)}") from None

    async def keep(self, file: BinaryIO, size: int, name: str, client: str) -> str:
        """Keep a file as an upload; its id. Raises `HTTPException`."""
        plain = name.replace("\\", "/").rpartition("/")[2][:200]
        try:
            if self._uploads is None:
                raise Unavailable("this daemon does not accept uploads")
            return await asyncio.to_thread(_store, self._uploads, file, size, plain, client)
        except AceError as failure:
            raise hard(failure) from None


def _parsed(kind: str, data: bytes) -> ParsedBody:
    """A body without files, by the kind that its header says, else by its first character."""
    if kind == "application/json" or kind.endswith("+json"):
        return ParsedBody(parse_json(data))
    if kind == FORM:
        return ParsedBody(_form(data))
    start = data.lstrip()[:1]
    if start in (b"{", b"["):
        return ParsedBody(parse_json(data))
    if b"=" in data:
        return ParsedBody(_form(data))
    raise HTTPException(
        415, "a body must be application/json, application/x-www-form-urlencoded or multipart/form-data"
    )


def parse_json(data: bytes) -> dict[str, Any]:
    """An object. Raises `HTTPException` 400."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the JSON body is no object")
    if _depth(found) > MAX_DEPTH:
        raise HTTPException(400, f"the JSON body is nested deeper than {MAX_DEPTH} deep")
    return found


def _depth(value: Any) -> int:
    """How deep containers lie in each other, as far as it matters."""
    layer, depth = [value], 0
    while layer and depth <= MAX_DEPTH:
        inner = [one for one in layer if isinstance(one, (dict, list))]
        layer = [item for one in inner for item in (one.values() if isinstance(one, dict) else one)]
        depth += bool(inner)
    return depth


def _form(data: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(data.decode("utf-8"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise HTTPException(400, f"a form must be UTF-8 text of at most {MAX_FIELDS} fields") from None
    return {name: value for name, value in reversed(pairs)}


async def _with_end(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The pieces, and the empty one that tells the parser that they are all there."""
    async for piece in pieces:
        yield piece
    yield b""


def _reason(failure: Exception) -> str:
    return failure.message if isinstance(failure, MultiPartException) else "its boundary or headers are wrong"


def _store(uploads: Uploads, file: BinaryIO, size: int, name: str, client: str) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(CHUNK):
        digest.update(piece)
    upload = uploads.begin(size, digest.hexdigest(), name=name, client=client)
    file.seek(upload.received)
    while not upload.complete:
        upload = uploads.write(upload.id, upload.received, file.read(CHUNK))
    return upload.id
