"""A method's name and a plain map in, a plain answer out: the one way behind all doors.

Doors differ in bytes only; what a request means is decided here, once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from acestep.api.errors import UnknownOperation
from acestep.api.schema import convert
from bridge.core.interface import Core, Submission
from bridge.doors.desk import Caller, Desk
from bridge.doors.table import VERBS

OPERATION_PREFIX = "op."
"""``op.<operation>`` submits that operation, the parameters being the map itself."""

ENVELOPE = ("id", "priority")
"""Keys of a submit that stand beside the operation's own parameters."""


SUBMITTING = frozenset({"job.submit", "job.rerun"})
"""Methods whose answer is a new job; whoever calls them hears of it."""


def submits(method: str) -> bool:
    """Whether a method hands in a job."""
    return method in SUBMITTING or method.startswith(OPERATION_PREFIX)


class Dispatcher(Desk):
    """Runs verbs for all doors."""

    def __init__(self, core: Core, files: Any = None) -> None:
        super().__init__(core, files, VERBS)

    async def call(self, method: str, params: dict[str, Any], caller: Caller) -> Any:
        """The answer of a method. Raises an `AceError`."""
        if method.startswith(OPERATION_PREFIX):
            return await self._submit_flat(method.removeprefix(OPERATION_PREFIX), params, caller)
        verb = self.verbs.get(method)
        if verb is None or verb.call is None or caller.door not in verb.doors:
            choices = sorted(name for name, verb in self.verbs.items() if caller.door in verb.doors)
            raise UnknownOperation(f"there is no method {method!r}", field="method", limits={"choices": choices})
        caller.access.require(verb.right, method)
        if not verb.slow:
            return await verb.call(self, caller, convert(params, verb.request))
        async with self.slowly:
            return await verb.call(self, caller, convert(params, verb.request))

    async def _submit_flat(self, operation: str, params: dict[str, Any], caller: Caller) -> dict[str, Any]:
        envelope = {key: params[key] for key in ENVELOPE if key in params}
        rest = {key: value for key, value in params.items() if key not in ENVELOPE}
        request = convert({"operation": operation, "params": rest, **envelope}, Submission)
        return msgspec.to_builtins(await self.submit(caller, request))
