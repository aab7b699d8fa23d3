"""Looks at the disk now and then, off the loop, so that a status or a describe never waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from bridge.core import reports
from bridge.core.limited import in_thread

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two looks, and how long one may take."""


class Lookout:
    """Watches the space of the library and calls ``refresh`` in a thread."""

    def __init__(self, library: Path, free_bytes: int, refresh: Callable[[], None]) -> None:
        self.warning = ""
        """A sentence when results could find no place, else nothing."""
        self._library = library
        self._free_bytes = free_bytes
        self._refresh = refresh

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            try:
                self.warning = await in_thread(reports.space_warning, self._library, self._free_bytes, seconds=EVERY)
            except TimeoutError:
                self.warning = f"the library {self._library} does not answer"
            try:
                await in_thread(self._refresh, seconds=EVERY)
            except TimeoutError:
                log.debug("the look at models and operations takes long")
            except Exception:  # the next look tries again; whatever it is must not end the watch
                log.exception("looking at models and operations failed")
            await asyncio.sleep(EVERY)
