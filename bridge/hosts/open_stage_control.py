"""A session of Open Stage Control: a control surface for a browser or tablet, made from the operations and the table of methods.

Facts of the format are from its manual: a session is ``{type, version, content}``; widgets have ``type``, ``id``, ``address``,
``typeTags``, ``bypass`` and scripts, containers ``widgets`` or ``tabs``. A parameter's widget has the address of that parameter of
the draft and sends nothing by itself: *Run* sends every value that is not the daemon's own in one message, so the same panel can
be run again and again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from acestep.api.labels import label_of
from bridge.doors.methods import METHODS
from bridge.doors.operation_methods import OPERATION_ADDRESS

Widget = dict[str, Any]

VERSION = "1.25.0"
"""Version of Open Stage Control whose form this is; newer ones convert it."""

FIRST = ("source", "main", "music", "lyrics")
"""Groups of fields that are seen at once; the others have tabs of their own."""

HIDDEN = frozenset({"internal"})

SLOTS = 8
"""Slots that have buttons."""

LINE, NAME = 64, 22
"""Heights in pixels: of a parameter, of its name."""

RUN = """var fields = %s
var args = []
for (var [name, type, usual] of fields) {
    var value = get(%s + name)
    if (value === undefined || value === null || value === "" || value === usual) continue
    if (Array.isArray(value) && value.every(one => typeof one !== "object")) value = value.join(",")
    if (typeof value === "object") value = JSON.stringify(value)
    if (typeof value === "boolean") value = value ? 1 : 0
    if (type === "s" || typeof value === "string") args.push(name, {type: "s", value: String(value)})
    else args.push(name, {type: Number.isInteger(value) && Math.abs(value) < 2147483648 ? "i" : "d", value: value})
}
send(%s, ...args)"""
"""What a Run button does: name and value of each field, by prefix of the widgets' ids, to an address."""

HEARD = {
    "/ace/accepted": 'set("job", value[0]); set("state", "waiting, place " + value[2]); set("progress", 0)',
    "/ace/progress": 'set("job", value[0]); set("progress", value[5]); set("state", value[2] + " " + value[3] + "/" + value[4])',
    "/ace/suspended": 'set("progress", value[3]); set("state", "suspended: " + value[2])',
    "/ace/result": 'set("file", value[4])',
    "/ace/done": 'set("progress", 1); set("state", ["done"].concat(value.slice(4)).join("; "))',
    "/ace/failed": 'set("state", "failed: " + value[3])',
    "/ace/rejected": 'set("state", "refused: " + value[3])',
    "/ace/cancelled": 'set("state", "cancelled"); set("progress", 0)',
    "/ace/interrupted": 'set("state", "interrupted: " + value[2])',
    "/ace/job/status": 'set("state", value[1] + " " + value[2]); set("progress", value[5])',
    "/ace/status": 'if (value[2] === "state") set("state", "the daemon is " + value[3])',
    "/ace/error": 'set("state", value[3])',
}
"""What the surface shows of the daemon's messages: address -> script over the arguments."""


