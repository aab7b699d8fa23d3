"""Follows every job: a change of its state goes through here, is stored first and published after."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import Counter
from typing import Any

import msgspec

from acestep.api.errors import AceError, UnknownJob
from bridge.core.access import Access
from bridge.core.active_jobs import ActiveJobs
from bridge.core.events import EventHub, Subscription
from bridge.core.interface import Event, EventKind, JobState
from bridge.core.job_table import JobTable
from bridge.core.library import Library
from bridge.core.records import JobRecord

log = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds until the end of a job that could not be stored (disk full) is stored again."""

EVENT_FIELDS = (
    "role",
    "path",
    "start",
    "length",
    "rate",
    "channels",
    "variant",
    "seed",
    "lead_in",
    "lead_out",
    "track",
)
"""What an event says of a file."""

EVENT_FIELDS_OF_COPIES = ("copy_of", "delay")
"""What it says of a lossy copy besides."""


class JobTracker:
    """Jobs that have not ended, in memory, and all others, in the store."""

    def __init__(self, table: JobTable, library: Library) -> None:
        self.table = table
        self.library = library
        self.hub = EventHub()
        self.active = ActiveJobs()
        self.ended: Counter[str] = Counter()
        """Remembered jobs that have ended, by state; counted along, because counting rows takes a millisecond."""
        self._retries: set[asyncio.Task[None]] = set()

    def recount(self) -> None:
        """Count the ended jobs anew, at the start and when some were forgotten."""
        self.ended = Counter({state: count for state, count in self.table.counts().items() if JobState(state).terminal})

    def counts(self) -> dict[str, int]:
        """Number of jobs by state."""
        return dict(self.ended + self.active.states)

    def find(self, job: str) -> JobRecord:
        """A job by id. Raises `UnknownJob`."""
        found = self.active.get(job) or self.table.find(job)
        if found is None:
            raise UnknownJob(f"there is no job {job!r}", field="id")
        return found

    def known(self, job: str) -> JobRecord | None:
        """A job by id, if there is one."""
        return self.active.get(job) or self.table.find(job)

    async def accept(self, job: JobRecord) -> None:
        """Store a new job; it counts as active from the call on, so that bounds hold while the disk works."""
        self.active.add(job)
        try:
            await self.table.accept(job)
        except BaseException:  # also a stop meanwhile: whatever kept it from being stored, it is not a job
            self.active.drop(job.id)
            raise
        self.hub.open(job.id, client=job.client)
        self.hub.publish(
            Event(job=job.id, seq=0, kind=EventKind.ACCEPTED, data={"position": job.position}, time=job.created)
        )

    def restore(self, job: JobRecord, events: list[Event]) -> None:
        """Take up a job of an earlier life, with what was told of it."""
        self.active.add(job)
        self.hub.open(job.id, events, job.client)

    async def begin(self, job: JobRecord) -> None:
        """Store that an attempt at a job starts."""
        self.active.move(job, JobState.RUNNING)
        job.started = time.time()
        job.attempt += 1
        await self.table.running(job)

    async def planned(self, job: JobRecord, plan: dict[str, Any]) -> None:
        """A job has its plan, which is stored before anything else: none is made twice. Attempts are counted from here."""
        job.planned, job.attempt = plan, 0
        job.waits_because = f"the plan is made; {job.only_on or 'the next free device'} renders it"
        await self.table.planned(job)

    async def put_back(self, job: JobRecord) -> None:
        """A job waits again because the daemon is stopping; the attempt does not count."""
        self.active.move(job, JobState.QUEUED)
        job.attempt -= 1
        await self.table.requeued(job)

    async def suspended(self, job: JobRecord) -> Event:
        """Store that a job has made way and waits again; its progress keeps its value. Returns the event to publish."""
        self.active.move(job, JobState.SUSPENDED)
        told: dict[str, Any] = {
            name: job.progress[name] for name in ("stage", "step", "steps", "fraction") if name in job.progress
        }
        event = job.event(EventKind.SUSPENDED, {"reason": job.waits_because, **told})
        try:
            await self.table.suspended(job, event)
        except AceError as failure:  # after a crash it is then taken up as one that ran
            log.error("the suspension could not be stored: %s", failure.message, extra={"job": job.id})
        log.info("suspended: %s", job.waits_because, extra={"job": job.id})
        return event

    async def saved(self, job: JobRecord) -> None:
        """A running job has saved something new: attempts are counted from here."""
        if job.state is JobState.RUNNING and job.attempt > 1:
            job.attempt = 1
            await self.table.running(job)

    def progress(self, job: JobRecord, data: dict[str, Any]) -> None:
        """Tell how far a running job is."""
        if job.state is JobState.RUNNING:
            job.progress = {**data, **_where(job)}
            self.hub.publish(job.event(EventKind.PROGRESS, job.progress))

    def preview(self, job: JobRecord, file: dict[str, Any]) -> None:
        """Tell that a preview of a running job can be heard."""
        if job.state is JobState.RUNNING:
            self.hub.publish(job.event(EventKind.PREVIEW, file))

    async def done(self, job: JobRecord, result: dict[str, Any]) -> None:
        """A job's result stands in the library."""
        located = self.library.located(result)
        job.result = result
        job.progress = {**job.progress, "fraction": 1.0, "eta": 0.0}
        files = located.get("files", [])
        events = [job.event(EventKind.RESULT, _file_event(index, entry)) for index, entry in enumerate(files)]
        told = {"seconds": result.get("seconds", 0.0), "notes": list(result.get("notes", [])), "files": len(files)}
        data = {**told, **_where(job)}
        await self._end(job, JobState.DONE, [*events, job.event(EventKind.DONE, data)])

    async def failed(self, job: JobRecord, error: AceError, *, killed_worker: bool = False) -> None:
        """A job ended with an error."""
        job.error = error.to_wire()
        log.warning("failed: %s: %s", error.code, error.message, extra={"job": job.id})
        event = job.event(EventKind.FAILED, {"error": job.error, **_where(job)})
        await self._end(job, JobState.FAILED, [event], killed_worker=killed_worker)

    async def stopped(self, job: JobRecord, state: JobState, reason: str) -> None:
        """A job ended as cancelled or interrupted."""
        await self._end(job, state, [job.event(EventKind(state.value), {"reason": reason})])

    async def _end(self, job: JobRecord, state: JobState, events: list[Event], *, killed_worker: bool = False) -> None:
        """Store the end, then let it be seen: nobody hears of an end that a crash could take back."""
        ended = msgspec.structs.replace(job, state=state, ended=time.time())
        try:
            await self.table.ended(ended, events, killed_worker=killed_worker)
            stored = True
        except AceError as failure:
            log.error("the end could not be stored: %s", failure.message, extra={"job": job.id})
            stored = False
        job.ended = ended.ended
        self.active.move(job, ended.state)
        for event in events:
            self.hub.publish(event)
        if stored:
            self._let_go(job)
            return
        retry = asyncio.create_task(self._store_later(job, events, killed_worker))
        self._retries.add(retry)
        retry.add_done_callback(self._retries.discard)

    async def _store_later(self, job: JobRecord, events: list[Event], killed_worker: bool) -> None:
        """Until it is stored the job stays in memory, ended for everyone who asks."""
        while True:
            await asyncio.sleep(RETRY)
            try:
                await self.table.ended(job, events, killed_worker=killed_worker)
            except AceError as failure:
                log.debug("the end still cannot be stored: %s", failure.message, extra={"job": job.id})
            else:
                self._let_go(job)
                return

    def _let_go(self, job: JobRecord) -> None:
        self.active.drop(job.id)
        self.ended[job.state.value] += 1
        self.hub.drop(job.id)
        log.info("%s", job.state.value, extra={"job": job.id})

    def events(self, job: str, after: int) -> list[Event]:
        """The events of a job with a larger ``seq``. Raises `UnknownJob`."""
        live = self.hub.live(job)
        if live is not None:
            return [event for event in live if event.seq > after]
        return self.table.events(self.find(job), after)

    async def wait(self, job: str, after: int, timeout: float) -> list[Event]:
        """The same, as soon as there is one, the job has ended, or the time (s) is up. Raises `UnknownJob`."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.events(job, after)
            left = deadline - time.monotonic()
            if found or left <= 0 or self._is_over(job):
                return found
            await self.hub.changed(job, left)

    def _is_over(self, job: str) -> bool:
        """Whether no event will come any more."""
        live = self.hub.live(job)
        return live is None or (bool(live) and live[-1].kind.terminal)

    def subscribe(self, client: str, jobs: frozenset[str], after: dict[str, int], access: Access) -> Subscription:
        """A reader of events: those after the given seqs (named jobs: from the first), then what happens."""
        starts = {**dict.fromkeys(jobs, -1), **after}
        past, ended = [], {}
        for job, seq in starts.items():
            live = self.hub.live(job)
            if live is None:
                ended[job] = seq
            elif access.owns(self.hub.client(job)):
                past += [event for event in live if event.seq > seq]
        stored = functools.partial(self.table.stored_events, ended, access) if ended else None
        return self.hub.subscribe(client, jobs, past, access, stored)


def _where(job: JobRecord) -> dict[str, str]:
    """The device of a job that had one."""
    return {"device": job.device} if job.device else {}


def _file_event(index: int, entry: dict[str, Any]) -> dict[str, Any]:
    names = (*EVENT_FIELDS, *EVENT_FIELDS_OF_COPIES) if entry.get("role") == "copy" else EVENT_FIELDS
    return {"index": index, **{name: entry.get(name) for name in names}}
