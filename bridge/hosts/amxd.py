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


HIDDEN = 2
"""`parameter_invisible` of a control that asks for something once: no automation, not stored, and a click is no undo step."""


def _parameter(name: str, kind: int, **more: Any) -> dict[str, Any]:
    values = {"parameter_longname": name, "parameter_shortname": name, "parameter_type": kind, **more}
    values["parameter_invisible"] = HIDDEN
    return {"parameter_enable": 1, "saved_attribute_attributes": {"valueof": values}, "varname": name}


FORM = {
    "caption": ("Description", "What it should sound like: genre, mood, instruments. For a song, the sentence."),
    "track": ("Instrument", "One or more, each as a separate part; the list beside adds one."),
    "tracks": ("Instruments", "Instruments for the arrangement; the list beside adds one."),
    "variants": ("Variants", "How many variants to make."),
    "seed": ("Seed", "Leave empty for a new one."),
    "strength": ("Strength", "How much of the old sound to keep."),
    "duration": ("Length (s)", "Of a new part, if nothing is selected."),
}
"""Rows of the form, each label and hint: what the actions ask for. Words as in the daemon's describe, which sets them again."""

CHOSEN = ("track", "tracks")
"""Rows with a list beside the field, from which instruments are added."""

WIDTH, HEIGHT = 844.0, 169.0
TOP, PITCH, ROW, ROWS = 34.0, 19.3, 18.0, 7
LABELS, FIELDS, ACTIONS, MORE, SMALL = 6.0, 92.0, 334.0, 554.0, 760.0
"""Left edges of the columns."""

FIELD = 236.0
"""Width of a row's field."""


def _place(x: float, row: int, width: float, rows: int = ROWS) -> dict[str, Any]:
    """A place on the face of the device: one of the rows below two lines of text; where there are more of them, they are lower."""
    pitch = PITCH * ROWS / max(rows, ROWS)
    return {"presentation": 1, "presentation_rect": [x, TOP + pitch * row, width, min(ROW, pitch - 0.6)]}


def _line(x: float, number: int, width: float) -> dict[str, Any]:
    """A place in one of the two lines above the rows."""
    return {"presentation": 1, "presentation_rect": [x, 2.0 + 15.0 * number, width, 15.0]}


def _text_field(drawing: _Drawing, name: str, at: tuple[float, float], place: dict[str, Any]) -> tuple[str, str]:
    """A text field and the object at which its text comes out."""
    x, y = at
    more = {"keymode": 1, "lines": 1, "varname": f"field_{name}", **place}
    field = drawing.box("textedit", [x, y, 160, 20], 1, 4, **more)
    route = drawing.new("route text", [x + 180, y, 70, 20], 2, 2)
    drawing.cord(field, 0, route)
    return field, route


def _menu(drawing: _Drawing, words: str, at: tuple[float, float], place: dict[str, Any], live: str) -> str:
    """A list whose chosen number goes to the Live half behind some words."""
    x, y = at
    menu = drawing.box("umenu", [x, y, 160, 20], 1, 3, items=[], **place)
    prepend = drawing.new(f"prepend {words}", [x + 180, y, 100, 20])
    drawing.cord(menu, 0, prepend)
    drawing.cord(prepend, 0, live)
    return menu


def _form(drawing: _Drawing, live: str) -> tuple[str, int]:
    """A row a parameter. What Live sends back is shown in them: settings of a take, the row's words, what may be chosen."""
    words = [*FORM, "value", *(f"label_{name}" for name in FORM), *(f"choices_{name}" for name in CHOSEN)]
    back = drawing.new(f"route {' '.join(words)}", [30, 250, 900, 20], 1, len(words) + 1)
    drawing.cord(live, 4, back)
    for row, (name, (label, hint)) in enumerate(FORM.items()):
        y = 300 + 24.0 * row
        shown = drawing.box("comment", [30, y, 70, 20], 1, 0, text=label, hint=hint, **_place(LABELS, row, 84))
        width = FIELD - 26 if name in CHOSEN else FIELD
        place = {**_place(FIELDS, row, width), "hint": hint, "annotation": hint}
        field, route = _text_field(drawing, name, (110, y), place)
        prepend = drawing.new(f"prepend param {name}", [370, y, 130, 20])
        drawing.cord(back, words.index(name), field)
        drawing.cord(back, words.index(f"label_{name}"), shown)
        drawing.cord(route, 0, prepend)
        drawing.cord(prepend, 0, live)
    for number, name in enumerate(CHOSEN):
        row = list(FORM).index(name)
        at = (960.0, 640 + 24.0 * number)
        menu = _menu(drawing, f"add {name}", at, _place(FIELDS + FIELD - 24, row, 24), live)
        drawing.cord(back, words.index(f"choices_{name}"), menu)
    return back, words.index("value")


def _button(
    drawing: _Drawing, title: str, word: str, at: tuple[float, float], place: dict[str, Any], *, toggle: bool = False
) -> str:
    """A button and the message behind it; gives the message's box. A toggle puts 1 or 0 behind the word."""
    x, y = at
    parameter = _parameter(word, 2, parameter_enum=["off", "on"], parameter_mmax=1)
    texts = {"text": title, "texton": title}
    button = drawing.box("live.text", [x, y, 170, 20], 1, 2, mode=int(toggle), **texts, **place, **parameter)
    text = f"{word} $1" if toggle else word
    message = drawing.box("message", [x + 190, y, 120, 20], 2, 1, text=text)
    drawing.cord(button, 0, message)
    return message


