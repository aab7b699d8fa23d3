"""Ardour: a library of Lua, a small script an action, a timer hook for results, and their entries in Ardour's own list."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge.hosts import ardour_registry
from bridge.hosts.ardour_registry import Entry
from bridge.hosts.bundle import bundle, modules, offered, quote

PREFIX = "ACE-Step: "
HOOK = f"{PREFIX}place results"
LIBRARY = Path("acestep-bridge") / "ardour.lua"
"""Where the code of all scripts lies, below Ardour's configuration folder."""

MENU = ("repaint", "extract", "generate", "add-instrument", "cover", "vary", "more")
"""Actions that get one of the nine places in Ardour's menu, of which its own scripts take two; *More...* lists the rest."""

SIGNAL_BITS = {"7": (51, 49)}
"""Ardour version -> number of Lua signals and the place of the 0.1 s timer (LuaTimerDS) among them, in ``ui_scripts``."""

_RUN = """function factory() return function()
  local run, why = loadfile({path})
  if run then return run()({word}) end
  LuaDialog.Message("ACE-Step", "A file of acestep-bridge is missing. Run: acestep-bridge install-scripts ardour\\n\\n"
    .. tostring(why), LuaDialog.MessageType.Error, LuaDialog.ButtonType.Close):run()
end end
"""

_TICK = """function signals() return LuaSignal.Set():add({{[LuaSignal.LuaTimerDS] = true}}) end
function factory()
  local run = loadfile({path})
  run = run and run()
  return function() if run then run("") end end
end
"""


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


def build(scripts: Path, data: Mapping[str, Any], folder: Path) -> dict[Path, str]:
    """Path below the configuration folder ``folder`` -> text of the library and of every script."""
    path = quote(str(folder / LIBRARY))
    run = "function(word) if word == '' then import('placing').tick() else import('action').run(word) end end"
    files = {LIBRARY: bundle(modules(scripts, "ardour"), data, run)}
    for action in offered(data["actions"], "ardour"):
        name = f"acestep_{action['name'].replace('-', '_')}.lua"
        header = _header("EditorAction", action["title"])
        files[Path("scripts") / name] = header + _RUN.format(path=path, word=quote(action["name"]))
    files[Path("scripts") / "acestep_place_results.lua"] = _header("EditorHook", "place results") + _TICK.format(
        path=path
    )
    return files


def _header(kind: str, title: str) -> str:
    return (
        f'ardour {{ ["type"] = {quote(kind)}, name = {quote(PREFIX + title)}, license = "MIT", author = "acestep-bridge",\n'
        '  description = "Part of acestep-bridge; made by acestep-bridge install-scripts ardour." }\n'
    )


def register(registry: bytes, sources: list[str], version: str, menu: tuple[str, ...] = ()) -> bytes:
    """The bytes of ``ui_scripts`` with our scripts in it; ``menu`` names those that belong into Ardour's menu.

    Hooks are registered only for versions whose signal list is known; elsewhere the user adds the hook in the Script Manager.
    """
    root, slots = ardour_registry.read(registry)
    entries = {_name(source): Entry(_name(source), source, _loader(source)) for source in sources}
    hook = entries.pop(HOOK, None)
    for name in [name for name in slots.names() if menu and name.startswith(PREFIX) and name not in entries]:
        slots.remove(name)  # an action that an earlier version had
    slots.put(entries, menu)
    if hook is not None and version in SIGNAL_BITS:
        count, place = SIGNAL_BITS[version]
        ardour_registry.put_hook(
            root, hook, "".join("1" if count - 1 - index == place else "0" for index in range(count))
        )
    return ardour_registry.write(root, slots)


def remove(registry: bytes) -> bytes:
    """The bytes of ``ui_scripts`` without our scripts."""
    root, slots = ardour_registry.read(registry)
    for name in [name for name in slots.names() if name.startswith(PREFIX)]:
        slots.remove(name)
    ardour_registry.remove_hook(root, HOOK)
    return ardour_registry.write(root, slots)


def places(registry: bytes, actions: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Action -> slot of those of ours in a ``ui_scripts``."""
    found = slots(registry)
    titles = {action["name"]: PREFIX + action["title"] for action in actions}
    return {name: found[title] for name, title in titles.items() if title in found}


def menu(actions: list[dict[str, Any]]) -> tuple[str, ...]:
    """The names, as Ardour lists them, of the actions that belong into its menu."""
    titles = {action["name"]: action["title"] for action in actions}
    return tuple(PREFIX + titles[name] for name in MENU)


def _name(source: str) -> str:
    found = re.search(r'name = "([^"]*)"', source)
    assert found is not None
    return found.group(1)


def _loader(source: str) -> str:
    """The chunk that Ardour keeps for a script: it makes the script's function."""
    local = re.sub(r"^function (factory|signals)", r"local function \1", source, flags=re.MULTILINE)
    return f"local params = ...; local ardour = function() end\n{local}\nreturn factory(params)"


def slots(registry: bytes) -> dict[str, int]:
    """Script name -> slot of the action scripts in a ``ui_scripts``."""
    return ardour_registry.read(registry)[1].names()
