"""The desk behind all doors: a method's name and a plain map in, a plain answer out.

Doors differ in bytes only; what a request means is decided here, once.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

import msgspec

from acestep.api.errors import NotAllowed, UnknownOperation
from acestep.api.operation import Operation
from acestep.api.schema import convert
from bridge.core.views import Accepted, Core, Submission
from bridge.doors import requests

OPERATION_PREFIX = "op."
"""``op.<operation>`` submits that operation, the parameters being the map itself."""

ENVELOPE = ("id", "priority")
"""Keys of a submit that stand beside the operation's own parameters."""


class Caller(Protocol):
    """Who makes a call, and how it hears of its jobs."""

    door: str
    """``osc``, ``rpc`` or ``spool``."""
    name: str
    """For fairness and limits, such as ``osc:127.0.0.1:9000``."""
    local: bool
    """Whether the caller is on this machine."""

    def follow(self, job: str, after: int) -> None:
        """Send the events of a job from now on."""

    def follow_all(self, after: dict[str, int]) -> None:
        """Send the events of all jobs from now on."""

    def unfollow(self, jobs: list[str]) -> None:
        """Send the events of these jobs (empty: of all) no longer."""


class Dispatcher:
    """Runs verbs for all doors. ``files`` moves uploads and downloads (`bridge.doors.transfer.Transfers`)."""

    def __init__(self, core: Core, files: Any = None) -> None:
        self.core = core
        self.files = files
        self._storing: dict[str, asyncio.Future[None]] = {}

    async def call(self, method: str, params: dict[str, Any], caller: Caller) -> Any:
        """The answer of a method. Raises an `AceError`."""
        from bridge.doors.table import VERBS  # the table names functions that name this class

        if method.startswith(OPERATION_PREFIX):
            return await self._submit_flat(method.removeprefix(OPERATION_PREFIX), params, caller)
        verb = VERBS.get(method)
        if verb is None or verb.call is None or caller.door not in verb.doors:
            choices = sorted(name for name, verb in VERBS.items() if caller.door in verb.doors)
            raise UnknownOperation(f"there is no method {method!r}", field="method", limits={"choices": choices})
        if verb.local and not caller.local:
            raise NotAllowed(f"{method} is not open to other machines", field="method")
        return await verb.call(self, caller, convert(params, verb.request))

    def operation(self, name: str) -> Operation:
        """A visible operation. Raises `UnknownOperation`, or `FeatureDisabled` where a flag hides it."""
        found = self.core.operations().get(name)
        if found is None:
            self.core.describe(name)  # knows why, and says so
            raise UnknownOperation(f"there is no operation {name!r}", field="operation")
        return found

    async def _submit_flat(self, operation: str, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        envelope = {key: params[key] for key in ENVELOPE if key in params}
        rest = {key: value for key, value in params.items() if key not in ENVELOPE}
        request = convert({"operation": operation, "params": rest, **envelope}, requests.Submit)
        return msgspec.to_builtins(await self.submit(caller, request))

    async def submit(self, caller: Caller, request: requests.Submit) -> Accepted:
        """Hand a job to the core. Calls about its id that come meanwhile wait until it is stored (see `stored`)."""
        submission = Submission(
            client=caller.name,
            operation=request.operation,
            params=request.params,
            id=request.id,
            priority=request.priority,
        )
        if not request.id or request.id in self._storing:
            return await self.core.submit(submission)
        mark = self._storing[request.id] = asyncio.get_running_loop().create_future()
        try:
            return await self.core.submit(submission)
        finally:
            del self._storing[request.id]
            mark.set_result(None)

    async def stored(self, job: str) -> None:
        """Wait until a submit of this id that is under way has been stored or refused, so that order is kept."""
        mark = self._storing.get(job)
        if mark is not None:
            await asyncio.shield(mark)
