"""The JSON-RPC 2.0 door: codec, connections over lines and WebSockets, listeners."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.doors.jsonrpc.door import JsonRpcDoor
    from bridge.settings import Settings


async def start(service: Service, settings: Settings) -> JsonRpcDoor:
    """Open the door: a Unix socket in the runtime folder, on POSIX, and TCP where a token is set."""
    from bridge.doors import meters
    from bridge.doors.dispatch import Dispatcher
    from bridge.doors.jsonrpc.door import JsonRpcDoor

    door = JsonRpcDoor(Dispatcher(service, service.uploads), token=settings.token)
    meters.attach(service, "jsonrpc", lambda: {"connections": door.connections, "refused": door.refused})
    if settings.token:
        await door.listen("127.0.0.1" if settings.listen == "localhost" else settings.listen, settings.jsonrpc_port)
    if os.name == "posix":
        await door.listen_unix(service.paths.json_socket)
    return door