def session(operations: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The session for operations as `describe` gives them, choices filled in."""
    tabs = [*map(_operation, operations), _slots()]
    surface = {"type": "panel", "id": "surface", "expand": True, "tabs": tabs}
    widgets = [surface, _jobs(), *map(_listener, HEARD.items())]
    content = {"type": "root", "id": "root", "layout": "vertical", "widgets": widgets}
    return {"createdWith": "Open Stage Control", "version": VERSION, "type": "session", "content": content}


def _operation(operation: dict[str, Any]) -> Widget:
    name = operation["name"]
    fields = [field for field in operation["fields"] if field.get("group", "main") not in HIDDEN]
    groups = list(dict.fromkeys(field.get("group", "main") for field in fields))
    first = [field for group in FIRST for field in fields if field.get("group", "main") == group]
    rest = [
        {
            **_column(f"{name}_more_{group}", [one for one in fields if one.get("group", "main") == group], name),
            "type": "tab",
        }
        for group in groups
        if group not in FIRST
    ]
    for tab in rest:
        tab["label"] = tab["id"].rpartition("_")[2].capitalize()
    more = {"type": "panel", "id": f"{name}_more", "expand": True, "tabs": rest}
    left = {**_column(f"{name}_first", first, name), "expand": True}
    panels = [left, more] if rest else [left]
    row = {"type": "panel", "id": f"{name}_fields", "layout": "horizontal", "expand": True, "widgets": panels}
    return {
        "type": "tab",
        "id": name,
        "label": name.replace("-", " ").capitalize(),
        "comments": operation.get("summary", ""),
        "layout": "vertical",
        "widgets": [row, _run(name, fields)],
    }


def _run(name: str, fields: list[dict[str, Any]]) -> Widget:
    address = f"{OPERATION_ADDRESS}{name}"
    known = [[field["name"], _tag(field["type"]), field.get("default")] for field in fields]
    script = RUN % (json.dumps(known), json.dumps(f"{name}_"), json.dumps(address))
    return {**_button(f"{name}_run", "Run", address), "bypass": True, "onValue": script, "height": LINE}


def _column(identity: str, fields: list[dict[str, Any]], operation: str) -> Widget:
    widgets = [_parameter(field, operation) for field in fields]
    return {"type": "panel", "id": identity, "layout": "vertical", "contain": False, "widgets": widgets}


def _parameter(field: dict[str, Any], operation: str) -> Widget:
    """A field's name above its widget."""
    identity = f"{operation}_{field['name']}"
    control = {
        "id": identity,
        "address": f"{OPERATION_ADDRESS}{operation}/{field['name']}",
        "bypass": True,
        "comments": field.get("summary", ""),
        "expand": True,
        **_control(field),
    }
    label = field.get("label") or label_of(field["name"], field.get("unit"), field.get("default"))
    return {
        "type": "panel",
        "id": f"{identity}_line",
        "layout": "vertical",
        "height": LINE,
        "scroll": False,
        "widgets": [_text(f"{identity}_name", label, height=NAME), control],
    }


def _control(field: dict[str, Any]) -> Widget:
    """The kind of widget that fits a field; an empty value leaves it to the daemon."""
    kind, usual, choices = field["type"], field.get("default"), field.get("choices")
    low, high = field.get("min"), field.get("max")
    if choices and not kind.startswith("list"):
        return _menu([str(one) for one in choices], list(choices), usual, required=bool(field.get("required")))
    if kind == "bool" and usual is not None:
        return {
            "type": "button",
            "mode": "toggle",
            "on": 1,
            "off": 0,
            "default": int(usual),
            "label": "on",
            "typeTags": "i",
        }
    if kind == "bool":
        return _menu(["on", "off"], [1, 0], None, required=False)
    bounded = low is not None and high is not None and high - low <= 1000
    if kind in ("int", "float") and bounded and usual is not None:
        decimals, tags = (0, "i") if kind == "int" else (3, "f")
        span = {"range": {"min": low, "max": high}, "decimals": decimals, "typeTags": tags}
        return {"type": "fader", "horizontal": True, "design": "compact", "default": usual, "doubleTap": True, **span}
    return {"type": "input", "default": "", "align": "left", "typeTags": ""}


def _menu(labels: list[str], values: list[Any], usual: Any, *, required: bool) -> Widget:
    if not required and "" not in values:
        labels, values = ["–", *labels], ["", *values]
    start = usual if usual in values else values[0]
    return {"type": "dropdown", "values": {"labels": labels, "values": values}, "default": start, "label": "%key"}


def _tag(kind: str) -> str:
    return {"int": "i", "float": "d", "bool": "i"}.get(kind, "s")


def _button(identity: str, label: str, address: str, **more: Any) -> Widget:
    return {"type": "button", "id": identity, "label": label, "mode": "tap", "address": address, "expand": True, **more}


def _text(identity: str, value: str, **more: Any) -> Widget:
    return {"type": "text", "id": identity, "default": value, "bypass": True, "align": "left", **more}


def _listener(heard: tuple[str, str]) -> Widget:
    address, script = heard
    identity = "heard" + address.replace("/", "_")
    return {"type": "variable", "id": identity, "address": address, "bypass": True, "onValue": script}


def _jobs() -> Widget:
    """What runs, and the buttons that stop it, ask after it and make another take of it."""
    job = 'if (get("job")) send(%s, {type: "s", value: get("job")}%s)'
    cancel, rerun, status = (METHODS[name].osc for name in ("job.cancel", "job.rerun", "job.status"))
    buttons = [
        _button("cancel", "Cancel", cancel, bypass=True, onValue=job % (json.dumps(cancel), "")),
        _button(
            "again", "Another take", rerun, bypass=True, onValue=job % (json.dumps(rerun), ', {type: "i", value: 1}')
        ),
        _button("ask", "Job", status, bypass=True, onValue=job % (json.dumps(status), "")),
        {**_button("daemon", "Daemon", METHODS["status"].osc), "mode": "momentary"},
    ]
    progress = {"type": "fader", "id": "progress", "horizontal": True, "design": "compact", "interaction": False}
    shown = [
        _text("job", "", expand=True),
        _text("state", "", expand=True),
        _text("file", "", expand=True),
        {**progress, "bypass": True, "range": {"min": 0, "max": 1}, "default": 0, "expand": True},
    ]
    rows = [
        {"type": "panel", "id": f"jobs_{name}", "layout": "horizontal", "expand": True, "widgets": widgets}
        for name, widgets in (("shown", shown), ("buttons", buttons))
    ]
    return {"type": "panel", "id": "jobs", "layout": "vertical", "height": 2 * LINE, "widgets": rows}


def _slots() -> Widget:
    """Launch, stop and gain of the first slots, and one button that stops all."""
    rows = [
        {"type": "panel", "id": f"slot_{n}", "layout": "vertical", "expand": True, "widgets": list(_slot(n))}
        for n in range(SLOTS)
    ]
    stop = _button("slots_stop", "Stop all", METHODS["slot.stop"].osc, on=-1, typeTags="i", height=LINE, expand=False)
    row = {"type": "panel", "id": "slots_row", "layout": "horizontal", "expand": True, "widgets": rows}
    return {"type": "tab", "id": "slots", "label": "Slots", "layout": "vertical", "widgets": [row, stop]}


def _slot(number: int) -> Iterator[Widget]:
    for method, label in (("slot.launch", f"Slot {number}"), ("slot.stop", "Stop")):
        yield _button(f"{method.replace('.', '_')}_{number}", label, METHODS[method].osc, on=number, typeTags="i")
    gain = next(field for field in METHODS["slot.gain"].parameters if field.name == "gain")
    span = {"range": {"min": gain.min, "max": gain.max}, "default": 1.0 if gain.default is None else gain.default}
    yield {
        "type": "fader",
        "id": f"slot_gain_{number}",
        "address": METHODS["slot.gain"].osc,
        "preArgs": [number],
        "typeTags": "if",
        "expand": True,
        **span,
    }
