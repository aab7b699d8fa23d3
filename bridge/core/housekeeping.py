"""What the daemon does from time to time: history, results, latents and uploads stay within their bounds, searches get their
index, new models are seen, idle ones are put to rest.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

from acestep.latents.latent_store import LatentUsage, trim_latents
from bridge.core import retention
from bridge.core.history import History
from bridge.core.job_tracker import JobTracker
from bridge.core.models import Models
from bridge.core.uploads import Uploads
from bridge.settings import Settings

log = logging.getLogger(__name__)

TIDY_EVERY = 60.0
"""Seconds between two rounds."""

LATENTS_EVERY = 600.0
"""Seconds between two looks for latents while jobs come: each look goes through every folder of the library."""

TRIM_EVERY = 3600.0
"""Seconds between two looks at the size of the whole library, where it has a bound."""

DAY = 86_400.0

_UPLOAD = re.compile(rb"up-[0-9a-f]{16}")


class Housekeeping:
    """Runs beside everything else. ``unload`` frees the memory of a model (empty: of all)."""

    def __init__(
        self,
        settings: Settings,
        tracker: JobTracker,
        uploads: Uploads,
        models: Models,
        unload: Callable[[str], None],
        history: History | None = None,
    ) -> None:
        self.latents = LatentUsage(count=0, bytes=0)
        """The stored latents as they were last seen."""
        self._settings = settings
        self._tracker = tracker
        self._uploads = uploads
        self._models = models
        self._unload = unload
        self._history = history
        self._last_job = time.monotonic()
        self._trimmed = float("-inf")
        self._latents_seen = float("-inf")

    def job_came(self) -> None:
        """Note that the daemon is in use."""
        self._last_job = time.monotonic()

    async def run(self) -> None:
        """Tidy, round after round, until cancelled."""
        while True:
            try:
                await self.tidy()
            except Exception:  # the next round tries again; whatever it is must not end the daemon
                log.exception("tidying failed")
            await asyncio.sleep(TIDY_EVERY)

    async def tidy(self) -> None:
        """One round: forget what is beyond the bounds; look for new models; rest idle ones."""
        settings, now = self._settings, time.monotonic()
        if self._history is not None:
            await self._history.index_words()
        oldest = time.time() - settings.history_days * DAY if settings.history_days else None
        if await self._tracker.table.forget(settings.history_jobs, oldest):
            self._tracker.recount()
        if now - self._trimmed > TRIM_EVERY:
            await self.trim()
        await self._purge()
        if self._last_job > self._latents_seen and now - self._latents_seen > LATENTS_EVERY:
            await self.trim_latents()
        await asyncio.to_thread(self._expire_uploads, self._requests())
        await asyncio.to_thread(self._models.all)
        self._rest()

    def _expire_uploads(self, requests: list[dict[str, Any]]) -> None:
        used = frozenset(name for request in requests for name in uploads_in(request))
        self._uploads.expire(self._settings.upload_hours * 3600.0, used)

    def _inputs(self, requests: list[dict[str, Any]]) -> frozenset[str]:
        """The results that waiting and running jobs read. Takes its time where many wait; call it in a thread."""
        folder = self._tracker.library.folder
        return frozenset(name for request in requests for name in retention.inputs(request, folder))

    async def _purge(self) -> None:
        """Remove results that were deleted a day ago."""
        if self._history is None:
            return
        needed = await asyncio.to_thread(self._inputs, self._requests())
        if await self._history.purge(needed):
            self._tracker.recount()

    async def trim(self) -> list[str]:
        """Remove the oldest results beyond the bounds of the library, where the settings have any; returns which."""
        self._trimmed = time.monotonic()
        bounds = retention.LibraryBounds(size=self._settings.library_bytes, age=self._settings.library_days * DAY)
        return await asyncio.to_thread(retention.trim, self._tracker.library, bounds, self._requests())

    async def trim_latents(self) -> LatentUsage:
        """Count the stored latents, and remove the oldest beyond their cap that no pin and no job holds."""
        self._latents_seen = time.monotonic()
        folder, most = self._tracker.library.folder, self._settings.latent_bytes
        needed = await asyncio.to_thread(self._inputs, self._requests())
        self.latents = await asyncio.to_thread(trim_latents, folder, most, set(needed))
        if self.latents.gone:
            log.info("%d old stored latents were deleted", len(self.latents.gone))
        return self.latents

    def _requests(self) -> list[dict[str, Any]]:
        """What the waiting and running jobs ask for."""
        return [job.request for job in self._tracker.active.values()]

    def _rest(self) -> None:
        """Unload the models when nothing has waited or run for as long as the settings say."""
        limit = self._settings.idle_unload * 60
        if limit and not self._tracker.active and time.monotonic() - self._last_job > limit:
            self.job_came()
            self._unload("")


def uploads_in(request: dict[str, Any]) -> set[str]:
    """Ids of all uploads that a request names, as its source or as a file in any other field."""
    return {name.decode() for name in _UPLOAD.findall(msgspec.json.encode(request))}
