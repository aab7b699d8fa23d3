"""AutoGen: one standing order that makes a batch after another while somebody listens, each an ordinary job of low priority.

The next batch is handed in when the one before is done, so one is made while the other is heard, and every other job goes
first. The order ends after its batches, or with the first that fails. It is kept in a file, and goes on after a restart: a batch
has an id of its own, so none is made twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from acestep.api.errors import AceError, BadRequest, Busy
from acestep.api.limits import MAX_SEED
from bridge.core.access import OWNER
from bridge.core.interface import Accepted, JobState, Submission
from bridge.core.job_tracker import JobTracker

log = logging.getLogger(__name__)

PRIORITY = -5
"""Below that of whatever a person asks for."""

MOST_BATCHES = 100
"""Batches of one order: what a night makes, and no more than a disk holds."""

RETRY = 5.0
"""Seconds after which a batch is handed in again that a full queue has refused."""


class OrderState(msgspec.Struct, kw_only=True):
    """A standing order and how far it is; what is kept in the file."""

    id: str
    operation: str
    params: dict[str, Any]
    batches: int
    client: str
    started: float
    done: int = 0
    state: Literal["running", "ended"] = "running"
    reason: str = ""
    """Why it has ended."""
    device: str = ""
    """The device that its batches ask for; empty: the next free one."""
    jobs: list[str] = []
    """Ids of its jobs, oldest first."""

    def batch(self) -> Submission:
        """The next batch: with the next seeds, where the order names one."""
        params = dict(self.params)
        seed = params.get("seed", -1)
        if isinstance(seed, int) and seed >= 0:
            params["seed"] = (seed + self.done) % (MAX_SEED + 1)
        return Submission(
            operation=self.operation,
            params=params,
            id=f"{self.id}-{self.done + 1}",
            priority=PRIORITY,
            device=self.device,
        )


class AutoGen:
    """The standing order of a daemon. ``submit`` hands a job in for a client."""

    def __init__(self, path: Path, tracker: JobTracker, submit: Callable[..., Awaitable[Accepted]]) -> None:
        self._path = path
        self._tracker = tracker
        self._submit = submit
        self._order = self._read()
        self._task: asyncio.Task[None] | None = None

    def status(self) -> dict[str, Any]:
        """The order and how far it is; ``state`` is ``none`` where there has been none."""
        if self._order is None:
            return {"state": "none"}
        return dict(msgspec.to_builtins(self._order))

    async def start(self, asked: Submission, batches: int, client: str) -> dict[str, Any]:
        """Begin an order: its first batch is handed in at once. Raises what the door refuses it with, and `BadRequest` for a second
        order beside one that runs."""
        if self._order is not None and self._order.state == "running":
            raise BadRequest(
                f"the order {self._order.id} is already running; `autogen stop` ends it", field="operation"
            )
        if asked.params.get("seeds"):
            raise BadRequest("every batch of an order gets new seeds; give one seed, or none", field="params.seeds")
        order = OrderState(
            id=f"autogen-{uuid.uuid4().hex[:8]}",
            operation=asked.operation,
            params=asked.params,
            batches=batches,
            device=asked.device,
            client=client,
            started=time.time(),
        )
        await self._hand_in(order)
        self._order = order
        await self._keep()
        self.resume()
        return self.status()

    async def stop(self, cancel: Callable[[str], Awaitable[Any]]) -> dict[str, Any]:
        """End the order. A batch that waits or runs is cancelled; those that are done stay."""
        order = self._order
        if order is not None and order.state == "running":
            self.close()
            await self._end(order, "stopped on request")
            if order.jobs:
                await cancel(order.jobs[-1])
        return self.status()

    def resume(self) -> None:
        """Go on with an order that was not at its end, as after a restart."""
        if self._order is not None and self._order.state == "running":
            self._task = asyncio.create_task(self._run(self._order), name="autogen")

    def close(self) -> None:
        """Let go of the order without ending it."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, order: OrderState) -> None:
        try:
            while order.done < order.batches:
                try:
                    await self._hand_in(order)
                except Busy:
                    await asyncio.sleep(RETRY)
                    continue
                state = await self._ended(order.jobs[-1])
                if state is not JobState.DONE:
                    return await self._end(order, f"batch {order.done + 1} was not made: {state.value}")
                order.done += 1
                await self._keep()
            await self._end(order, "all batches are made")
        except AceError as failure:
            await self._end(order, failure.message)
        except OSError as failure:
            log.exception("the standing order could not be kept")
            order.state, order.reason = "ended", f"the order could not be kept: {failure.strerror}"

    async def _hand_in(self, order: OrderState) -> None:
        """The next batch as a job; one that was handed in before is the same job."""
        accepted = await self._submit(order.batch(), order.client, OWNER)
        if accepted.id not in order.jobs:
            order.jobs.append(accepted.id)

    async def _ended(self, job: str) -> JobState:
        """Wait for the end of a job."""
        after = -1
        while not (record := self._tracker.find(job)).state.terminal:
            for event in await self._tracker.wait(job, after, 60.0):
                after = event.seq
        return record.state

    async def _end(self, order: OrderState, reason: str) -> None:
        order.state, order.reason = "ended", reason
        await self._keep()

    async def _keep(self) -> None:
        data = msgspec.json.format(msgspec.json.encode(self._order))
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        draft = self._path.with_suffix(".tmp")
        draft.write_bytes(data)
        draft.replace(self._path)

    def _read(self) -> OrderState | None:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=OrderState)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError):
            log.warning("the kept order %s cannot be read, so there is none", self._path)
            return None
