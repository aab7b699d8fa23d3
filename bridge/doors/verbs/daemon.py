"""Verbs about the daemon itself: who is there, how it is, what it offers."""

from __future__ import annotations

from acestep.api.rights import Right
from bridge.doors import calls, requests
from bridge.doors.verb import ALL, RPC, Verb

VERBS = (
    Verb(
        name="hello",
        summary="Say who you are; first of all where a token is set.",
        request=requests.Hello,
        right=Right.ANYBODY,
        call=calls.hello,
        doors=RPC,
        answer="Program, version, protocol, the name you go by, limits.",
        command=None,
    ),
    Verb(
        name="ping",
        summary="See whether the daemon is there.",
        request=requests.Ping,
        right=Right.ANYBODY,
        call=calls.ping,
        doors=ALL,
        osc="/ace/ping",
        positional=("n",),
        columns=("n",),
        answer="The same number.",
    ),
    Verb(
        name="version",
        summary="Program, version and protocol level.",
        request=requests.Nothing,
        right=Right.ANYBODY,
        call=calls.version,
        doors=ALL,
        osc="/ace/version",
        answer="Program, version, protocol level.",
    ),
    Verb(
        name="status",
        summary="How the daemon, its queue and its worker are.",
        request=requests.Nothing,
        right=Right.ANYBODY,
        call=calls.status,
        doors=ALL,
        osc="/ace/status",
        answer="Version, uptime, queue, worker, doors, limits, warnings.",
        command="status",
    ),
    Verb(
        name="describe",
        summary="Operations with every field: type, unit, range, choices, default.",
        request=requests.Describe,
        right=Right.ANYBODY,
        call=calls.describe,
        doors=ALL,
        osc="/ace/describe",
        positional=("operation",),
        answer="Operations with their fields; without a name also every method and address.",
        command="describe",
    ),
    Verb(
        name="plugins.list",
        summary="Plug-ins with their state and, if one did not load, the reason.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=calls.plugins,
        doors=ALL,
        osc="/ace/plugins",
        columns=("name", "version", "state", "reason"),
        answer="A row for each plug-in.",
        command="plugins",
    ),
    Verb(
        name="features.set",
        summary="Show or hide experimental operations until the daemon ends; the settings decide for longer.",
        request=requests.Feature,
        call=calls.set_feature,
        doors=ALL,
        osc="/ace/features/set",
        positional=("name", "on"),
        columns=("features",),
        right=Right.OWNER,
        answer="The flags that are on.",
    ),
)