SHORT = {
    "repaint-again": "Last settings",
    "vary": "Re-roll",
    "keep": "Keep",
    "restore": "Restore",
    "queue": "Jobs",
    "cancel": "Cancel",
}
"""Titles of the small buttons."""


def _buttons(drawing: _Drawing, actions: Sequence[dict[str, Any]], live: str) -> None:
    """Actions that ask for music, one below the other; on the right those on jobs and clips; above, switches."""
    wide = [action for action in actions if action["operation"] and action["name"] not in SHORT]
    for row, action in enumerate(wide):
        at = (620.0, 300 + 24.0 * row)
        message = _button(drawing, action["title"], f"run {action['name']}", at, _place(ACTIONS, row, 214, len(wide)))
        drawing.cord(message, 0, live)
    for column, (title, word) in enumerate((("After effects", "after_effects"), ("Listen first", "listen_first"))):
        place = _line(WIDTH - 168 + 84 * column, 0, 78)
        switch = _button(drawing, title, word, (960.0, 252 + 24.0 * column), place, toggle=True)
        drawing.cord(switch, 0, live)
    small = [action for action in actions if action["name"] in SHORT]
    for row, action in enumerate(sorted(small, key=lambda found: list(SHORT).index(found["name"]))):
        at = (960.0, 300 + 24.0 * row)
        message = _button(drawing, SHORT[action["name"]], f"run {action['name']}", at, _place(SMALL, row, 78))
        drawing.cord(message, 0, live)
    start = _button(drawing, "Start daemon", "start_daemon", (960.0, 468.0), _place(SMALL, len(small), 78))
    drawing.cord(start, 0, live)


def _menus(drawing: _Drawing, live: str, back: tuple[str, int]) -> None:
    """More: operations, their groups of fields, the fields, a value with what may be chosen for it; results and running jobs.

    ``back`` is where the value of the chosen field comes from.
    """
    lists = ((2, 0, "choose", 0, 200), (7, 1, "group", 0, 200), (3, 2, "pick", 0, 200), (8, 3, "option", 102, 98))
    for outlet, row, word, x, width in (*lists, (5, 6, "insert", 0, 200)):
        menu = _menu(drawing, word, (30.0, 520 + 24.0 * row), _place(MORE + x, row, width), live)
        drawing.cord(live, outlet, menu)
    field, route = _text_field(drawing, "value", (30, 700), _place(MORE, 3, 98))
    drawing.cord(*back, field)
    prepend = drawing.new("prepend value", [290, 700, 100, 20])
    drawing.cord(route, 0, prepend)
    drawing.cord(prepend, 0, live)
    for x, width, title, word in ((0, 134, "Run the operation", "operation"), (138, 62, "Dataset", "dataset")):
        button = _button(drawing, title, f"run {word}", (30.0 + 340 * bool(x), 724), _place(MORE + x, 4, width))
        drawing.cord(button, 0, live)
    for column, (title, word) in enumerate((("Listen...", "listen"), ("Drop waiting", "drop"))):
        button = _button(drawing, title, word, (30, 748 + 24.0 * column), _place(MORE + 102 * column, 5, 98))
        drawing.cord(button, 0, live)
    browser = drawing.box("message", [420, 210, 180, 20], 2, 1, text="; max launchbrowser $1")
    drawing.cord(live, 6, browser)


def _lines(drawing: _Drawing, live: str) -> None:
    """Two lines: what will be sent, and what there is to say."""
    for number, (outlet, text, width) in enumerate(((9, "", WIDTH - 180), (1, "ready", WIDTH - 12))):
        line = drawing.box(
            "live.comment", [620, 170 + 24.0 * number, 300, 20], 1, 0, text=text, **_line(LABELS, number, width)
        )
        drawing.cord(live, outlet, line)


def _rate(drawing: _Drawing, device: str, live: str) -> None:
    """The rate at which Live runs, once when the device is there and whenever it changes."""
    state = drawing.new("dspstate~", [270, 30, 80, 20], 1, 4)
    prepend = drawing.new("prepend rate", [270, 70, 90, 20])
    drawing.cord(device, 0, state)
    drawing.cord(state, 1, prepend)
    drawing.cord(prepend, 0, live)


def patcher(actions: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The device: audio through, Node for Max for the network, v8 for Live, a form, a button an action, menus."""
    drawing = _Drawing()
    source = drawing.new("plugin~", [30, 30, 60, 20], 2, 2, outlettype=["signal", "signal"])
    sink = drawing.new("plugout~", [30, 70, 60, 20], 2, 2, outlettype=["signal", "signal"])
    drawing.cord(source, 0, sink, 0)
    drawing.cord(source, 1, sink, 1)
    device = drawing.new("live.thisdevice", [150, 30, 90, 20], 1, 3)
    start = drawing.box("message", [150, 70, 80, 20], 2, 1, text="script start")
    node = drawing.new("node.script acestep_node.js @watch 0", [150, 110, 220, 20], 1, 2)
    live = drawing.new("v8 acestep_live.js", [150, 170, 150, 20], 1, 10)
    drawing.cord(device, 0, start)
    drawing.cord(start, 0, node)
    drawing.cord(node, 0, live)
    drawing.cord(live, 0, node)
    _lines(drawing, live)
    back = _form(drawing, live)
    _buttons(drawing, actions, live)
    _menus(drawing, live, back)
    _rate(drawing, device, live)
    return {
        "patcher": {
            "fileversion": 1,
            "appversion": {"major": 9, "minor": 0, "revision": 0, "architecture": "x64", "modernui": 1},
            "classnamespace": "box",
            "rect": [60.0, 80.0, 1300.0, 860.0],
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
