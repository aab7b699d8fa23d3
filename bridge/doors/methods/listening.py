"""Methods that only OSC has, because only its senders come without a connection: registration, barrier, a look at the traffic."""

from __future__ import annotations

from typing import Annotated, Any, Protocol, cast

from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.doors import limits
from bridge.doors.method import Ability, method
from bridge.doors.method_context import Caller, MethodContext


class Sender(Caller, Protocol):
    """A caller of the OSC door."""

    def register(self, port: int, seconds: float) -> None:
        """Send the events of all jobs, to another UDP port where one is named, for the time of a lease."""

    def leave(self) -> None:
        """Give the registration up."""

    def watch_traffic(self, on: bool) -> None:
        """Show every message that comes in, as text, or no longer."""


class Notify(Request):
    """Whether, where and how long a listener wants the events of all jobs."""

    on: Annotated[bool, param("1 to register or renew, 0 to leave.", example=1)] = True
    port: Annotated[int, param("UDP port to send to; 0: the sender's.", unit="port", ge=0, le=65535, example=9001)] = 0
    lease: Annotated[
        float,
        param(
            "How long the registration lasts unless you renew it.",
            unit="s",
            ge=1.0,
            le=limits.OSC_MAX_LEASE_SECONDS,
            example=30,
        ),
    ] = limits.OSC_LEASE_SECONDS


@method(
    "notify",
    osc="/ace/notify",
    right=Right.ANYBODY,
    needs=Ability.SENDER,
    positional=("on", "port", "lease"),
    answer="/ace/notify on client level lease.",
    command=None,
)
async def notify(context: MethodContext, request: Notify) -> None:
    """Register for the events of all jobs and the answers to this machine, for the time of a lease.

    The answer goes to the port that was registered, so the sender gives it and not this function.
    """
    sender = cast(Sender, context.caller)
    if request.on:
        sender.register(request.port, request.lease)
    else:
        sender.leave()


class Sync(Request):
    """A number that comes back when all earlier requests are stored."""

    n: Annotated[int, param("Any number; the answer repeats it.", unit="count", example=1)] = 0


@method(
    "sync",
    osc="/ace/sync",
    right=Right.ANYBODY,
    needs=Ability.SENDER,
    positional=("n",),
    columns=("n",),
    reply="/ace/synced",
    answer="Your number.",
    command=None,
)
async def sync(context: MethodContext, request: Sync) -> dict[str, Any]:
    """Hear when every earlier request is stored."""
    await context.core.barrier()
    return {"n": request.n}


class Dump(Request):
    """Whether incoming messages are shown to the sender."""

    on: Annotated[bool, param("1 to see every incoming message for 30 s, 0 to stop.", example=1)] = True


@method(
    "dump",
    osc="/ace/dump",
    right=Right.OWNER,
    needs=Ability.SENDER,
    positional=("on",),
    answer="/ace/dump from text, for 30 s.",
    command=None,
)
async def dump(context: MethodContext, request: Dump) -> None:
    """See every message that comes in, as text."""
    cast(Sender, context.caller).watch_traffic(request.on)
