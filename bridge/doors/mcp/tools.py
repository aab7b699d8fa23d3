"""The tools that an assistant sees: every operation and method of the daemon, from what `describe` says of them. Pure.

A tool has the name of the operation or method, with ``_`` for what a tool's name may not hold. An operation's tool waits for
its job, so that the answer is the result; a job that takes longer is waited for with the tool of `WAITS`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from acestep.api.rights import Right
from bridge.doors import limits
from bridge.doors.json_schema import object_schema
from bridge.doors.operation_methods import ENVELOPE, OPERATION_PREFIX

DOOR = "mcp"

WAITS = "job.wait"
"""The method that is offered as waiting for the end of a job; other doors wait for the next event with it."""

DESCRIBES = "describe"
"""The method that is offered with short answers: everything at once is more than an assistant can read."""

OUTPUTS = frozenset({"returns", "output"})
"""Fields of the operations that make audio."""

WAIT_FIELD = "wait"
"""What tools that hand in jobs take besides: how long to wait."""

INTERNAL = "internal"
"""The group of what is not for people, nor for assistants."""

DETAILS = frozenset({"advanced", "guidance", "planner", "sampling", "output", "chain", INTERNAL})
"""Groups of fields that the tool of a large operation leaves to `describe`; it takes them all the same."""

PLAIN = frozenset({"seed", "steps", "thinking", "format", "returns", "length", "rate", "folder"})
"""Fields of those groups that everybody asks for, which it shows."""

LARGE = 40
"""Fields of an operation from which on those groups are left out."""

PLAYING = ("slot.", "capture.", "tempo.", "midi.", "performance")
"""Beginnings of the methods that need the part that plays."""

JOB_ROWS = 20
"""Rows of a job list unless more are asked for."""

_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class OfferedTool:
    """One tool."""

    name: str
    calls: str
    """The method behind it: ``op.<operation>`` or a method's name."""
    title: str
    description: str
    schema: dict[str, Any]
    submits: bool = False
    """Whether it hands in a job, which is then waited for."""
    reads: bool = False
    adds: bool = False
    """Whether it only adds something: a result, never a loss."""
    presets: Mapping[str, Any] = field(default_factory=dict)
    """Parameters that are sent unless the caller says otherwise."""


def offered_tools(
    described: Mapping[str, Any], *, plays: bool = True, devices: Sequence[str] = ()
) -> dict[str, OfferedTool]:
    """The tools by name, from the daemon's answer to `describe`: its operations first, then its methods.

    ``plays``: whether the part that plays is on; its methods are left out where every one of them would be refused.
    ``devices``: those of the daemon; a job may name one where there are several.
    """
    rows = [row for row in described["methods"] if DOOR in row["doors"]]
    choice = [_device_field(devices)] if len(devices) > 1 else []
    methods = [_method(row, choice) for row in rows if plays or not row["name"].startswith(PLAYING)]
    taken = {one.name for one in methods}
    operations = [_operation(row, taken, choice) for row in described["operations"]]
    return {one.name: one for one in [*operations, *methods]}


def _tool_name(text: str) -> str:
    return _NO_NAME.sub("_", text)[:64]


def _operation(row: Mapping[str, Any], taken: set[str], choice: list[dict[str, Any]]) -> OfferedTool:
    name = _tool_name(row["name"])
    fields = row["fields"]
    hidden = DETAILS if len(fields) >= LARGE else {INTERNAL}
    shown = [one for one in fields if one.get("group", "main") not in hidden or one["name"] in PLAIN]
    left = len(fields) - len(shown)
    words = [row["summary"]]
    if any(one["name"] in OUTPUTS for one in fields):
        words.append("Makes audio: the answer names the finished files by path and as resources.")
    if any(one["name"] == "source" for one in fields):
        words.append("Audio to work on is named by its absolute path, or by the id of an earlier job.")
    if left:
        words.append(
            f"{left} further parameters (details) are taken; `{DESCRIBES}` with operation={row['name']!r} lists them."
        )
    beside = _beside(fields, choice if row["runs"] == "worker" else [])
    return OfferedTool(
        name=name if name not in taken else f"{_tool_name(OPERATION_PREFIX)}{name}"[:64],
        calls=OPERATION_PREFIX + row["name"],
        title=row.get("title") or row["name"],
        description=" ".join(words),
        schema=object_schema([*shown, *beside], more=left > 0),
        submits=True,
        adds=row.get("right") == Right.ANYBODY.label,  # which touches nothing but the caller's own jobs
    )


def _beside(fields: list[Mapping[str, Any]], choice: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a tool that hands in a job takes beside these fields."""
    own = {one["name"] for one in fields}
    return [one for one in [*_submit_fields(), *choice] if one["name"] not in own]


def _device_field(devices: Sequence[str]) -> dict[str, Any]:
    return {
        "name": ENVELOPE[2],
        "type": "str",
        "choices": ["", *devices],
        "summary": "Device that runs the job; empty: the next free one.",
    }


def _submit_fields() -> list[dict[str, Any]]:
    return [
        {
            "name": ENVELOPE[0],
            "type": "str",
            "max_length": 64,
            "summary": "Id for the job, chosen by you (letters, digits, . _ -): the same id and request again is the same job, so "
            "that a repeat is harmless. Without one the daemon makes an id.",
        },
        {
            "name": ENVELOPE[1],
            "type": "int",
            "min": -10,
            "max": 10,
            "summary": "Jobs with a higher number run earlier.",
        },
        _wait_field("Then the answer tells the job's id, and the job keeps running. 0 does not wait at all."),
    ]


def _wait_field(otherwise: str) -> dict[str, Any]:
    return {
        "name": WAIT_FIELD,
        "type": "float",
        "min": 0,
        "max": limits.MCP_LONGEST_WAIT,
        "default": limits.MCP_WAIT,
        "summary": f"How long to wait for the end, in seconds. {otherwise}",
    }


def _method(row: Mapping[str, Any], choice: list[dict[str, Any]]) -> OfferedTool:
    name, presets = _tool_name(row["name"]), {}
    fields = [one for one in row["fields"] if one["name"] not in ENVELOPE[2:]]
    if len(fields) < len(row["fields"]):
        fields += choice
    summary = f"{row['summary']} Answer: {row['answer']}"
    if row["name"] == WAITS:
        job = next(one for one in fields if one["name"] == "id")
        fields = [job, _wait_field("Then the answer says how far the job is.")]
        summary = "Wait until a job has ended and get its result: files by path and as resources, notes, or the error."
    elif row["name"] == DESCRIBES:
        summary = (
            "What an operation takes: every field with unit, range, choices and default. Without a name: a list of all "
            "operations."
        )
    elif row["name"] == "job.list":
        presets = {"limit": JOB_ROWS}
        fields = [{**one, "default": JOB_ROWS} if one["name"] == "limit" else one for one in fields]
    if row["submits"]:
        fields += _beside(fields, [])
    return OfferedTool(
        name=name,
        calls=row["name"],
        title=row["name"],
        description=summary,
        schema=object_schema(fields),
        submits=row["submits"],
        reads=row["reads"] or row["name"] == WAITS,
        adds=row["submits"],
        presets=presets,
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known; empty where nothing is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
