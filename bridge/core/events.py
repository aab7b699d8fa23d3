"""What happens to jobs, told to whoever listens: numbered, bounded, and never blocked by a slow reader."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from acestep.api.errors import Busy
from bridge.core.access import OWNER, Access
from bridge.core.interface import SPARE, Event, EventKind
from bridge.core.records import MAX_EVENTS

MAX_UNREAD = 2048
"""Events that one subscriber may leave unread; progress is merged long before."""

PROGRESS_INTERVAL = 0.1
"""Seconds between two progress events of a job: ten a second, a rate that a client reading every 100 ms can take."""


MERGED = frozenset({EventKind.PROGRESS, EventKind.SUSPENDED})
"""Of these the newest is remembered: a training may be suspended hundreds of times in a night."""

Stored = Callable[[], Awaitable[list[Event]]]
"""Reads the events of ended jobs from the disk."""


class Subscription(AsyncIterator[Event]):
    """One reader's events. Progress it has not taken is merged; when it stops reading altogether it is cut off.

    Iterating raises `Busy` after a cut; the reader may subscribe again from the last ``seq`` it saw.
    """

    def __init__(
        self, client: str, jobs: frozenset[str], forget: Callable[[Subscription], None], access: Access = OWNER
    ) -> None:
        self.client = client
        self.jobs = jobs
        self._access = access
        self.stored: Stored | None = None
        self._forget = forget
        self._unread: dict[tuple[str, int], Event] = {}
        self._progress: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._cut = False
        self._closed = False

    def wants(self, job: str, client: str) -> bool:
        """Whether events of this job, which a client handed in, go to this reader."""
        return (not self.jobs or job in self.jobs) and self._access.owns(client)

    def push(self, event: Event) -> None:
        """Add an event for the reader, in place of an unread progress of the same job."""
        if self._cut or self._closed:
            return
        if event.kind is EventKind.PROGRESS:
            self._unread.pop((event.job, self._progress.get(event.job, -1)), None)
            self._progress[event.job] = event.seq
        elif event.kind.terminal:
            self._unread.pop((event.job, self._progress.pop(event.job, -1)), None)
        if len(self._unread) >= MAX_UNREAD:
            self._unread = {key: old for key, old in self._unread.items() if old.kind not in SPARE}
        if len(self._unread) < MAX_UNREAD:
            self._unread[event.job, event.seq] = event
        elif event.kind not in SPARE:
            self._cut_off()
        self._wake.set()

    def _cut_off(self) -> None:
        """Part with the reader rather than drop a result or an ending behind its back."""
        self._cut = True
        self._unread.clear()
        self._forget(self)

    async def __anext__(self) -> Event:
        if self.stored is not None:
            stored, self.stored = self.stored, None
            self._unread = {(event.job, event.seq): event for event in await stored()} | self._unread
        while not self._unread:
            if self._cut:
                raise Busy(f"more than {MAX_UNREAD} events were left unread", limits={"unread": MAX_UNREAD})
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        return self._unread.pop(next(iter(self._unread)))

    async def aclose(self) -> None:
        """End the subscription; a waiting reader's loop ends."""
        self.close()

    def close(self) -> None:
        """The same, from code that cannot wait."""
        self._closed = True
        self._wake.set()
        self._forget(self)


