"""The HTTP door of a daemon that starts: its ports are bound at once, and what they are asked is answered as soon as the server
has been imported. A web server and the doors on it take a third of a daemon's start, and most clients never use them.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from typing import TYPE_CHECKING, Any

from bridge.doors.http.ports import address_of, bind
from bridge.settings import Settings, http_token

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.doors.http.server import HttpDoor

log = logging.getLogger(__name__)


class HttpOpening:
    """The door. Raises `NotAllowed` beyond loopback without a token, and `Unavailable` for a port that is taken."""

    def __init__(self, service: Service, settings: Settings) -> None:
        self._service, self._settings = service, settings
        self._host = "127.0.0.1" if settings.listen == "localhost" else settings.listen
        self._sockets = bind(self._host, (settings.http_port, *settings.http_ports), http_token(settings))
        self.address: dict[str, Any] = address_of(self._host, self._sockets)
        self._server: asyncio.Task[HttpDoor | None] = asyncio.create_task(self._serve(), name="http door opens")

    async def _serve(self) -> HttpDoor | None:
        """The server, answering; none where it cannot be had, which is told in the log and ends nothing else."""
        try:
            await asyncio.to_thread(_import_server)
            from bridge.doors.dispatch import Dispatcher
            from bridge.doors.http.server import HttpDoor
            from bridge.doors.http.site import Site

            dispatcher = Dispatcher(self._service, self._service.uploads)
            door = HttpDoor(Site(dispatcher, self._settings), token=http_token(self._settings))
            await door.serve(self._host, self._sockets)
        except Exception:
            log.exception("the http door does not answer")
            for sock in self._sockets:
                sock.close()
            return None
        return door

    async def close(self) -> None:
        """Stop listening."""
        door = await self._server
        if door is not None:
            await door.close()


def _import_server() -> None:
    """The server and every door on it. In a thread, so that the other doors answer meanwhile."""
    from bridge.doors.http.site import DOORS

    for module in ("bridge.doors.http.server", *DOORS):
        importlib.import_module(module)
