"""The listeners of a door with connections: TCP and, where the system has them, a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import stat
from pathlib import Path
from typing import Any

from acestep.api.errors import NotAllowed
from acestep.api.rights import Right
from bridge.core.access import Access
from bridge.doors.connection import Connection, Terms
from bridge.doors.dispatch import Dispatcher
from bridge.doors.streams import Crowd, StreamGroup, Turns
from bridge.settings import LOOPBACK


class ConnectionDoor:
    """Opens and closes the listeners and counts the connections."""

    connection: type[Connection]
    """What comes of each."""

    def __init__(self, dispatcher: Dispatcher, *, token: str = "") -> None:
        self.address: dict[str, Any] = {"host": "", "port": 0, "socket": ""}
        self._dispatcher = dispatcher
        self._token = token
        self._numbers = itertools.count(1)
        self._servers: list[asyncio.Server] = []
        self._socket: Path | None = None
        turns = Turns()
        self._network, self._local = StreamGroup(Crowd(), turns), StreamGroup(Crowd(), turns)

    async def listen(self, host: str, port: int) -> int:
        """Listen on TCP; returns the port. Raises `NotAllowed` beyond loopback without a token."""
        if host not in LOOPBACK and not self._token:
            raise NotAllowed(f"listening on {host} needs a token", field="token")
        terms = Terms(token=self._token)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: self._connect(terms, self._network), host, port)
        self._servers.append(server)
        found: int = server.sockets[0].getsockname()[1]
        self.address |= {"host": host, "port": found}
        if host == "127.0.0.1" and socket.has_ipv6:  # programs that look up "localhost" may come this way
            with contextlib.suppress(OSError):
                self._servers.append(
                    await loop.create_server(lambda: self._connect(terms, self._network), "::1", found)
                )
        return found

    async def listen_unix(self, path: Path) -> None:
        """Listen on a Unix socket that only its owner can open, in a folder that only its owner can enter."""
        if stat.S_IMODE(path.parent.stat().st_mode) & 0o077:
            raise NotAllowed(f"the folder {path.parent} is open to other users", field="home")
        terms = Terms(access=Access(Right.USER))
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.get_running_loop().create_unix_server(
                lambda: self._connect(terms, self._local), str(path)
            )
        finally:
            os.umask(before)
        self._servers.append(server)
        self._socket = path
        self.address |= {"socket": str(path)}

    def _connect(self, terms: Terms, group: StreamGroup) -> Connection:
        return self.connection(self._dispatcher, terms, next(self._numbers), group)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._network.crowd) + len(self._local.crowd)

    @property
    def refused(self) -> int:
        """How many found no place, or lost theirs to another because they were idle."""
        crowds = (self._network.crowd, self._local.crowd)
        return sum(crowd.refused + crowd.dismissed for crowd in crowds)

    async def close(self) -> None:
        """Let nobody in any more and part with those who are."""
        for server in self._servers:
            server.close()
        for connection in [*self._network.crowd, *self._local.crowd]:
            connection.close("stopping", "the daemon is stopping")
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
        await asyncio.sleep(0)  # lets the goodbyes out
