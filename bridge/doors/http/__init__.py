"""The HTTP door: health, metrics, the OSCQuery tree and the audition page. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

AUDITION = "/audition"
"""Address of the audition page."""

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.doors.http.server import HttpDoor
    from bridge.settings import Settings


async def start(service: Service, settings: Settings) -> HttpDoor:
    """Open the door at the address of the settings. Raises `OSError` when the port is taken."""
    from bridge.doors.http.server import HttpDoor

    door = HttpDoor(service, token=settings.token)
    await door.listen("127.0.0.1" if settings.listen == "localhost" else settings.listen, settings.http_port)
    return door
