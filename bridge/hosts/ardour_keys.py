"""Keys for our actions in Ardour, beside everything that is the user's.

Ardour reads one set of keys: the user's own file ``ardour-REVISION.keys`` once there is one, else the standard set
``ardour.keys``, which it looks for in the user's configuration folder before its own. So the standard set with our keys is put
into the user's folder, and an own set that is already there gets them too. Seen in 7.3.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KEYS = {
    "repaint": "p",
    "repaint-again": "a",
    "extract": "x",
    "generate": "g",
    "song": "n",
    "cover": "c",
    "add-instrument": "i",
    "complete": "f",
    "extend": "e",
    "vary": "v",
    "operation": "o",
    "queue": "j",
    "cancel": "q",
    "listen-page": "l",
    "place-waiting": "w",
    "keep": "k",
    "dataset": "d",
    "more": "m",
    "restore": "s",
}
"""Action -> letter, pressed with all three modifiers: Ardour's own set leaves those free."""

MODIFIERS = "Primary-Secondary-Tertiary-"
"""Ctrl, Alt and Shift, as Ardour writes them; on a Mac Command, Control and Shift."""

STANDARD = "ardour.keys"
RECORD = Path("acestep-bridge") / "keys.json"
"""What was set before: an action that the user took the key from gets none again."""

_PLACES = (
    "etc/ardour{}/ardour.keys",
    "usr/local/etc/ardour{}/ardour.keys",
    "opt/Ardour-{}*/etc/**/ardour.keys",
    "Applications/Ardour{}.app/Contents/**/ardour.keys",
    "Program Files/Ardour{}/**/ardour.keys",
)
_GROUP = "LuaAction/script-"


@dataclass(frozen=True)
class Move:
    """Where our actions lie among Ardour's scripts: action -> slot, before (0: nowhere) and now."""

    now: Mapping[str, int]
    before: Mapping[str, int] = field(default_factory=dict)


@dataclass
class GivenKeys:
    """Files to write, and what the user should know: (action, key) pairs that were taken, files that could not be read."""

    files: dict[Path, bytes] = field(default_factory=dict)
    taken: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)


def shown(action: str) -> str:
    """The key of an action as people write it."""
    modifiers = "Cmd+Ctrl+Shift" if sys.platform == "darwin" else "Ctrl+Alt+Shift"
    return f"{modifiers}+{KEYS[action].upper()}"


def standard_set(version: str, environment: Mapping[str, str] = os.environ, root: Path | None = None) -> bytes:
    """The keys that an Ardour of that version comes with, or nothing where it is in no usual place."""
    own = [Path(folder) / STANDARD for folder in environment.get("ARDOUR_CONFIG_PATH", "").split(os.pathsep) if folder]
    base = root or Path(Path.cwd().anchor)
    for path in [*own, *(found for place in _PLACES for found in sorted(base.glob(place.format(version))))]:
        if path.is_file():
            return path.read_bytes()
    return b""


def give(folder: Path, move: Move, standard: bytes) -> GivenKeys:
    """Give every action of ours its key in every set of a configuration folder; nobody's other key changes."""
    record = _record(folder)
    offered = set(record.get("offered", ()))
    made = GivenKeys()
    for path in sorted({*folder.glob("*.keys"), *([folder / STANDARD] if standard else [])}):
        before = path.read_bytes() if path.is_file() else b""
        ours = path.name == STANDARD and (not before or _digest(before) == record.get("standard"))
        try:
            keys = _Set(standard if ours and standard else before)
        except ElementTree.ParseError:
            made.unreadable.append(path)
            continue
        if not ours:
            keys.move(move)
        wanted = {name: slot for name, slot in move.now.items() if name in KEYS and (ours or name not in offered)}
        made.taken += [pair for pair in keys.bind(wanted) if pair not in made.taken]
        made.files[path] = keys.text()
        if ours:
            record["standard"] = _digest(made.files[path])
    if made.files:
        record["offered"] = sorted(offered | set(move.now))
        made.files[folder / RECORD] = json.dumps(record, indent=1).encode("utf-8")
    return made


def take_back(folder: Path, slots: Collection[int], standard: bytes) -> tuple[dict[Path, bytes], list[Path]]:
    """Files without the keys of these slots, and files to remove: a standard set in which nothing else is the user's."""
    files, gone = {}, []
    for path in sorted(folder.glob("*.keys")):
        before = path.read_bytes()
        try:
            keys = _Set(before)
        except ElementTree.ParseError:
            continue
        keys.unbind(slots)
        unchanged = _digest(before) == _record(folder).get("standard")
        if path.name == STANDARD and (unchanged or (standard and keys.same_as(_Set(standard)))):
            gone.append(path)
        elif keys.changed:
            files[path] = keys.text()
    return files, gone


def _record(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


class _Set:
    """One file of keys."""

    def __init__(self, text: bytes) -> None:
        parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
        self._root = ElementTree.fromstring(text, parser)
        self.changed = False

    def bind(self, wanted: Mapping[str, int]) -> list[tuple[str, str]]:
        """Bind actions that have no key yet; those whose key is somebody else's, with the key."""
        used = {
            binding.get("key", "").lower(): binding.get("action") for _, binding in self._bindings("Editor", "Global")
        }
        reached = {binding.get("action") for _, binding in self._bindings()}
        refused = []
        for name, slot in wanted.items():
            key, action = f"{MODIFIERS}{KEYS[name]}", f"{_GROUP}{slot}"
            if action in reached:
                continue
            if key.lower() in used:
                refused.append((name, shown(name)))
            else:
                ElementTree.SubElement(self._press(), "Binding", key=key, action=action, group="ACE-Step").tail = "\n"
                self.changed = True
        return refused

    def move(self, move: Move) -> None:
        """Let the keys of actions that change their place follow them."""
        places = {
            f"{_GROUP}{slot}": f"{_GROUP}{move.now[name]}" for name, slot in move.before.items() if name in move.now
        }
        for _, binding in self._bindings():
            action = binding.get("action", "")
            if places.get(action, action) != action:
                binding.set("action", places[action])
                self.changed = True

    def unbind(self, slots: Collection[int]) -> None:
        """Take the keys of these slots away."""
        actions = {f"{_GROUP}{slot}" for slot in slots}
        for parent, binding in list(self._bindings()):
            if binding.get("action") in actions:
                parent.remove(binding)
                self.changed = True

    def same_as(self, other: _Set) -> bool:
        """Whether two sets hold the same keys."""
        return self._facts() == other._facts()

    def text(self) -> bytes:
        """The file."""
        return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(self._root, encoding="utf-8") + b"\n"

    def _facts(self) -> set[tuple[str | None, str, str | None, str | None]]:
        return {
            (group.get("name"), when.tag, binding.get("key"), binding.get("action"))
            for group in self._root.iter("Bindings")
            for when in group
            for binding in when
            if isinstance(when.tag, str)
        }

    def _bindings(self, *groups: str) -> Iterator[tuple[ElementTree.Element, ElementTree.Element]]:
        """Every bound key, or those of some windows, each with the element that holds it."""
        for group in self._root.iter("Bindings"):
            for press in group.iter("Press") if not groups or group.get("name") in groups else ():
                yield from ((press, binding) for binding in press.iter("Binding"))

    def _press(self) -> ElementTree.Element:
        """Where the keys of the editor window stand."""
        for group in self._root.iter("Bindings"):
            if group.get("name") == "Editor":
                press = group.find("Press")
                return ElementTree.SubElement(group, "Press") if press is None else press
        return ElementTree.SubElement(ElementTree.SubElement(self._root, "Bindings", name="Editor"), "Press")
