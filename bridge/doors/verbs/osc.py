"""Verbs that only OSC has, because only its listeners come without a connection; the OSC door has their code."""

from __future__ import annotations

from acestep.api.rights import Right
from bridge.doors import requests
from bridge.doors.verb import OSC, Verb

VERBS = (
    Verb(
        name="notify",
        summary="Register for the events of all jobs and the answers to this machine, for the time of a lease.",
        request=requests.Notify,
        right=Right.ANYBODY,
        doors=OSC,
        osc="/ace/notify",
        positional=("on", "port", "lease"),
        answer="/ace/notify on client level lease.",
        command=None,
    ),
    Verb(
        name="sync",
        summary="Hear when every earlier request is stored.",
        request=requests.Sync,
        right=Right.ANYBODY,
        doors=OSC,
        osc="/ace/sync",
        positional=("n",),
        answer="/ace/synced n.",
        command=None,
    ),
    Verb(
        name="dump",
        summary="See every message that comes in, as text.",
        request=requests.Dump,
        doors=OSC,
        osc="/ace/dump",
        positional=("on",),
        right=Right.OWNER,
        answer="/ace/dump from text, for 30 s.",
        command=None,
    ),
)
