"""Carries events from the core to one client, each event once and in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from acestep.api.errors import AceError
from bridge.core.access import OWNER, Access
from bridge.core.interface import Core, Event

log = logging.getLogger(__name__)

"""The kinds that end a job."""

EVERYTHING = ""
"""Key of the subscription to all jobs; no job has an empty id."""


class Follower:
    """The subscriptions of one client. ``deliver`` is called with each event, in the order of its job's seq."""

    def __init__(self, core: Core, client: str, deliver: Callable[[Event], None], access: Access = OWNER) -> None:
        self._core = core
        self._client = client
        self._access = access
        self._deliver = deliver
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, int] = {}

    @property
    def busy(self) -> bool:
        """Whether any subscription is open."""
        return bool(self._tasks)

    @property
    def follows_all(self) -> bool:
        """Whether all jobs are subscribed to."""
        return EVERYTHING in self._tasks

    def follow(self, job: str, after: int) -> None:
        """Deliver what a job does after ``after`` until it ends. Following it twice is the same as once."""
        if job in self._tasks or self.follows_all:
            return
        self._seen[job] = after
        self._start(job, frozenset({job}), {job: after})

    def follow_all(self, after: dict[str, int]) -> None:
        """Deliver what every job does from now on, and what the named ones did since."""
        if self.follows_all:
            return
        since = {**self._seen, **after}
        self.unfollow([])  # one stream carries everything, so that nothing comes twice
        self._start(EVERYTHING, frozenset(), since)

    def unfollow(self, jobs: list[str]) -> None:
        """Stop some subscriptions, or all."""
        for job in jobs or list(self._tasks):
            task = self._tasks.pop(job, None)
            if task is not None:
                task.cancel()
            self._seen.pop(job, None)

    def close(self) -> None:
        """Stop everything."""
        self.unfollow([])

    def _start(self, key: str, jobs: frozenset[str], after: dict[str, int]) -> None:
        self._tasks[key] = asyncio.get_running_loop().create_task(self._run(key, jobs, after))

    async def _run(self, key: str, jobs: frozenset[str], after: dict[str, int]) -> None:
        try:
            while await self._read(key, jobs, after):
                after = {**after, **self._seen}
        finally:
            if self._tasks.get(key) is asyncio.current_task():
                del self._tasks[key]

    async def _read(self, key: str, jobs: frozenset[str], after: dict[str, int]) -> bool:
        """Hand over until the end. True when the core cut the stream off (too much was unread) and it is worth going on."""
        stream: Any = self._core.subscribe(self._client, jobs, after, self._access)
        delivered = False
        try:
            async for event in stream:
                delivered = True
                self._hand_over(event)
                if event.kind.terminal and key != EVERYTHING:
                    break
        except AceError as failure:
            log.warning("the events of %s to %s were cut off: %s", key or "all jobs", self._client, failure.message)
            return delivered
        finally:
            await stream.aclose()
        return False

    def _hand_over(self, event: Event) -> None:
        if event.seq <= self._seen.get(event.job, -1):
            return
        if event.kind.terminal:
            self._seen.pop(event.job, None)
        else:
            self._seen[event.job] = event.seq
        self._deliver(event)
