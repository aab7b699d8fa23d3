"""The desk that verbs work at: the core, uploads and downloads, and the order in which jobs are stored.

Knows no verb by name; `bridge.doors.dispatch` finds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from acestep.api.errors import UnknownJob, UnknownOperation
from acestep.api.operation import Operation
from bridge.core.access import Access
from bridge.core.interface import Accepted, Core, JobView, Submission
from bridge.doors.verb import Verb


class Caller(Protocol):
    """Who makes a call, and how it hears of its jobs."""

    door: str
    """``osc``, ``rpc`` or ``spool``."""
    name: str
    """For fairness and limits, such as ``osc:127.0.0.1:9000``."""
    access: Access
    """What the caller may do."""

    def follow(self, job: str, after: int) -> None:
        """Send the events of a job from now on."""

    def follow_all(self, after: dict[str, int]) -> None:
        """Send the events of all jobs from now on."""

    def unfollow(self, jobs: list[str]) -> None:
        """Send the events of these jobs (empty: of all) no longer."""


class Desk:
    """What a verb's function gets. ``files`` moves uploads and downloads (`bridge.doors.transfer.Transfers`)."""

    def __init__(self, core: Core, files: Any, verbs: Mapping[str, Verb]) -> None:
        self.core = core
        self.files = files
        self.verbs = verbs
        self.slowly = asyncio.Lock()
        """Held while the loop is kept busy for more than a moment; whoever waits for it gets a round of the loop of its own."""
        self._storing: dict[str, asyncio.Future[None]] = {}

    def operation(self, name: str) -> Operation:
        """A visible operation. Raises `UnknownOperation`, or `FeatureDisabled` where a flag hides it."""
        found = self.core.operations().get(name)
        if found is None:
            self.core.describe(name)  # knows why, and says so
            raise UnknownOperation(f"there is no operation {name!r}", field="operation")
        return found

    async def submit(self, caller: Caller, submission: Submission) -> Accepted:
        """Hand a job to the core. Calls about its id that come meanwhile wait until it is stored (see `stored`)."""
        caller.access.require(
            self.operation(submission.operation).right, f"the operation {submission.operation}", "operation"
        )
        if not submission.id or submission.id in self._storing:
            return await self.core.submit(submission, caller.name, caller.access)
        mark = self._storing[submission.id] = asyncio.get_running_loop().create_future()
        try:
            return await self.core.submit(submission, caller.name, caller.access)
        finally:
            del self._storing[submission.id]
            mark.set_result(None)

    async def job(self, caller: Caller, job: str, field: str = "id") -> JobView:
        """A job that the caller may see, once a submit of it that is under way is stored. Raises `UnknownJob` about ``field``."""
        await self.stored(job)
        try:
            return caller.access.require_own(self.core.job(job))
        except UnknownJob as error:
            error.field = field
            raise

    async def stored(self, job: str) -> None:
        """Wait until a submit of this id that is under way has been stored or refused, so that order is kept."""
        mark = self._storing.get(job)
        if mark is not None:
            await asyncio.shield(mark)
