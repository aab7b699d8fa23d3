"""Runs the HTTP door on the daemon's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterable, Iterator
from typing import Any

import uvicorn

from acestep.api.errors import NotAllowed, Unavailable
from bridge.doors.http.app import build
from bridge.doors.http.guard import EntryTerms, Guard
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
        """Listen; returns the first port. Raises `NotAllowed` beyond loopback without a token, `Unavailable` for a port that is
        taken.
        """
        if host not in LOOPBACK and not self._token:
            raise NotAllowed(f"listening on {host} needs a token", field="token")
        sockets = _bind(host, ports)
        found = [sock.getsockname()[1] for sock in sockets]
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
        self._task = asyncio.get_running_loop().create_task(self._server.serve(sockets=sockets), name="http door")
        while not self._server.started and not self._task.done():
            await asyncio.sleep(0.005)
        self.address = {"host": host, "port": found[0], **({"ports": found[1:]} if found[1:] else {})}
        return found[0]

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task


def _bind(host: str, ports: Iterable[int]) -> list[socket.socket]:
    """A listening socket for each port: all of them, or none. Raises `Unavailable` about the one that is taken."""
    sockets: list[socket.socket] = []
    for port in ports:
        try:
            sockets.append(
                socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
            )
        except OSError as failure:
            for sock in sockets:
                sock.close()
            raise Unavailable(
                f"the http door cannot open on {host} port {port}: {failure.strerror or failure}; another program may use it, and "
                "every daemon needs ports of its own",
                field="http_ports" if sockets else "http_port",
            ) from failure
    return sockets
