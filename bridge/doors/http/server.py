"""Runs the HTTP door on the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from acestep.api.errors import NotAllowed
from bridge.core.interface import Core
from bridge.doors.http.app import build
from bridge.doors.http.guard import Guard
from bridge.doors.http.protocol import protocol
from bridge.doors.streams import Crowd

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _HttpServer(uvicorn.Server):
    """uvicorn without its signal handlers: stopping is the daemon's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpDoor:
    """One listener."""

    def __init__(self, core: Core, *, token: str = "") -> None:
        self.address: dict[str, Any] = {"host": "", "port": 0}
        self._core = core
        self._token = token
        self._server: _HttpServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int) -> int:
        """Listen; returns the port. Raises `NotAllowed` beyond loopback without a token, `OSError` when the port is taken."""
        local = host in LOOPBACK
        if not local and not self._token:
            raise NotAllowed(f"listening on {host} needs a token", field="token")
        sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        found: int = sock.getsockname()[1]
        names = {f"{name}:{found}" for name in ("127.0.0.1", "localhost", "[::1]")}
        app = Guard(build(self._core), names, "" if local else self._token)
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            http=protocol(Crowd()),
            server_header=False,
            date_header=False,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=16 * 1024,
        )
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and stop are ours, and told by us
        self._server = _HttpServer(config)
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=[sock]), name="http door")
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        self.address = {"host": host, "port": found}
        return found

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
