"""Methods that hand results over to a host, whose scripts take them from the spool folder."""

from __future__ import annotations

from typing import Annotated, Any

from acestep.api.errors import Unavailable
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.handovers import HostName
from bridge.core.limited import in_thread
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext
from bridge.doors.methods.jobs import JobName

COLUMNS = ("id", "host", "title", "job", "files")
"""What OSC says of a result that waits."""


class SendToHost(Request):
    """Which results should go to which host."""

    job: JobName
    host: Annotated[HostName, param("Host whose scripts should place it.", example="reaper")]
    files: Annotated[
        list[int],
        param("Indices of the files in the result; empty: every take.", max_length=64, example=[0]),
    ] = []


@method(
    "handover.send",
    osc="/ace/handover/send",
    right=Right.OWNER,
    positional=("job", "host", "files"),
    columns=COLUMNS,
    answer="The row of the waiting result.",
)
async def send(context: MethodContext, request: SendToHost) -> dict[str, Any]:
    """Let results wait for a host; its scripts place them on new tracks at the cursor of the open project."""
    if "spool" not in context.core.status()["doors"]:
        raise Unavailable("the spool folder is off, and host scripts look there: set spool = true")
    view = await context.job(request.job, field="job")
    return await in_thread(context.core.handovers.send, request.host, view, request.files)


@method(
    "handover.list",
    osc="/ace/handover/list",
    right=Right.OWNER,
    reads=True,
    columns=COLUMNS,
    answer="One row per waiting result. Results that a host has taken are not listed.",
)
async def list_waiting(context: MethodContext, request: Nothing) -> list[dict[str, Any]]:
    """Results that wait for a host."""
    return await in_thread(context.core.handovers.rows)


class WhichHandover(Request):
    """Which result that waits."""

    id: Annotated[str, param("Its id, from `handover.list`.", max_length=64, example="handover-0123456789ab")]


@method("handover.cancel", osc="/ace/handover/cancel", right=Right.OWNER, positional=("id",), answer="Nothing.")
async def cancel(context: MethodContext, request: WhichHandover) -> dict[str, Any]:
    """Let a result wait no longer."""
    await in_thread(context.core.handovers.take_back, request.id)
    return {}
