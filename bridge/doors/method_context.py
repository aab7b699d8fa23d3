"""What the function of a method gets: who calls, the core, and the order in which jobs are stored."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from acestep.admission.outlook import Outlook
from acestep.api.errors import Unavailable, UnknownJob, UnknownOperation
from acestep.api.operation import Operation
from bridge.core.access import Access
from bridge.core.interface import Accepted, Core, JobView, Submission

if TYPE_CHECKING:
    from bridge.core.uploads import Uploads
    from bridge.doors.method import Method
    from bridge.performance.performance import Performance


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


class Submits:
    """The submits under way, by the id of their job. Calls about such a job wait until it is stored, so that order is kept."""

    def __init__(self) -> None:
        self._storing: dict[str, asyncio.Future[None]] = {}

    @contextlib.contextmanager
    def storing(self, job: str) -> Iterator[None]:
        """Hold up calls about a job meanwhile; a second submit of the same id holds up nothing more."""
        if not job or job in self._storing:
            yield
            return
        mark = self._storing[job] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._storing[job]
            mark.set_result(None)

    async def stored(self, job: str) -> None:
        """Wait until a submit of this id that is under way has been stored or refused."""
        mark = self._storing.get(job)
        if mark is not None:
            await asyncio.shield(mark)


@dataclass(frozen=True, slots=True)
class MethodContext:
    """What a method works with, for one call."""

    caller: Caller
    core: Core
    uploads_of_daemon: Uploads | None
    """Where files of clients on other machines arrive; see `uploads`."""
    methods: Mapping[str, Method]
    """All methods by name."""
    submits: Submits
    slowly: asyncio.Lock
    """Held while the loop is kept busy for more than a moment; whoever waits for it gets a round of the loop of its own."""

    @property
    def access(self) -> Access:
        """What the caller may do."""
        return self.caller.access

    @property
    def uploads(self) -> Uploads:
        """Where files of clients on other machines arrive. Raises `Unavailable` where there is no such place."""
        if self.uploads_of_daemon is None:
            raise Unavailable("this daemon does not accept uploads")
        return self.uploads_of_daemon

    @property
    def performance(self) -> Performance:
        """The part that plays. Raises `Unavailable` when it is off."""
        if self.core.performance is None:
            raise Unavailable("playing is off; start the daemon with --performance or set performance = true")
        return self.core.performance

    def operation(self, name: str) -> Operation:
        """A visible operation. Raises `UnknownOperation`, or `FeatureDisabled` where a flag hides it."""
        return find_operation(self.core, name)

    async def submit(self, submission: Submission) -> Accepted:
        """Hand a job to the core. Calls about its id that come meanwhile wait until it is stored."""
        operation = self.operation(submission.operation)
        self.access.require(operation.right, f"the operation {operation.name}", "operation")
        with self.submits.storing(submission.id):
            return await self.core.submit(submission, self.caller.name, self.access)

    async def check(self, submission: Submission) -> Outlook:
        """What a job would run as. Raises what `submit` would."""
        operation = self.operation(submission.operation)
        self.access.require(operation.right, f"the operation {operation.name}", "operation")
        return await self.core.check(submission, self.caller.name, self.access)

    async def job(self, job: str, field: str = "id") -> JobView:
        """A job that the caller may see, once a submit of it that is under way is stored. Raises `UnknownJob` about ``field``."""
        await self.submits.stored(job)
        try:
            return self.access.require_own(self.core.job(job))
        except UnknownJob as error:
            error.field = field
            raise


def find_operation(core: Core, name: str) -> Operation:
    """A visible operation. Raises `UnknownOperation`, or `FeatureDisabled` where a flag hides it."""
    found = core.operations().get(name)
    if found is None:
        core.describe(name)  # knows why, and says so
        raise UnknownOperation(f"there is no operation {name!r}", field="operation")
    return found
