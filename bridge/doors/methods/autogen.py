"""Methods about AutoGen, the standing order that makes one batch after another."""

from __future__ import annotations

from typing import Any

from acestep.api.features import AUTOGEN, require_on
from acestep.api.rights import Right
from bridge.core.autogen import StandingOrder
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext

COLUMNS = ("state", "id", "operation", "done", "batches", "reason")
"""What OSC says of an order."""

ANSWER = (
    "The order: id, operation, params, batches, how many are done, its jobs, state (running, ended, none) and reason."
)


@method(
    "autogen.start",
    osc="/ace/autogen/start",
    right=Right.OWNER,
    columns=COLUMNS,
    answer=ANSWER,
    command="autogen start",
)
async def start(context: MethodContext, request: StandingOrder) -> dict[str, Any]:
    """Make one batch after another, each an ordinary job of low priority, until all are made or `autogen.stop`."""
    require_on(AUTOGEN, context.core.registry.features)
    return await context.core.start_order(request, context.caller.client)


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
