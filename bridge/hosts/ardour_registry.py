"""Ardour's own list of installed scripts, the file ``ui_scripts``, read and changed as bytes.

Its action scripts are base64 of Lua text that fills a table ``scripts``, one slot a script. Ardour writes compiled Lua into
it, which is not text in any encoding. What is not ours stays byte for byte.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.hosts.bundle import quote

MENU_SLOTS = 9
"""Ardour's menu *Edit > Lua Scripts* shows no more; the slots behind can be given keys all the same."""

MAX_SLOTS = 32

_STATEMENT = re.compile(
    rb'scripts\[(\d+)\]((?:\["[^"]*"\])*) = (\{\}|"(?:\\.|[^"\\])*"|true|false|-?[0-9.eE+-]+)\s*', re.DOTALL
)
_BEGIN = re.compile(rb"\s*scripts = \{\}\s*")
_NAME = re.compile(rb'\["n"\] = "((?:\\.|[^"\\])*)"', re.DOTALL)


@dataclass
class Entry:
    """One script in a slot; an empty ``chunk`` is one that Ardour should load from ``source``."""

    name: str
    source: str
    chunk: str

    def text(self, slot: int) -> bytes:
        """The entry as Ardour's Lua text."""
        entry = f"scripts[{slot}]"
        text = (
            f'{entry} = {{}} {entry}["n"] = {quote(self.name)} {entry}["s"] = {quote(self.source)} '
            f'{entry}["f"] = {quote(self.chunk)} {entry}["c"] = "" {entry}["a"] = {{}} '
        )
        return text.encode("utf-8")


@dataclass
class ActionSlots:
    """The action scripts of a list: slot -> its statements as they stand there. ``rest`` is what was not understood."""

    texts: dict[int, bytes] = field(default_factory=dict)
    rest: bytes = b""

    @classmethod
    def of(cls, text: bytes) -> ActionSlots:
        """Take the Lua text of a list apart."""
        found = cls()
        begin = _BEGIN.match(text)
        place = begin.end() if begin else 0
        while statement := _STATEMENT.match(text, place):
            slot = int(statement.group(1))
            found.texts[slot] = found.texts.get(slot, b"") + statement.group(0)
            place = statement.end()
        found.rest = text[place:]
        return found

    def names(self) -> dict[str, int]:
        """Name -> slot."""
        found = {}
        for slot, text in self.texts.items():
            if name := _NAME.search(text):
                found[name.group(1).decode("utf-8", "replace")] = slot
        return found

    def put(self, entries: Mapping[str, Entry], first: Sequence[str]) -> None:
        """Give every entry a slot, those named in ``first`` one of the menu's where there is room; kept where it can be."""
        old = {name: self.remove(name) for name in self.names() if name in entries}
        names = [*(name for name in first if name in entries), *(name for name in entries if name not in first)]
        kept = [name for name in names if old.get(name) and (name in first) == (old[name] <= MENU_SLOTS)]
        for name in kept:
            self.texts[old[name]] = entries[name].text(old[name])
        for name in (name for name in names if name not in kept):
            slot = next(self._free(name in first), None)
            if slot is not None:
                self.texts[slot] = entries[name].text(slot)

    def remove(self, name: str) -> int:
        """Take a script out; the slot that it had."""
        slot = self.names()[name]
        del self.texts[slot]
        return slot

    def _free(self, menu: bool) -> Iterator[int]:
        low, high = range(1, MENU_SLOTS + 1), range(MENU_SLOTS + 1, MAX_SLOTS + 1)
        return (slot for slot in ((*low, *high) if menu else (*high, *low)) if slot not in self.texts)

    def text(self) -> bytes:
        """The Lua text of the list."""
        parts = (part if part.endswith(b" ") else part + b" " for _, part in sorted(self.texts.items()))
        return b"scripts = {} " + b"".join(parts) + self.rest


def read(registry: bytes) -> tuple[ElementTree.Element, ActionSlots]:
    """The list and its action scripts; an empty one where there is none yet."""
    root = ElementTree.fromstring(registry) if registry.strip() else ElementTree.Element("UIScripts")
    actions = _child(root, "ActionScript", {"lua": "Lua 5.3"})
    return root, ActionSlots.of(base64.b64decode(actions.text or ""))


def write(root: ElementTree.Element, slots: ActionSlots) -> bytes:
    """The list as Ardour reads it."""
    _child(root, "ActionScript", {}).text = base64.b64encode(slots.text()).decode("ascii")
    _child(root, "ActionHooks", {})
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="utf-8") + b"\n"


def put_hook(root: ElementTree.Element, entry: Entry, signals: str) -> None:
    """Register a hook for the signals of a bit string, in place of one of the same name."""
    remove_hook(root, entry.name)
    hooks = _child(root, "ActionHooks", {})
    text = f's = {{}} s["n"] = {quote(entry.name)} s["s"] = {quote(entry.source)} s["f"] = {quote(entry.chunk)} s["a"] = {{}} '
    number = max([90_000, *(int(hook.get("id", 0)) for hook in hooks)]) + 1
    facts = {"lua": "Lua 5.3", "id": str(number), "name": entry.name, "signals": signals}
    hook = ElementTree.SubElement(hooks, "LuaCallback", facts)
    hook.text = base64.b64encode(text.encode("utf-8")).decode("ascii")


def remove_hook(root: ElementTree.Element, name: str) -> None:
    """Take a hook out."""
    hooks = _child(root, "ActionHooks", {})
    for old in [hook for hook in hooks if hook.get("name") == name]:
        hooks.remove(old)


def _child(root: ElementTree.Element, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
    found = root.find(tag)
    return ElementTree.SubElement(root, tag, attributes) if found is None else found
