"""The HTTP server: health, metrics, the OSCQuery tree, the audition page, and the doors that speak HTTP (`site.DOORS`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

AUDITION = "/audition"
"""Address of the newest results; it leads to the page's library."""

STUDIO = "/studio"
"""Address of the studio page."""

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.doors.http.server import HttpDoor
    from bridge.settings import Settings


async def start(service: Service, settings: Settings) -> HttpDoor:
    """Open the door at the address of the settings. Raises `Unavailable` when a port is taken."""
    from bridge.doors.dispatch import Dispatcher
    from bridge.doors.http.server import HttpDoor
    from bridge.doors.http.site import Site
    from bridge.settings import http_token

    door = HttpDoor(Site(Dispatcher(service, service.uploads), settings), token=http_token(settings))
    host = "127.0.0.1" if settings.listen == "localhost" else settings.listen
    await door.listen(host, settings.http_port, *settings.http_ports)
    return door
