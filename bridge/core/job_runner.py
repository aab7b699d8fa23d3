"""Takes waiting jobs in their order and has each carried to its end. One for the workers' jobs, one for the daemon's own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Protocol

from acestep.api.errors import DeviceLost, InternalError
from bridge.core.interface import JobState
from bridge.core.job_tracker import JobTracker
from bridge.core.lanes import Lane, Placing, best_lane, suits
from bridge.core.queue import FairQueue
from bridge.core.records import JobRecord, Needs

log = logging.getLogger(__name__)


class Runner(Protocol):
    """How one job is carried to its end."""

    @property
    def ready(self) -> bool:
        """Whether jobs may start now."""

    async def run(self, job: JobRecord, lane: Lane) -> None:
        """Carry a job from its start to its end, and tell the tracker of both."""

    def cancel(self, job: JobRecord, lane: Lane) -> None:
        """Ask a running job to stop."""

    def step_aside(self, job: JobRecord, lane: Lane) -> None:
        """Ask a running job to save its place and to make way."""


class JobRunner:
    """A queue, and the lanes that its jobs go to: a job to the first free lane that suits it, in the order of the queue.

    When no free lane suits a job that does not step aside, one that runs such a job on a lane which does is asked to make way.
    """

    def __init__(self, tracker: JobTracker, runner: Runner, lanes: Iterable[Lane]) -> None:
        self.queue = FairQueue()
        self.lanes = list(lanes)
        self.paused = False
        self.all_known = True
        """Whether no further lanes are to come, so that a job which none of them suits never can run."""
        self._tracker = tracker
        self._runner = runner
        self._changed = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._carrying: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> dict[str, JobRecord]:
        """The jobs that run, by id."""
        return {lane.job.id: lane.job for lane in self.lanes if lane.job is not None}

    def start(self) -> None:
        """Begin to take jobs."""
        self._serving = asyncio.create_task(self._serve(), name="job runner")

    def add(self, job: JobRecord) -> None:
        """Let a stored job wait for its turn."""
        self.queue.add(job, time.monotonic())
        self.wake()

    def wake(self) -> None:
        """Look again whether a job may start, or should make way."""
        if self._serving is None:
            return
        while (placing := self._place_next()) is not None:
            task = asyncio.create_task(self._carry(*placing), name=f"job {placing.job.id}")
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)
        self._make_room()
        self._changed.set()

    async def cancel(self, job: JobRecord, reason: str) -> None:
        """Take a waiting job out, or ask a running one to stop."""
        if self.queue.remove(job.id) is not None:
            await self._tracker.stopped(job, JobState.CANCELLED, reason)
            return
        for lane in self.lanes:
            if lane.job is job:
                job.cancelled = True
                self._runner.cancel(job, lane)

    def _make_room(self) -> None:
        """Ask as many jobs to step aside as others wait for their lanes, and no job for one that runs elsewhere."""
        if self.paused:
            return
        coming = [lane for lane in self.lanes if lane.free or (lane.way_wanted and lane.job is not None)]
        aside = [lane for lane in self.lanes if lane.job is not None and lane.job.steps_aside and not lane.way_wanted]
        if not aside:
            return
        for needs, count in self.queue.urgent().items():
            for _ in range(min(count, len(self.lanes))):
                if (taken := self._one_of(coming, needs)) is not None:
                    coming.remove(taken)
                elif (lane := self._one_of(aside, needs)) is not None and lane.job is not None:
                    aside.remove(lane)
                    lane.way_wanted = True
                    self._runner.step_aside(lane.job, lane)

    def _one_of(self, lanes: list[Lane], needs: Needs) -> Lane | None:
        return next((lane for lane in lanes if suits(lane, needs, self.lanes)), None)

    async def _serve(self) -> None:
        """What no message tells: that a lane is ready once more, looked at once a second while jobs wait, and that none will be."""
        while True:
            await self._refuse_stranded()
            self.wake()
            self._changed.clear()
            held = self.queue and not self.paused and not all(lane.ready for lane in self.lanes)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0 if held else None):
                    await self._changed.wait()

    def _place_next(self) -> Placing | None:
        """The next job that a free lane suits, and the best of these lanes, which it now has."""
        free = [lane for lane in self.lanes if lane.free]
        if self.paused or not free or not self._runner.ready:
            return None
        job = self.queue.take(time.monotonic(), lambda needs: self._one_of(free, needs) is not None)
        if job is None:
            return None
        lane = best_lane([lane for lane in free if suits(lane, job.needs, self.lanes)], job)
        lane.job, lane.way_wanted = job, False
        return Placing(job, lane)

    async def _refuse_stranded(self) -> None:
        """End the jobs that wait for a device which is not there."""
        for needs in self.queue.needs():
            if sentence := self.missing(needs.device):
                while (job := self.queue.take(time.monotonic(), needs.__eq__)) is not None:
                    field = "planner_device" if job.plans_first else "device"
                    await self._tracker.failed(job, DeviceLost(sentence, field=field))

    def missing(self, asked: str) -> str:
        """A sentence when no lane is, or can be, the device that somebody asks for; else nothing."""
        meant = [lane for lane in self.lanes if lane.is_meant_by(asked)]
        if not self.all_known or not asked or any(not lane.gone for lane in meant):
            return ""
        here = [lane.name for lane in self.lanes if not lane.gone]
        others = f"; there is {', '.join(here)}" if here else ""
        why = f"the device {asked} is gone ({meant[0].gone})" if meant else f"there is no device {asked!r} here"
        return why + others

    async def _carry(self, job: JobRecord, lane: Lane) -> None:
        try:
            await self._runner.run(job, lane)
        except Exception as failure:  # the runner of jobs: whatever happened, the next one gets its turn
            log.exception("the job could not be finished", extra={"job": job.id})
            if not job.state.terminal:
                await self._tracker.failed(job, InternalError(f"the job failed: {type(failure).__name__}"))
        finally:
            await self._let_go(job, lane)
            self.wake()

    async def _let_go(self, job: JobRecord, lane: Lane) -> None:
        """A job runs no more: it has ended, or made way and waits for its next turn unless it was cancelled meanwhile."""
        suspended = await self._tracker.suspended(job) if job.waits_because else None
        lane.job, lane.way_wanted = None, False
        if suspended is None:
            return
        job.waits_because = ""
        if job.cancelled:
            await self._tracker.stopped(job, JobState.CANCELLED, "cancelled on request")
        else:
            self.queue.add(job, time.monotonic())
            self._tracker.hub.publish(suspended)

    async def stop(self) -> None:
        """Wait for what runs (the runner must have been told to stop) and take nothing more."""
        self.paused = True
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        await asyncio.gather(*self._carrying, return_exceptions=True)
