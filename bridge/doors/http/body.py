"""Bodies of requests, read within bounds: so many bytes, and none that trickle in forever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bridge.doors import limits


async def read_body(request: Request, most: int = limits.HTTP_BODY) -> bytes:
    """The whole body. Raises `HTTPException`: 413 for one of more than ``most`` bytes, 408 for one that does not move on."""
    return b"".join([piece async for piece in body_pieces(request, most)])


async def body_pieces(request: Request, most: int = limits.HTTP_BODY) -> AsyncIterator[bytes]:
    """The body as it comes. Every `limits.FRAME_BYTES` of it get `limits.FRAME_SECONDS`. Raises like `read_body`."""
    if declared_length(request) > most:
        raise _too_large(most)
    clock = asyncio.get_running_loop().time
    pieces = request.stream()
    received, moved_at = 0, clock()
    while True:
        try:
            async with asyncio.timeout_at(moved_at + limits.FRAME_SECONDS):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise HTTPException(408, f"no more of the body arrived for {limits.FRAME_SECONDS:g} s") from None
        if piece is None:
            return
        if (received + len(piece)) // limits.FRAME_BYTES > received // limits.FRAME_BYTES:
            moved_at = clock()
        received += len(piece)
        if received > most:
            raise _too_large(most)
        if piece:
            yield piece


def declared_length(request: Request) -> int:
    """The body's length as its header says; 0 where it says none."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"a body of this kind may have at most {most} bytes")
