"""Max for Live devices as bytes: chunks of four characters, a little-endian size and data; inside, the patcher as JSON.

Ableton documents the outer form in its maxdevtools; nothing here has been loaded by Live itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from acestep.api.errors import ProtocolError

KINDS = {"audio": b"aaaa", "instrument": b"iiii", "midi": b"mmmm"}


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


def pack(patch: dict[str, Any], kind: str) -> bytes:
    """An unfrozen device of a kind (audio, instrument, midi) around a patcher."""
    text = (json.dumps(patch, indent="\t", ensure_ascii=False) + "\n\0").encode("utf-8")
    return _chunk(b"ampf", KINDS[kind]) + _chunk(b"meta", struct.pack("<I", 0)) + _chunk(b"ptch", text)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and data of every chunk. Raises `ProtocolError` where sizes do not fit."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ProtocolError("the device ends inside a chunk's head")
        name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if at + 8 + size > len(data):
            raise ProtocolError(f"chunk {name!r} is longer than the device")
        yield name, data[at + 8 : at + 8 + size]
        at += 8 + size


def unpack(data: bytes) -> tuple[str, dict[str, Any]]:
    """Kind and patcher of a device."""
    found = dict(chunks(data))
    kind = next((name for name, tag in KINDS.items() if tag == found.get(b"ampf")), "")
    if not kind or b"ptch" not in found:
        raise ProtocolError("no Max for Live device")
    return kind, json.loads(found[b"ptch"].rstrip(b"\n\0"))


class _Drawing:
    """Boxes and cords of a patcher while it is drawn."""

    def __init__(self) -> None:
        self.boxes: list[dict[str, Any]] = []
        self.lines: list[dict[str, Any]] = []

    def box(self, kind: str, place: Sequence[float], inlets: int = 1, outlets: int = 1, **more: Any) -> str:
        name = f"obj-{len(self.boxes) + 1}"
        facts = {"id": name, "maxclass": kind, "numinlets": inlets, "numoutlets": outlets, "patching_rect": list(place)}
        self.boxes.append({"box": {**facts, "outlettype": [""] * outlets, **more}})
        return name

    def new(self, text: str, place: Sequence[float], inlets: int = 1, outlets: int = 1, **more: Any) -> str:
        return self.box("newobj", place, inlets, outlets, text=text, **more)

    def cord(self, source: str, outlet: int, target: str, inlet: int = 0) -> None:
        self.lines.append({"patchline": {"source": [source, outlet], "destination": [target, inlet]}})


def _parameter(name: str, kind: int, **more: Any) -> dict[str, Any]:
    values = {"parameter_longname": name, "parameter_shortname": name, "parameter_type": kind, **more}
    return {"parameter_enable": 1, "saved_attribute_attributes": {"valueof": values}, "varname": name}


FORM = ("caption", "track", "variants", "seed", "strength", "duration")
"""Parameters that the device's form shows; the daemon's describe decides which of them an operation takes."""

WIDTH, ROW = 420.0, 22.0


def _form(drawing: _Drawing, live: str) -> None:
    for row, name in enumerate(FORM):
        y = 40.0 + ROW * row
        drawing.box(
            "comment", [30, 300 + y, 70, 20], 1, 0, text=name, presentation=1, presentation_rect=[6.0, y, 64.0, 20.0]
        )
        field = drawing.box(
            "textedit",
            [110, 300 + y, 200, 20],
            1,
            4,
            keymode=1,
            lines=1,
            presentation=1,
            presentation_rect=[72.0, y, 160.0, 20.0],
            varname=f"field_{name}",
        )
        route = drawing.new("route text", [110, 460 + y, 70, 20], 2, 2)
        prepend = drawing.new(f"prepend param {name}", [200, 460 + y, 120, 20])
        drawing.cord(field, 0, route)
        drawing.cord(route, 0, prepend)
        drawing.cord(prepend, 0, live)


def _buttons(drawing: _Drawing, actions: Sequence[dict[str, Any]], live: str) -> None:
    shown = [
        action
        for action in actions
        if action["name"] == "cancel" or (action["operation"] and action["audio"] in ("none", "target"))
    ]
    for row, action in enumerate(shown):
        y = 8.0 + ROW * row
        button = drawing.box(
            "live.text",
            [400, 300 + y, 170, 20],
            1,
            2,
            mode=0,
            text=action["title"],
            presentation=1,
            presentation_rect=[240.0, y, 174.0, 20.0],
            **_parameter(f"run {action['name']}", 2, parameter_enum=["off", "on"], parameter_mmax=1),
        )
        message = drawing.box("message", [600, 300 + y, 120, 20], 2, 1, text=f"run {action['name']}")
        drawing.cord(button, 0, message)
        drawing.cord(message, 0, live)


def patcher(actions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The device: audio through, Node for Max for the network, v8 for Live, a form and a button an action."""
    drawing = _Drawing()
    source = drawing.new("plugin~", [30, 30, 60, 20], 2, 2, outlettype=["signal", "signal"])
    sink = drawing.new("plugout~", [30, 70, 60, 20], 2, 2, outlettype=["signal", "signal"])
    drawing.cord(source, 0, sink, 0)
    drawing.cord(source, 1, sink, 1)
    device = drawing.new("live.thisdevice", [150, 30, 90, 20], 1, 3)
    start = drawing.box("message", [150, 70, 80, 20], 2, 1, text="script start")
    node = drawing.new("node.script acestep_node.js @watch 0", [150, 110, 220, 20], 1, 2)
    live = drawing.new("v8 acestep_live.js", [150, 170, 150, 20], 1, 2)
    status = drawing.box(
        "live.comment",
        [400, 170, 200, 20],
        1,
        0,
        text="ready",
        presentation=1,
        presentation_rect=[6.0, 8.0, 226.0, 20.0],
    )
    drawing.cord(device, 0, start)
    drawing.cord(start, 0, node)
    drawing.cord(node, 0, live)
    drawing.cord(live, 0, node)
    drawing.cord(live, 1, status)
    _form(drawing, live)
    _buttons(drawing, actions, live)
    return {
        "patcher": {
            "fileversion": 1,
            "appversion": {"major": 9, "minor": 0, "revision": 0, "architecture": "x64", "modernui": 1},
            "classnamespace": "box",
            "rect": [60.0, 80.0, 900.0, 700.0],
            "openinpresentation": 1,
            "devicewidth": WIDTH,
            "boxes": drawing.boxes,
            "lines": drawing.lines,
            "project": {
                "version": 1,
                "creationdate": 0,
                "modificationdate": 0,
                "viewrect": [0.0, 0.0, 300.0, 500.0],
                "autoorganize": 1,
                "hideprojectwindow": 1,
                "showdependencies": 1,
                "autolocalize": 0,
                "contents": {"patchers": {}, "code": {}},
                "layout": {},
                "searchpath": {},
                "detailsvisible": 0,
                "amxdtype": int.from_bytes(KINDS["audio"], "big"),
                "readonly": 0,
                "devpathtype": 0,
                "devpath": ".",
                "sortmode": 0,
                "viewmode": 0,
            },
        }
    }
