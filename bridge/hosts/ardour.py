"""Ardour: one Lua file an action, a timer hook for results, and their entry in Ardour's own list of scripts."""

from __future__ import annotations

import base64
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.hosts.bundle import bundle, modules, offered, quote

PREFIX = "ACE-Step: "
HOOK = f"{PREFIX}place results"
SIGNAL_BITS = {"7": (51, 49)}
"""Ardour version -> number of Lua signals and the place of the 0.1 s timer (LuaTimerDS) among them, in ``ui_scripts``."""

MAX_SLOTS = 32


def config_folders(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> list[Path]:
    """The configuration folders of the Ardour versions that were started here at least once."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
    if system == "darwin":
        base, name = home / "Library" / "Preferences", "Ardour"
    elif system == "win32":
        base, name = Path(environment.get("LOCALAPPDATA", home / "AppData" / "Local")), "ardour"
    else:
        base, name = Path(environment.get("XDG_CONFIG_HOME") or home / ".config"), "ardour"
    return [base / f"{name}{version}" for version in range(7, 12) if (base / f"{name}{version}").is_dir()]


def build(scripts: Path, data: Mapping[str, Any]) -> dict[str, str]:
    """File name -> text of every script."""
    sources = modules(scripts, "ardour")
    files = {}
    for action in offered(data["actions"], "ardour"):
        body = bundle(sources, data, f"function() import('action').run({quote(action['name'])}) end")
        header = _header("EditorAction", action["title"])
        files[f"acestep_{action['name'].replace('-', '_')}.lua"] = header + _factory(body)
    hook = bundle(sources, data, "function() import('placing').tick() end")
    signals = "function signals() return LuaSignal.Set():add({[LuaSignal.LuaTimerDS] = true}) end\n"
    files["acestep_place_results.lua"] = _header("EditorHook", "place results") + signals + _factory(hook)
    return files


def _header(kind: str, title: str) -> str:
    return (
        f'ardour {{ ["type"] = {quote(kind)}, name = {quote(PREFIX + title)}, license = "MIT", author = "acestep-bridge",\n'
        '  description = "Part of acestep-bridge; made by acestep-bridge install-scripts ardour." }\n'
    )


def _factory(body: str) -> str:
    return f"function factory()\n{body}\nend\n"


def register(registry: str, files: Mapping[str, str], version: str) -> str:
    """The text of ``ui_scripts`` with our scripts in free slots (or in the slots they already have).

    Ardour keeps installed actions as base64 Lua text that fills a table ``scripts``, so ours are appended to that text. Hooks are
    registered only for versions whose signal list is known; elsewhere the user adds the hook in the Script Manager.
    """
    root = ElementTree.fromstring(registry) if registry.strip() else ElementTree.Element("UIScripts")
    actions = _child(root, "ActionScript", {"lua": "Lua 5.3"})
    text = base64.b64decode(actions.text or "").decode("utf-8") or "scripts = {} "
    for source in files.values():
        if '"EditorAction"' in source:
            text = _add_action(text, source)
    actions.text = base64.b64encode(text.encode("utf-8")).decode("ascii")
    if version in SIGNAL_BITS:
        _add_hook(_child(root, "ActionHooks", {}), files["acestep_place_results.lua"], SIGNAL_BITS[version])
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _child(root: ElementTree.Element, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
    found = root.find(tag)
    return ElementTree.SubElement(root, tag, attributes) if found is None else found


def _name(source: str) -> str:
    found = re.search(r'name = "([^"]*)"', source)
    assert found is not None
    return found.group(1)


def _loader(source: str) -> str:
    """The chunk that Ardour keeps for a script: it makes the script's function."""
    local = re.sub(r"^function (factory|signals)", r"local function \1", source, flags=re.MULTILINE)
    return f"local params = ...; local ardour = function() end\n{local}\nreturn factory(params)"


def _add_action(text: str, source: str) -> str:
    name = _name(source)
    mine = re.search(rf'scripts\[(\d+)\]\["n"\] = {re.escape(quote(name))}', text)
    taken = {int(slot) for slot in re.findall(r"scripts\[(\d+)\] = \{\}", text)}
    slot = int(mine.group(1)) if mine else next((n for n in range(1, MAX_SLOTS + 1) if n not in taken), 0)
    if slot == 0:
        return text
    entry = f"scripts[{slot}]"
    return (
        f'{text.rstrip()} {entry} = {{}} {entry}["n"] = {quote(name)} {entry}["s"] = {quote(source)} '
        f'{entry}["f"] = {quote(_loader(source))} {entry}["c"] = "" {entry}["a"] = {{}} '
    )


def _add_hook(hooks: ElementTree.Element, source: str, bits: tuple[int, int]) -> None:
    for old in [hook for hook in hooks if hook.get("name") == HOOK]:
        hooks.remove(old)
    count, place = bits
    signals = "".join("1" if count - 1 - index == place else "0" for index in range(count))
    text = f's = {{}} s["n"] = {quote(HOOK)} s["s"] = {quote(source)} s["f"] = {quote(_loader(source))} s["a"] = {{}} '
    used = {int(hook.get("id", 0)) for hook in hooks}
    number = max([90_000, *used]) + 1
    hook = ElementTree.SubElement(
        hooks, "LuaCallback", {"lua": "Lua 5.3", "id": str(number), "name": HOOK, "signals": signals}
    )
    hook.text = base64.b64encode(text.encode("utf-8")).decode("ascii")


def slots(registry: str) -> dict[str, int]:
    """Script name -> slot of the action scripts in a ``ui_scripts`` text."""
    text = base64.b64decode(ElementTree.fromstring(registry).findtext("ActionScript") or "").decode("utf-8")
    return {name: int(slot) for slot, name in re.findall(r'scripts\[(\d+)\]\["n"\] = "([^"]*)"', text)}
