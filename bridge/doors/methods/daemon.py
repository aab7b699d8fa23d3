"""Methods about the daemon itself: who is there, how it is, what it offers."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import msgspec

from acestep.api import schema
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.interface import PROTOCOL, Submission
from bridge.doors import limits
from bridge.doors.method import Ability, Method, Nothing, describe_methods, method
from bridge.doors.method_context import MethodContext
from bridge.doors.operation_methods import ENVELOPE

TO_STRANGERS = ("program", "version", "protocol", "state", "uptime", "model")
"""What of the status concerns everybody."""


class Hello(Request):
    """Who is there, and what it wants of the connection."""

    token: Annotated[str, param("The daemon's token, if one is set.", max_length=256, example="")] = ""
    client: Annotated[str, param("Name for logs and job lists.", max_length=64, example="my-script")] = ""
    protocol: Annotated[int, param("Protocol level the client was written for.", unit="level", ge=1, example=1)] = (
        PROTOCOL
    )
    events: Annotated[bool, param("Whether you get the events of jobs you submit.", example=True)] = True
    heartbeat: Annotated[bool, param("Whether to exchange heartbeats every few seconds.", example=False)] = False
    cancel_on_close: Annotated[
        bool,
        param(
            "Whether to cancel the jobs of this connection when it ends, even without a goodbye.",
            example=False,
        ),
    ] = False


@method(
    "hello",
    right=Right.ANYBODY,
    needs=Ability.CONNECTION,
    answer="Program, version, protocol, the name you go by, limits.",
    command=None,
)
async def hello(context: MethodContext, request: Hello) -> dict[str, Any]:
    """Say who you are; first of all where a token is set."""
    return {
        **context.core.version(),
        "client": context.caller.name,
        "heartbeat": limits.HEARTBEAT_SECONDS if request.heartbeat else 0.0,
        "limits": {"message": limits.RPC_MESSAGE, "chunk": limits.CHUNK, "in_flight": limits.RPC_IN_FLIGHT},
    }


class Echo(Request):
    """A number that comes back."""

    n: Annotated[int, param("Any number; the answer repeats it.", unit="count", example=1)] = 0


@method(
    "ping",
    osc="/ace/ping",
    right=Right.ANYBODY,
    reads=True,
    positional=("n",),
    columns=("n",),
    answer="Your number.",
)
async def ping(context: MethodContext, request: Echo) -> dict[str, Any]:
    """See whether the daemon is there."""
    return {"n": request.n}


@method("version", osc="/ace/version", right=Right.ANYBODY, reads=True, answer="Program, version, protocol level.")
async def version(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """Program, version and protocol level."""
    return context.core.version()


@method(
    "status",
    osc="/ace/status",
    right=Right.ANYBODY,
    reads=True,
    answer="Version, uptime, queue, worker, doors, limits, warnings.",
    command="status",
)
async def status(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """How the daemon, its queue and its worker are.

    To strangers without its folders, its doors and other people's names.
    """
    facts = context.core.status()
    return {name: facts[name] for name in TO_STRANGERS if name in facts} if context.access.stranger else facts


class Describe(Request):
    """Which operation to describe."""

    operation: Annotated[str, param("Operation; empty: all.", max_length=64, example="repaint")] = ""
    model: Annotated[
        str,
        param(
            "Show operations, ranges and defaults of this model. Empty: of any; default: of the model used by jobs that name none.",
            max_length=128,
            example="turbo",
        ),
    ] = ""


@method(
    "describe",
    osc="/ace/describe",
    right=Right.ANYBODY,
    reads=True,
    slow=True,
    positional=("operation", "model"),
    answer="Operations with their fields, and what may stand beside these; without a name also every method and address.",
    command="describe",
)
async def describe(context: MethodContext, request: Describe) -> dict[str, Any]:
    """Operations with every field: type, unit, range, choices, default."""
    operations = context.core.describe(request.operation, request.model)
    if request.operation:
        return {"operations": operations, "beside": _beside(context)}
    methods = _described(tuple(context.methods.values()))
    return {"operations": operations, "beside": _beside(context), "methods": methods}


def _beside(context: MethodContext) -> list[dict[str, Any]]:
    """What a submit may say besides the operation's own fields, with the devices there are now."""
    fields = [msgspec.to_builtins(info) for info in schema.describe(Submission) if info.name in ENVELOPE]
    devices = [row["device"] for row in context.core.status().get("devices", ())]
    return [{**field, "choices": ["", *devices]} if "device" in field["name"] else field for field in fields]


@functools.lru_cache(maxsize=4)
def _described(methods: tuple[Method, ...]) -> list[dict[str, Any]]:
    return describe_methods(methods)


@method(
    "plugins.list",
    osc="/ace/plugins",
    right=Right.OWNER,
    reads=True,
    slow=True,
    columns=("name", "version", "state", "reason"),
    answer="One row per plug-in.",
    command="plugins",
)
async def list_plugins(context: MethodContext, request: Nothing) -> list[dict[str, Any]]:
    """Plug-ins with their state and, if one did not load, the reason."""
    return context.core.plugins()


@method(
    "features.list",
    osc="/ace/features",
    right=Right.OWNER,
    reads=True,
    columns=("name", "on", "default", "summary", "reason"),
    answer="One row per flag.",
    command="features list",
)
async def list_features(context: MethodContext, request: Nothing) -> list[dict[str, Any]]:
    """Feature flags: whether each is on, its default and the reason for it."""
    return context.core.features()


class FeatureSwitch(Request):
    """Which feature flag, and whether it is on."""

    name: Annotated[str, param("Feature flag.", max_length=64, example="autogen")]
    on: Annotated[bool, param("Whether it is on.", example=True)] = True


@method(
    "features.set",
    osc="/ace/features/set",
    right=Right.OWNER,
    positional=("name", "on"),
    columns=("features",),
    answer="The flags that are on.",
    command="features set",
)
async def set_feature(context: MethodContext, request: FeatureSwitch) -> dict[str, Any]:
    """Switch a feature flag until the daemon ends; the settings decide for longer."""
    return {"features": sorted(context.core.set_feature(request.name, request.on))}