class EventHub:
    """Publishes events to subscribers and waiters, and remembers those of jobs that have not ended."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._waiters: dict[str, list[asyncio.Event]] = {}
        self._live: dict[str, list[Event]] = {}
        self._clients: dict[str, str] = {}

    def open(self, job: str, events: Iterable[Event] = (), client: str = "") -> None:
        """Begin to remember the events of a client's job; these have happened before."""
        self._live[job] = list(events)
        self._clients[job] = client

    def drop(self, job: str) -> None:
        """Forget a job that has ended and is stored."""
        self._live.pop(job, None)
        self._clients.pop(job, None)

    def live(self, job: str) -> list[Event] | None:
        """The remembered events of a job in order, progress merged; None when it is not remembered."""
        return self._live.get(job)

    def client(self, job: str) -> str:
        """Who handed in a remembered job; empty for others."""
        return self._clients.get(job, "")

    def publish(self, event: Event) -> None:
        """Tell everybody who listens."""
        remembered = self._live.get(event.job)
        if remembered is not None:
            _remember(remembered, event)
        client = self.client(event.job)
        for subscription in list(self._subscriptions):
            if subscription.wants(event.job, client):
                subscription.push(event)
        for waiter in self._waiters.pop(event.job, []):
            waiter.set()

    def subscribe(
        self,
        client: str,
        jobs: frozenset[str],
        past: Iterable[Event],
        access: Access = OWNER,
        stored: Stored | None = None,
    ) -> Subscription:
        """A new reader, who first gets the events that have happened already; ``stored`` reads those that only the disk has."""
        subscription = Subscription(client, jobs, self._forget, access)
        subscription.stored = stored
        for event in past:
            subscription.push(event)
        self._subscriptions.append(subscription)
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    async def changed(self, job: str, timeout: float) -> bool:
        """Wait for the job's next event; False when the time (s) is up."""
        waiter = asyncio.Event()
        self._waiters.setdefault(job, []).append(waiter)
        try:
            async with asyncio.timeout(timeout):  # Python 3.11's wait_for loses a cancel that comes with the event
                await waiter.wait()
        except TimeoutError:
            return False
        finally:
            waiters = self._waiters.get(job, [])
            if waiter in waiters:
                waiters.remove(waiter)
                if not waiters:
                    del self._waiters[job]
        return True

    def close(self) -> None:
        """End every subscription."""
        for subscription in list(self._subscriptions):
            subscription.close()

    def __len__(self) -> int:
        return len(self._subscriptions)


def _remember(events: list[Event], event: Event) -> None:
    """Append an event, in place of an older progress, and without the oldest preview when there are too many."""
    if event.kind in MERGED:
        events[:] = [old for old in events if old.kind is not event.kind]
    if len(events) >= MAX_EVENTS:
        spare = next((i for i, old in enumerate(events) if old.kind is EventKind.PREVIEW), 1)
        del events[spare]
    events.append(event)


LEAST_DONE = 0.02
"""Share of a job that has to be done before its time left can be told."""

LEAST_TICKS = 4
"""Ticks of a stage that tell it also while less of the job is done: of a thousand songs each is little."""

FOUND_DONE = 0.1
"""A stage that begins so much further on has found that share done."""


class ProgressMeter:
    """Turns a worker's ticks into progress that never falls, stays below 1, and is told at most ten times a second.

    Must be used on the event loop. ``publish`` gets {stage, step, steps, fraction, eta}; a suppressed value follows as soon as
    its time has come, so the last one always arrives.
    """

    def __init__(
        self,
        publish: Callable[[dict[str, object]], None],
        clock: Callable[[], float] = time.monotonic,
        fraction: float = 0.0,
    ) -> None:
        """``fraction``: where an earlier attempt at the job has come to."""
        self._publish = publish
        self._clock = clock
        self._first: tuple[float, float] | None = None
        self._stage = ""
        self._stage_first = (0.0, 0.0)
        self._stage_ticks = 0
        self._last = float("-inf")
        self._pending: dict[str, object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.fraction = fraction

    def report(self, stage: str, step: int, steps: int, fraction: float) -> None:
        """Note a tick. ``fraction`` is of the whole job, 0 to 1."""
        before, self.fraction = self.fraction, max(self.fraction, min(fraction, 0.999))
        now = (self._clock(), self.fraction)
        if stage != self._stage:
            self._stage, self._stage_first, self._stage_ticks = stage, now, 0
            if self.fraction - before > FOUND_DONE:
                self._first = now
        self._stage_ticks += 1
        self._first = self._first or now
        self._pending = {
            "stage": stage,
            "step": step,
            "steps": steps,
            "fraction": self.fraction,
            "eta": self._eta(),
        }
        wait = self._last + PROGRESS_INTERVAL - self._clock()
        if wait <= 0:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(wait, self._flush)

    def _eta(self) -> float | None:
        """Seconds left if the rest goes as fast as this stage, or while too little of it is done, as the job since its first tick;
        None where too little of both is done to say.

        The time before the first tick is left out: a worker that starts and loads a model says nothing of the work to come. So is
        what a stage finds done already, as a resumed one does.
        """
        for (began, start), ticks in ((self._stage_first, self._stage_ticks), (self._first or (0.0, 0.0), 0)):
            done = self.fraction - start
            if done >= LEAST_DONE or (done > 0 and ticks >= LEAST_TICKS):
                return round((self._clock() - began) * (1 - self.fraction) / done, 2)
        return None

    def _flush(self) -> None:
        self._timer = None
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._last = self._clock()
            self._publish(pending)

    def stop(self) -> None:
        """Tell nothing any more."""
        self._pending = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
