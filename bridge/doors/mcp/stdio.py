"""The server on standard input and output, as assistants start it."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Collection
from typing import BinaryIO

from mcp.server.stdio import stdio_server

from bridge.doors import limits
from bridge.doors.mcp.link import ClientLink
from bridge.doors.mcp.server import AssistantDoor


class BoundedLines:
    """Lines of a stream; one longer than the bound is read over, and its beginning stands for it, which is not a message.

    They are read by a thread that nobody waits for, so that Ctrl-C ends the program although no line comes.
    """

    def __init__(self, stream: BinaryIO, most: int = limits.MCP_LINE) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[str]:
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        wanted = threading.Semaphore()
        arguments = (asyncio.get_running_loop(), lines, wanted)
        threading.Thread(target=self._read, args=arguments, name="assistant's lines", daemon=True).start()
        while line := await lines.get():
            yield line.decode("utf-8", "replace")
            wanted.release()

    def _read(self, loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes], wanted: threading.Semaphore) -> None:
        line = b"?"
        while line:
            wanted.acquire()
            line = self._next()
            try:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            except RuntimeError:  # the loop has ended
                return

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
        # a stream of its own: Python itself closes sys.stdin at its end, which a thread that reads it would hold up
        own = os.fdopen(os.dup(sys.stdin.fileno()), "rb")
        async with stdio_server(stdin=BoundedLines(own)) as (received, sent):  # type: ignore[arg-type]
            await server.run(received, sent, server.create_initialization_options())
    finally:
        await link.close()
