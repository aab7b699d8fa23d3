"""The OSC door: strict codec, stream framing, grammar, sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.settings import Settings


class OpenDoor:
    """The door as the daemon holds it."""

    def __init__(self, sockets: Any, address: dict[str, Any]) -> None:
        self.address = address
        self._sockets = sockets

    async def close(self) -> None:
        """Let nobody in any more."""
        await self._sockets.close()


async def start(service: Service, settings: Settings) -> OpenDoor:
    """Open the door at the address of the settings. Raises `OSError` when the port is taken."""
    from bridge.doors import meters
    from bridge.doors.dispatch import Dispatcher
    from bridge.doors.osc.allow import AllowList
    from bridge.doors.osc.door import OscDoor
    from bridge.doors.osc.sockets import OscSockets

    door = OscDoor(Dispatcher(service, service.uploads), AllowList(settings.osc_allow))
    meters.attach(service, "osc", door.read)
    sockets = OscSockets(door, "127.0.0.1" if settings.listen == "localhost" else settings.listen, settings.osc_port)
    return OpenDoor(sockets, await sockets.open())
