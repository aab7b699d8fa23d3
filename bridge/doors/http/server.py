"""Runs the HTTP door on the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import uvicorn

from bridge.doors.http.app import build
from bridge.doors.http.guard import EntryTerms, Guard
from bridge.doors.http.ports import address_of, bind, port_of
from bridge.doors.http.protocol import protocol
from bridge.doors.http.site import Site, paths_with_body_token
from bridge.doors.jsonrpc.websocket import WebSockets
from bridge.doors.streams import Crowd
from bridge.settings import LOOPBACK


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: stopping is the daemon's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpDoor:
    """One server, on one port or several."""

    def __init__(self, site: Site, *, token: str = "") -> None:
        self.address: dict[str, Any] = {"host": "", "port": 0}
        self._site = site
        self._token = token
        self._server: _HttpServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def listen(self, host: str, *ports: int) -> int:
        """Listen and answer; returns the first port. Raises as `bridge.doors.http.ports.bind` does."""
        sockets = bind(host, ports, self._token)
        await self.serve(host, sockets)
        return port_of(sockets[0])

    async def serve(self, host: str, sockets: Sequence[socket.socket]) -> None:
        """Answer on ports that are bound. Returns when it does."""
        found = [port_of(sock) for sock in sockets]
        names = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]") for port in found}
        entry = EntryTerms(
            hosts=frozenset(names) if host in LOOPBACK else frozenset(),
            token=self._token,
            origins=frozenset(self._site.settings.http_origins),
            body_tokens=paths_with_body_token(),
        )
        app = Guard(build(self._site), entry)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws=WebSockets(self._site.dispatcher, app.judge, self._token),  # type: ignore[arg-type]
            http=protocol(Crowd()),
            server_header=False,
            date_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16 * 1024,
        )
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are ours, and told by us
        self._server = _HttpServer(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=list(sockets)), name="http door")
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        self.address = address_of(host, sockets)

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
