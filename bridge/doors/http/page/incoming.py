"""Uploads of the page: one PUT a file, written as it arrives, checked before it is taken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from acestep.api.errors import AceError, BadRequest, TooLarge
from acestep.audio import sniff
from bridge.core.uploads import Uploads
from bridge.doors.http import STUDIO
from bridge.doors.http.page.policy import headers
from bridge.doors.http.page.results import refusal
from bridge.doors.http.site import Site

AT_ONCE = 4
"""Uploads that arrive at a time."""


def routes(site: Site) -> list[BaseRoute]:
    """The address of uploads."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def upload(request: Request) -> Response:
        uploads = site.dispatcher.uploads
        try:
            if uploads is None:
                raise BadRequest("this daemon does not accept uploads")
            async with turn:
                found = await _taken(request, uploads)
        except AceError as error:
            return refusal(error)
        except ClientDisconnect:  # nobody is there to hear of it
            return Response(status_code=400)
        return JSONResponse(found, headers=headers(request))

    return [Route(f"{STUDIO}/uploads", upload, methods=["PUT"])]


async def _taken(request: Request, uploads: Uploads) -> dict[str, object]:
    """What is known of a file that has arrived, with rate, channels and length. Raises `AceError`; nothing is kept then."""
    name = Path(request.query_params.get("name", "sound")).name[:200] or "sound"
    size = _size(request)
    incoming = await asyncio.to_thread(uploads.receive, size, name)
    try:
        async for piece in request.stream():
            await asyncio.to_thread(incoming.write, piece)
        draft = await asyncio.to_thread(incoming.arrived)
        try:
            facts = await asyncio.to_thread(sniff.probe, draft)
        except AceError as error:
            error.message = error.message.replace(draft.name, name)
            raise
        upload = await asyncio.to_thread(incoming.adopt)
    finally:
        await asyncio.to_thread(incoming.close)
    sound = {"rate": facts.rate, "channels": facts.channels, "frames": facts.frames, "format": facts.format}
    return {**msgspec.to_builtins(upload), **sound}


def _size(request: Request) -> int:
    try:
        size = int(request.headers.get("content-length", ""))
    except ValueError:
        raise BadRequest("say how large the file is (Content-Length)", field="size") from None
    if size < 1:
        raise TooLarge("the file is empty", field="size")
    return size
