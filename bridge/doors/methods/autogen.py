"""Methods about AutoGen, the standing order that makes one batch after another."""

from __future__ import annotations

from typing import Annotated, Any

from acestep.api.features import AUTOGEN, require_on
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.autogen import MOST_BATCHES
from bridge.core.interface import DeviceName, Submission
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext

COLUMNS = ("state", "id", "operation", "done", "batches", "reason")
"""What OSC says of an order."""

ANSWER = "The order: id, operation, params, batches, number done, its jobs, state (running, ended, none) and reason."


class StandingOrder(Request):
    """What is made again and again."""

    operation: Annotated[str, param("Operation to run.", max_length=64, example="song")]
    params: Annotated[
        dict[str, Any], param("Parameters of the operation, by name.", example={"query": "calm piano", "variants": 2})
    ] = {}
    batches: Annotated[int, param("Stop after this many jobs.", unit="jobs", ge=1, le=MOST_BATCHES, example=10)] = 10
    device: DeviceName = ""


@method(
    "autogen.start",
    osc="/ace/autogen/start",
    positional=("operation", "params", "batches"),
    right=Right.OWNER,
    columns=COLUMNS,
    answer=ANSWER,
    command="autogen start",
)
async def start(context: MethodContext, request: StandingOrder) -> dict[str, Any]:
    """Make one batch after another, each an ordinary job of low priority, until all are made or `autogen.stop`."""
    require_on(AUTOGEN, context.core.registry.features)
    asked = Submission(operation=request.operation, params=request.params, device=request.device)
    return await context.core.start_order(asked, request.batches, context.caller.name)


@method(
    "autogen.stop", osc="/ace/autogen/stop", right=Right.OWNER, columns=COLUMNS, answer=ANSWER, command="autogen stop"
)
async def stop(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """End the standing order; the batch that waits or runs is cancelled, those that are done stay."""
    return await context.core.stop_order()


@method(
    "autogen.status",
    osc="/ace/autogen/status",
    right=Right.OWNER,
    reads=True,
    columns=COLUMNS,
    answer=ANSWER,
    command="autogen status",
)
async def status(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """The standing order, and how far it is."""
    return context.core.order()
