"""REAPER: one small script an action, the modules beside them, and the index with which ReaPack installs and updates them."""

from __future__ import annotations

import json
import os
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.hosts.bundle import modules, offered

FOLDER = "acestep-bridge"
PREFIX = "acestep-bridge_"
SET_UP = "Set up"

STARTUP_MARK = "-- acestep-bridge: place results"
"""Ends the line with which the action *Set up* lets results arrive as soon as REAPER starts."""


def resource_folders(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> list[Path]:
    """REAPER's resource folder, where this user has one."""
    home = Path(environment.get("HOME") or environment.get("USERPROFILE") or Path.home())
    if system == "darwin":
        places = [home / "Library" / "Application Support" / "REAPER"]
    elif system == "win32":
        places = [Path(environment.get("APPDATA", home / "AppData" / "Roaming")) / "REAPER"]
    else:
        places = [Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "REAPER"]
    return [place for place in places if place.is_dir()]


def _script(title: str, word: str, version: str) -> str:
    """The script of one action: all it does is to start its name in the modules beside it."""
    return (
        f"-- @description acestep-bridge: {title}\n-- @version {version}\n-- @author acestep-bridge\n"
        "-- @about Sends the selection to the acestep-bridge daemon and places the result. Needs REAPER 6.37 or later.\n"
        "-- @noindex\n\n"
        "local _, path = reaper.get_action_context()\n"
        'local folder = path:match("^(.+)[/\\\\]") .. "/lib"\n'
        f'dofile(folder .. "/start.lua")(folder, "{word}")\n'
    )


def build(scripts: Path, data: Mapping[str, Any], version: str) -> dict[str, str]:
    """Path inside the package -> text of every file."""
    files = {
        f"{PREFIX}{action['title']}.lua": _script(action["title"], action["name"], version)
        for action in offered(data["actions"], "reaper")
    }
    files[f"{PREFIX}{SET_UP}.lua"] = _script(SET_UP, "set up", version)
    files |= {f"lib/{name}.lua": source for name, source in modules(scripts, "reaper").items()}
    for name in ("actions", "messages"):
        files[f"lib/{name}.json"] = (scripts / "core" / f"{name}.json").read_text("utf-8")
    settings = {name: data[name] for name in ("home", "program", "starter")}
    files["lib/settings.json"] = json.dumps(settings, ensure_ascii=False)
    return files


def reapack_index(files: Mapping[str, str], version: str, time: str, base_url: str) -> str:
    """The ``index.xml`` of a ReaPack repository with one package; ``base_url`` is where the files lie, ``time`` ISO 8601.

    Scripts of actions are marked ``main`` (they enter the action list), modules are not. The settings of one machine stay out:
    without them the scripts find the daemon by the platform's own rule.
    """
    index = ElementTree.Element("index", version="1", name="acestep-bridge")
    category = ElementTree.SubElement(index, "category", name="acestep-bridge")
    package = ElementTree.SubElement(category, "reapack", name="acestep-bridge.lua", type="script")
    package.set("desc", "acestep-bridge: repaint, extract, generate in REAPER")
    release = ElementTree.SubElement(package, "version", name=version, author="acestep-bridge", time=time)
    for name in sorted(files):
        if name == "lib/settings.json":
            continue
        source = ElementTree.SubElement(release, "source", file=name)
        if not name.startswith("lib/"):
            source.set("main", "main")
        source.text = f"{base_url.rstrip('/')}/{quote(name)}"
    ElementTree.indent(index)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(index, encoding="unicode") + "\n"


def check_index(text: str) -> list[str]:
    """What ReaPack would refuse in an index, as sentences; empty when it is sound."""
    root = ElementTree.fromstring(text)
    wrong = []
    if root.tag != "index" or root.get("version") != "1":
        wrong.append("the root is not an index of version 1")
    for package in root.iter("reapack"):
        if package.get("type") != "script" or not package.get("name"):
            wrong.append("a package needs a name and the type script")
        for release in package.iter("version"):
            if not release.get("name"):
                wrong.append("a version needs a name")
            sources = list(release.iter("source"))
            if not any(source.get("main") for source in sources):
                wrong.append("no source is marked main: no action would appear")
            names = [source.get("file") for source in sources]
            if len(set(names)) != len(names):
                wrong.append("two sources share a file name")
            wrong += [
                f"{source.get('file')} has no address"
                for source in sources
                if not (source.text or "").startswith("https://")
            ]
    return wrong
