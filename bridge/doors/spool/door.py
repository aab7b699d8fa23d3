"""The spool door: looks into the folder, hands requests in, keeps a status file for each up to date."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import AceError, Busy, InternalError
from acestep.api.rights import Right
from bridge.core.access import Access
from bridge.core.interface import Event, JobState
from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher, submits
from bridge.doors.following import Follower
from bridge.doors.methods.jobs import HEAVY, job_map
from bridge.doors.spool.files import Folder, RequestFile

log = logging.getLogger(__name__)

CLEAN_EVERY = 600.0
"""Seconds between two clean-ups."""

TAKE_AT_ONCE = 64
"""Requests taken in one look, so that one host's flood does not hold up the others' statuses."""


class SpoolDoor:
    """Watches one spool folder. Several hosts may use it at once; every request has a name of its own."""

    def __init__(self, dispatcher: Dispatcher, root: Path, pause: float = limits.SPOOL_POLL_SECONDS) -> None:
        self.address = str(root)
        self.refused = 0
        self.folder = Folder(root)
        self._dispatcher = dispatcher
        self._pause = pause
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._watching: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._entries: dict[str, _Entry] = {}

    async def open(self) -> None:
        """Make the folder, take up the jobs that an earlier daemon left, and begin to watch."""
        await self.blocking(self.folder.create)
        for name, answer in await self.blocking(self.folder.unfinished):
            await self._resume(name, answer)
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def _resume(self, name: str, answer: dict[str, Any]) -> None:
        entry = _Entry(self, name)
        try:
            self._entries[name] = entry
            await entry.begin(answer)
        except AceError as failure:
            del self._entries[name]
            await entry.write(answer=answer, error=failure.to_wire())

    async def blocking(self, work: Any, *arguments: Any) -> Any:
        """Run file work off the loop, one piece at a time and in order."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        next_clean = loop.time()
        while True:
            if loop.time() >= next_clean:
                next_clean = loop.time() + CLEAN_EVERY
                await self.blocking(self.folder.clean, limits.SPOOL_KEEP_SECONDS)
            for taken in await self.blocking(self.folder.take, TAKE_AT_ONCE):
                self._hand_in(taken)
            await asyncio.sleep(self._pause)

    def _hand_in(self, taken: RequestFile) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(taken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, taken: RequestFile) -> None:
        entry = _Entry(self, taken.name)
        if taken.request is None:
            self.refused += 1
            await entry.write(error=taken.error)
            return
        try:
            if len(self._entries) >= limits.SPOOL_FILES and taken.name not in self._entries:
                raise Busy(f"{limits.SPOOL_FILES} jobs are followed", limits={"jobs": limits.SPOOL_FILES})
            params = _with_id(taken.request.method, taken.request.params, taken.name)
            answer = await self._dispatcher.call(taken.request.method, params, entry)
        except AceError as failure:
            await entry.write(error=failure.to_wire())
            return
        except Exception:  # the host must get an answer, and the other hosts their door
            log.exception("spool request %s failed", taken.name)
            await entry.write(error=InternalError(f"{taken.request.method} failed; the log says why").to_wire())
            return
        if not submits(taken.request.method):
            await entry.write(answer=answer)
            return
        old = self._entries.pop(taken.name, None)
        if old is not None:
            old.close()
        self._entries[taken.name] = entry
        await entry.begin(answer)

    @property
    def following(self) -> int:
        """Jobs whose status files are kept up to date."""
        return len(self._entries)

    def finished(self, name: str) -> None:
        """A job has ended; its status file is written for the last time."""
        self._entries.pop(name, None)

    def job(self, id: str) -> dict[str, Any]:
        """A job for a status file: everything but its recipe."""
        return job_map(self._dispatcher.core.job(id), without=HEAVY - {"result"})

    def follower(self, entry: _Entry) -> Follower:
        """The subscription of one status file."""
        return Follower(self._dispatcher.core, entry.name, entry.on_event)

    async def close(self) -> None:
        """Watch no longer."""
        for task in (self._watching, *self._tasks):
            if task is not None:
                task.cancel()
        for entry in list(self._entries.values()):
            entry.close()
        with contextlib.suppress(asyncio.CancelledError):
            if self._watching is not None:
                await self._watching
        self._threads.shutdown(wait=True)


def _with_id(method: str, params: dict[str, Any], name: str) -> dict[str, Any]:
    return {"id": name, **params} if submits(method) else params


class _Entry:
    """One request under way, its `Caller`, and the keeper of its status file."""

    door = "spool"
    access = Access(Right.USER)  # the folder is open to its owner alone

    def __init__(self, door: SpoolDoor, file: str) -> None:
        self.name = f"spool:{file.partition('-')[0]}"
        self._door = door
        self._file = file
        self._job = ""
        self._answer: Any = None
        self._follower: Follower | None = None
        self._stale = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._ended = False

    async def write(self, *, answer: Any = None, error: Any = None, job: Any = None) -> None:
        """Write the status file."""
        data = {"answer": msgspec.to_builtins(answer), "error": error, "job": job}
        try:
            await self._door.blocking(self._door.folder.write, self._file, data)
        except OSError as failure:
            log.warning("the spool status %s cannot be written: %s", self._file, failure)

    async def begin(self, accepted: dict[str, Any]) -> None:
        """Follow the job to its end, the status file with it."""
        self._answer, self._job = accepted, accepted["id"]
        job = self._door.job(self._job)
        await self.write(answer=accepted, job=job)
        if JobState(job["state"]).terminal:
            self._door.finished(self._file)
            return
        self._writer = asyncio.get_running_loop().create_task(self._keep_up())
        self.follow(self._job, accepted["seq"])

    def follow(self, job: str, after: int) -> None:
        """Follow a job."""
        self._follower = self._follower or self._door.follower(self)
        self._follower.follow(job, after)

    def follow_all(self, after: dict[str, int]) -> None:
        """A status file is about one job; there is nothing to follow besides."""

    def unfollow(self, jobs: list[str]) -> None:
        """The same."""

    def on_event(self, event: Event) -> None:
        """Something happened: the file is stale."""
        self._ended = self._ended or event.kind.terminal
        self._stale.set()

    async def _keep_up(self) -> None:
        """Write the newest state whenever there is one; events that come while the disk is busy are written as one."""
        while True:
            await self._stale.wait()
            self._stale.clear()
            ended = self._ended
            try:
                job = self._door.job(self._job)
            except AceError as failure:
                await self.write(answer=self._answer, error=failure.to_wire())
                break
            await self.write(answer=self._answer, job=job)
            if ended:
                break
        self._door.finished(self._file)

    def close(self) -> None:
        """Follow nothing any more."""
        if self._follower is not None:
            self._follower.close()
        if self._writer is not None:
            self._writer.cancel()
