"""Looks at the disk beside the loop, so that a status or a describe never waits for one that hangs."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bridge.core import reports
from bridge.core.limited import in_thread

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two looks at models, and how long one may take."""

FRESH = 0.05
"""Seconds that a look at the library is believed."""

GLANCE = 0.05
"""Seconds that whoever asks waits for a look, at most; a disk that is in order answers in a hundredth of that."""


class Space:
    """Whether the library's disk has room and answers."""

    def __init__(self, library: Path, free_bytes: int) -> None:
        self._library = library
        self._free_bytes = free_bytes
        self._found = ""
        self._looked = float("-inf")
        self._began: float | None = None

    @property
    def warning(self) -> str:
        """A sentence when results could find no place, else nothing."""
        now = time.monotonic()
        if self._began is not None:
            return f"the library {self._library} does not answer" if now - self._began > GLANCE else self._found
        if now - self._looked > FRESH:
            self._began = now
            thread = threading.Thread(target=self._look, name="space", daemon=True)
            thread.start()
            thread.join(GLANCE)
        return self._found

    def _look(self) -> None:
        found = reports.space_warning(self._library, self._free_bytes)
        self._found, self._looked, self._began = found, time.monotonic(), None


async def keep_fresh(refresh: Callable[[], None]) -> None:
    """Call ``refresh`` in a thread now and then, until cancelled."""
    while True:
        try:
            await in_thread(refresh, seconds=EVERY)
        except TimeoutError:
            log.debug("the look at models and operations takes long")
        except Exception:  # the next look tries again; whatever it is must not end the watch
            log.exception("looking at models and operations failed")
        await asyncio.sleep(EVERY)
