"""The MessagePack-RPC door: codec, connections, listeners."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.doors.rpc.door import RpcDoor
    from bridge.settings import Settings


async def start(service: Service, settings: Settings) -> RpcDoor:
    """Open the door: TCP at the address of the settings and, on POSIX, a Unix socket in the runtime folder."""
    from bridge.doors import meters
    from bridge.doors.dispatch import Dispatcher
    from bridge.doors.rpc.door import RpcDoor

    door = RpcDoor(Dispatcher(service, service.uploads), token=settings.token)
    meters.attach(service, "rpc", lambda: {"connections": door.connections, "refused": door.refused})
    await door.listen("127.0.0.1" if settings.listen == "localhost" else settings.listen, settings.rpc_port)
    if os.name == "posix":
        await door.listen_unix(service.paths.socket)
    return door
