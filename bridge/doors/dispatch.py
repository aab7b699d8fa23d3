"""A method's name and a plain map in, a plain answer out: the one way behind all doors.

Doors differ in bytes only; what a request means is decided here, once.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from acestep.api.errors import UnknownOperation
from acestep.api.operation import Operation
from acestep.api.schema import convert
from bridge.core.interface import Core, Submission
from bridge.core.uploads import Uploads
from bridge.doors.method_context import Caller, MethodContext, Submits, find_operation
from bridge.doors.methods import METHODS
from bridge.doors.operation_methods import ENVELOPE, OPERATION_PREFIX


def submits(name: str) -> bool:
    """Whether a method hands in a job, whose events its caller gets."""
    return name.startswith(OPERATION_PREFIX) or (name in METHODS and METHODS[name].submits)


def submission_of(operation: str, params: dict[str, Any]) -> Submission:
    """The submit of ``op.<operation>``, whose parameters are the operation's own, with those of `ENVELOPE` among them."""
    envelope = {key: params[key] for key in ENVELOPE if key in params}
    rest = {key: value for key, value in params.items() if key not in ENVELOPE}
    return convert({"operation": operation, "params": rest, **envelope}, Submission)


class Dispatcher:
    """Finds and calls methods, for all doors."""

    def __init__(self, core: Core, uploads: Uploads | None = None) -> None:
        self.core = core
        self.uploads = uploads
        self._submits = Submits()
        self._slowly = asyncio.Lock()

    def operation(self, name: str) -> Operation:
        """A visible operation. Raises `UnknownOperation`, or `FeatureDisabled` where a flag hides it."""
        return find_operation(self.core, name)

    async def call(self, name: str, params: dict[str, Any], caller: Caller) -> Any:
        """The answer of a method, or of a submit as ``op.<operation>``. Raises an `AceError`."""
        context = MethodContext(caller, self.core, self.uploads, METHODS, self._submits, self._slowly)
        if name.startswith(OPERATION_PREFIX):
            submission = submission_of(name.removeprefix(OPERATION_PREFIX), params)
            return msgspec.to_builtins(await context.submit(submission))
        method = METHODS.get(name)
        if method is None or caller.door not in method.doors:
            choices = sorted(one.name for one in METHODS.values() if caller.door in one.doors)
            raise UnknownOperation(f"there is no method {name!r}", field="method", limits={"choices": choices})
        return await method.call(context, params)
