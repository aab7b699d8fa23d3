"""Lua modules into one file: for hosts whose scripts cannot load other files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MODULE_FOLDERS = {"reaper": ("core/lua", "reaper"), "ardour": ("core/lua", "ardour")}
"""Where a host's modules lie below ``daw_scripts``; a later folder wins."""


def quote(text: str) -> str:
    """A text as a Lua string literal."""
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )
    return f'"{escaped}"'


def modules(scripts: Path, host: str) -> dict[str, str]:
    """Name -> source of every Lua module that the host's scripts may import."""
    found: dict[str, str] = {}
    for folder in MODULE_FOLDERS[host]:
        for path in sorted((scripts / folder).glob("*.lua")):
            found[path.stem] = path.read_text("utf-8")
    return found


def shared_data(
    scripts: Path, home: Path, program: Sequence[str], starter: Sequence[str] = (), listener: Sequence[str] = ()
) -> dict[str, Any]:
    """What every script gets besides code: the action table, the sentences, where the daemon is and how to start it.

    ``program`` is the daemon itself; ``starter`` starts it in the background, free of what a host leaves open in its children;
    ``listener`` opens the audition page.
    """
    actions = json.loads((scripts / "core" / "actions.json").read_text("utf-8"))["actions"]
    messages = json.loads((scripts / "core" / "messages.json").read_text("utf-8"))["messages"]
    return {
        "actions": actions,
        "messages": messages,
        "home": str(home),
        "program": list(program),
        "starter": list(starter),
        "listener": list(listener),
    }


def offered(actions: Sequence[dict[str, Any]], host: str) -> list[dict[str, Any]]:
    """The actions of the shared table that a host can carry out."""
    return [action for action in actions if not action["hosts"] or host in action["hosts"]]


def bundle(sources: Mapping[str, str], data: Mapping[str, Any], call: str) -> str:
    """A Lua chunk without outside needs: all modules, the data, and ``call`` (an expression that uses ``import`` and ``data``)."""
    parts = ["local sources = {}"]
    for name, source in sources.items():
        parts.append(f"sources[{quote(name)}] = function(...)\n{source}\nend")
    parts.append(
        "local data\n"
        "local loaded = {}\n"
        "local function import(name)\n"
        "  if loaded[name] == nil then loaded[name] = sources[name](import, data) end\n"
        "  return loaded[name]\n"
        "end\n"
        f"data = import('json').decode({quote(json.dumps(data, ensure_ascii=False))})\n"
        "local system = package and package.config:sub(1, 1) == '\\\\' and 'windows' or 'linux'\n"
        "data.spool = import('home').folder(os.getenv, system, data.home) .. '/spool'\n"
        f"return {call}"
    )
    return "\n".join(parts)
