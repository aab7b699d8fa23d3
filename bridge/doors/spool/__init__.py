"""The spool door: request files in, status files out, for hosts whose scripts have files but no sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.core.service import Service
    from bridge.doors.spool.door import SpoolDoor
    from bridge.settings import Settings


async def start(service: Service, settings: Settings) -> SpoolDoor:
    """Watch the spool folder of the home."""
    from bridge.doors import meters
    from bridge.doors.dispatch import Dispatcher
    from bridge.doors.spool.door import SpoolDoor

    door = SpoolDoor(Dispatcher(service, service.uploads), service.paths.spool)
    meters.attach(service, "spool", lambda: {"following": door.following, "refused": door.refused})
    await door.open()
    return door
