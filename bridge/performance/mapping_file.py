"""The mapping file on disk: taken over when it is saved; a faulty one is named, and the last good one stays in force."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from acestep.api.errors import AceError
from bridge.performance.mapping import Mapping, load_mapping

log = logging.getLogger(__name__)

RELOAD = 0.5
"""Seconds between looks at the file."""


class MappingFile:
    """One mapping file. ``taken_over`` is called with every good mapping; ``problem`` is a sentence while the file is faulty."""

    def __init__(
        self, path: Path, operations: Callable[[], Collection[str]], taken_over: Callable[[Mapping], None]
    ) -> None:
        self.problem = ""
        self._path = path
        self._operations = operations
        self._taken_over = taken_over
        self._seen: tuple[int, ...] | None = None

    async def look(self) -> None:
        """Take the file over if it was saved since the last look."""
        try:
            mark = await asyncio.to_thread(self._mark)
            if mark == self._seen:
                return
            mapping = await asyncio.to_thread(load_mapping, self._path, self._operations())
        except AceError as error:
            self._seen = mark
            self._complain(error.message)
            return
        except OSError as failure:
            self._seen = None
            self._complain(f"{self._path} cannot be read: {failure.strerror}")
            return
        self._seen, self.problem = mark, ""
        log.info("mapping %s: %d triggers", self._path, len(mapping.trigger))
        self._taken_over(mapping)

    async def watch(self) -> None:
        """Look at it forever."""
        while True:
            await asyncio.sleep(RELOAD)
            await self.look()

    def _mark(self) -> tuple[int, ...]:
        """What changes when a file is saved, in place or by renaming."""
        facts = self._path.stat()
        return facts.st_mtime_ns, facts.st_size, facts.st_ino

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("mapping %s: %s", self._path, problem)
        self.problem = problem
