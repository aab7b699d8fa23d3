"""Ableton Live: the Remote Script (every edition) and the Max for Live device (Suite, or Standard with Max for Live)."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.hosts import amxd

SURFACE = "AceStepBridge"

DAEMON = ("home", "starter")
"""What a script is told of the daemon: where it lives and the command that starts it."""

LIVE_HALF = ("acestep_live.js", "selection.js", "clips.js", "recording.js", "settling.js", "pieces.js")
"""Scripts of the device that run in Max's ``v8``; installed as one file under the first name."""


def user_libraries(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> list[Path]:
    """Live's User Library, where this user has one in its usual place."""
    home = Path(environment.get("USERPROFILE" if system == "win32" else "HOME") or Path.home())
    base = home / "Documents" if system == "win32" else home / "Music"
    place = base / "Ableton" / "User Library"
    return [place] if place.is_dir() else []


def remote_script(scripts: Path, data: Mapping[str, Any]) -> dict[str, str]:
    """Path inside ``Remote Scripts`` -> text. Self-contained: Live's Python finds nothing of ours elsewhere."""
    source = scripts / "ableton" / "remote_script" / SURFACE
    files = {f"{SURFACE}/{path.name}": path.read_text("utf-8") for path in sorted(source.glob("*.py"))}
    core = scripts / "core" / "python" / "acestep_core"
    files |= {f"{SURFACE}/acestep_core/{path.name}": path.read_text("utf-8") for path in sorted(core.glob("*.py"))}
    for name in ("actions", "messages"):
        files[f"{SURFACE}/{name}.json"] = (scripts / "core" / f"{name}.json").read_text("utf-8")
    settings = {name: data[name] for name in DAEMON}
    settings |= {"command_port": 9703, "midi": {"channel": 16, "notes": {}}}
    files[f"{SURFACE}/settings.json"] = json.dumps(settings, indent=1, ensure_ascii=False)
    return files


def device(scripts: Path, data: Mapping[str, Any]) -> dict[str, str | bytes]:
    """Path beside the device -> content: the device itself and the scripts it loads from its own folder."""
    folders = (scripts / "core" / "javascript", scripts / "ableton" / "device")
    sources = {path.name: path.read_text("utf-8") for folder in folders for path in sorted(folder.glob("*.js"))}
    tables = {
        name: json.loads((scripts / "core" / f"{name}.json").read_text("utf-8"))[name]
        for name in ("actions", "messages")
    }
    settings = {**{name: data[name] for name in DAEMON}, **tables}
    sources["settings.js"] = (
        f'"use strict";\n\nmodule.exports = {json.dumps(settings, ensure_ascii=False, indent=1)};\n'
    )
    files: dict[str, str | bytes] = {name: text for name, text in sources.items() if name not in LIVE_HALF}
    files[LIVE_HALF[0]] = _one_script(sources, LIVE_HALF[0])
    files["AceStep Bridge.amxd"] = amxd.pack(amxd.patcher(tables["actions"]), "audio")
    return files


_REQUIRE = re.compile(r"""\brequire\("(?:\./)?([\w.]+)"\)""")


def _one_script(sources: Mapping[str, str], main: str) -> str:
    """A script of Max's ``v8`` with everything it needs inside: how that object finds other files is not relied on."""
    needed: dict[str, str] = {}

    def collect(name: str) -> None:
        for found in _REQUIRE.findall(sources[name]):
            if found not in needed:
                needed[found] = ""
                collect(found)
                needed[found] = _REQUIRE.sub(r'imported("\1")', sources[found])

    collect(main)
    parts = ["const bundled = {}, loaded = {};"]
    parts += [f"bundled[{json.dumps(name)}] = function (module) {{\n{text}\n}};" for name, text in needed.items()]
    parts.append(
        "function imported(name) {\n"
        "  if (!loaded[name]) { loaded[name] = { exports: {} }; bundled[name](loaded[name]); }\n"
        "  return loaded[name].exports;\n"
        "}"
    )
    return "\n".join([*parts, _REQUIRE.sub(r'imported("\1")', sources[main])])
