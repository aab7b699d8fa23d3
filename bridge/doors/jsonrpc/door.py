"""The listeners of JSON-RPC lines. The WebSocket has its place on the HTTP door instead."""

from __future__ import annotations

from acestep.api.errors import NotAllowed
from bridge.doors.jsonrpc.lines import LineConnection
from bridge.doors.listeners import ConnectionDoor


class JsonRpcDoor(ConnectionDoor):
    """Listens for lines of JSON."""

    connection = LineConnection

    async def listen(self, host: str, port: int) -> int:
        """Listen on TCP; returns the port. Raises `NotAllowed` without a token: web pages can reach this machine's ports."""
        if not self._token:
            raise NotAllowed("JSON-RPC over TCP needs a token", field="token")
        return await super().listen(host, port)
