"""The HTTP server: health, metrics, the OSCQuery tree, the audition page, and the doors that speak HTTP (`site.DOORS`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

AUDITION = "/audition"
"""Address of the newest results; it leads to the page's library."""

STUDIO = "/studio"
"""Address of the studio page."""

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.doors.http.opening import HttpOpening
    from bridge.settings import Settings


async def start(service: Service, settings: Settings) -> HttpOpening:
    """Open the door at the address of the settings. Raises `NotAllowed` or `Unavailable` as `bridge.doors.http.ports.bind` does."""
    from bridge.doors.http.opening import HttpOpening

    return HttpOpening(service, settings)
