"""The operations of the registry at the doors: each is a method ``op.<operation>`` and an address ``/ace/op/<operation>``."""

from __future__ import annotations

from typing import Any

from acestep.api.operation import Operation
from acestep.api.schema import describe

OPERATION_PREFIX = "op."
"""``op.<operation>`` submits that operation, the parameters being the map itself."""

OPERATION_ADDRESS = "/ace/op/"
"""Prefix of an operation's address; a parameter of its draft stands behind it."""

ENVELOPE = ("id", "priority", "device", "planner_device")
"""Keys of a submit that stand beside the operation's own parameters."""


def operation_example(operation: Operation) -> dict[str, Any]:
    """Parameters that show an operation at work: what it must have, and every field with an example."""
    fields = describe(operation.schema)
    shown = {info.name: info.example for info in fields if info.example is not None}
    return {**{info.name: info.default for info in fields if info.required}, **shown}
