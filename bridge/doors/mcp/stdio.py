"""The server on standard input and output, as assistants start it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Collection
from typing import BinaryIO

import anyio.to_thread
from mcp.server.stdio import stdio_server

from bridge.doors import limits
from bridge.doors.mcp.link import ClientLink
from bridge.doors.mcp.server import AssistantDoor


class BoundedLines:
    """Lines of a stream; one longer than the bound is read over, and its beginning stands for it, which is no message."""

    def __init__(self, stream: BinaryIO, most: int = limits.MCP_LINE) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[str]:
        while line := await anyio.to_thread.run_sync(self._next, abandon_on_cancel=True):
            yield line.decode("utf-8", "replace")

    def _next(self) -> bytes:
        line = self._stream.readline(self._most)
        if len(line) < self._most or line.endswith(b"\n"):
            return line
        while (rest := self._stream.readline(self._most)) and not rest.endswith(b"\n"):
            pass
        return line[:64] + b"\n"


async def serve(link: ClientLink, only: Collection[str] = ()) -> None:
    """Serve until the input ends; ``only`` names the tools that are offered (empty: all). Raises `BadRequest` about these."""
    door = AssistantDoor(link, only)
    server = door.server()
    try:
        await door.check()
        async with stdio_server(stdin=BoundedLines(sys.stdin.buffer)) as (received, sent):  # type: ignore[arg-type]
            await server.run(received, sent, server.create_initialization_options())
    finally:
        await link.close()
