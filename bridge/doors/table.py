"""Every verb of the bridge, once: what all doors dispatch by, `describe` lists and the reference pages are made from.

Its chapters stand in `bridge.doors.verbs`. The operations of the registry stand beside it: each is a method ``op.<operation>``
and an address ``/ace/op/<operation>`` without an entry here.
"""

from __future__ import annotations

from typing import Any

from acestep.api.operation import Operation
from acestep.api.schema import FieldInfo, describe
from bridge.doors.verb import Verb
from bridge.doors.verbs import daemon, files, jobs, models, osc, playing, presets

_VERBS: tuple[Verb, ...] = (
    *daemon.VERBS,
    *models.VERBS,
    *jobs.VERBS,
    *presets.VERBS,
    *files.VERBS,
    *playing.VERBS,
    *osc.VERBS,
)

VERBS: dict[str, Verb] = {verb.name: verb for verb in _VERBS}
"""Verbs by RPC method."""

ADDRESSES: dict[str, Verb] = {verb.osc: verb for verb in _VERBS if verb.osc}
"""Verbs by OSC address."""

OPERATION_ADDRESS = "/ace/op/"
"""Prefix of an operation's address; a parameter of its draft stands behind it."""


def operation_example(operation: Operation) -> dict[str, Any]:
    """Parameters that show an operation at work: what it must have, and every field with an example."""
    fields = describe(operation.schema)
    shown = {info.name: info.example for info in fields if info.example is not None}
    return {**{info.name: info.default for info in fields if info.required}, **shown}


def unit(info: FieldInfo) -> str:
    """What a field is counted in: its unit, else what kind of value it is."""
    if info.unit:
        return info.unit
    if info.type in ("int", "float"):
        return "number"
    return {"str": "text", "bool": "yes or no", "bytes": "bytes"}.get(
        info.type, "list" if info.type[:4] == "list" else "map"
    )
