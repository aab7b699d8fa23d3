"""The server over HTTP (streamable HTTP) at ``/mcp``: the protocol's package behind the guard of all HTTP doors.

The package takes a second to import and nobody may ever ask, so both happen with the first request, beside the loop.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING, Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse

from acestep.api.errors import Unavailable
from bridge.doors import limits
from bridge.doors.http.body import read_body
from bridge.doors.http.site import Site
from bridge.doors.mcp import require_package
from bridge.doors.mcp.tools import DOOR

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager


ENDED = (anyio.ClosedResourceError, anyio.BrokenResourceError)
"""How the package meets a session that ended while a message for it was on its way."""


class HttpAssistants:
    """An ASGI application: the protocol's sessions over one server inside the daemon."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._starting = asyncio.Lock()
        self._sessions: StreamableHTTPSessionManager | None = None
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        try:
            sessions = await self._started()
        except Unavailable as missing:
            await JSONResponse({"detail": missing.message}, status_code=501)(scope, receive, send)
            return
        if scope["method"] == "POST":
            receive = _replay(await read_body(Request(scope, receive), limits.MCP_LINE), receive)
        answer = _OneAnswer(send)
        try:
            await sessions.asgi_app(scope, receive, answer)
        except ENDED:
            if not answer.whole:
                raise

    async def _started(self) -> StreamableHTTPSessionManager:
        """The sessions, opened by the first request. Raises `Unavailable` without the package."""
        async with self._starting:
            if self._sessions is None:
                require_package()
                await asyncio.to_thread(importlib.import_module, "bridge.doors.mcp.server")
                self._sessions = await self._open()
            return self._sessions

    async def _open(self) -> StreamableHTTPSessionManager:
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

        from bridge.doors.mcp.link import InsideLink
        from bridge.doors.mcp.server import AssistantDoor

        logging.getLogger("mcp.server.streamable_http").addFilter(_is_news)
        link = InsideLink(self._site.core, self._site.dispatcher, f"{DOOR}:http")
        sessions = StreamableHTTPSessionManager(
            AssistantDoor(link).server(), max_request_body_size=limits.MCP_LINE, max_sessions=limits.MCP_SESSIONS
        )
        opened = asyncio.Event()

        async def run() -> None:
            async with sessions.run():
                opened.set()
                await asyncio.Event().wait()

        self._task = asyncio.create_task(run(), name="mcp sessions")
        await opened.wait()
        return sessions


class _OneAnswer:
    """A ``send`` that ends with the first answer. The package answers a notification before it passes it on; where its session has
    ended in between, it answers once more, and that would break the connection under its next request."""

    def __init__(self, send: Any) -> None:
        self._send = send
        self.whole = False

    async def __call__(self, message: Any) -> None:
        if self.whole:
            return
        self.whole = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether the package's log says more than that a client ended its session."""
    return not (record.exc_info and isinstance(record.exc_info[1], ENDED))


def _replay(body: bytes, receive: Any) -> Any:
    """A ``receive`` that gives a body that was read within its bounds, and then what comes behind it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Any:
        return waiting.pop() if waiting else await receive()

    return received
