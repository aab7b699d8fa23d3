"""`acestep-bridge install-scripts`: build a host's scripts and write them where the host looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep import __version__
from acestep.api.errors import NotFound, OutputUnwritable, UnknownName
from bridge.children import python
from bridge.hosts import ableton, ardour, ardour_keys, reaper
from bridge.hosts.bundle import shared_data
from bridge.package_data import data_folder
from bridge.paths import Paths


class Installed(msgspec.Struct, frozen=True):
    """What was (or, in a dry run, would be) written or taken away, and what the user does next."""

    host: str
    files: tuple[Path, ...]
    next_steps: tuple[str, ...]
    gone: tuple[Path, ...] = ()


def install(host: str, target: Path | None = None, dry_run: bool = False) -> Installed:
    """Install the scripts of a host (one of `HOSTS`), into its own folder or ``target``.

    Raises `UnknownName` for another host, `NotFound` when the host's folder is not there, `OutputUnwritable` when it cannot be
    written.
    """
    files, steps = built_files(host, target)
    if not dry_run:
        write_files(files)
    return Installed(host, tuple(files), steps)


def built_files(host: str, target: Path | None) -> Built:
    """Path -> content of all that a host gets, and what its user does next."""
    if host not in HOSTS:
        raise UnknownName(f"there are no scripts for {host!r}", field="host", limits={"choices": sorted(HOSTS)})
    scripts = data_folder("daw_scripts")
    command = python("-m", "bridge.cli")
    starter, listener = [*command, "status", "--start-daemon"], [*command, "audition"]
    data = shared_data(scripts, Paths.of().home, [*command, "serve"], starter, listener)
    return HOSTS[host](scripts, data, target)


def write_files(files: Mapping[Path, str | bytes]) -> None:
    """Write files and the folders they lie in; `OutputUnwritable` where that cannot be."""
    for path, content in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        except OSError as failure:
            raise OutputUnwritable(f"{path} cannot be written: {failure.strerror}", field="target") from failure


Built = tuple[dict[Path, str | bytes], tuple[str, ...]]


def _ardour(scripts: Path, data: Mapping[str, Any], target: Path | None) -> Built:
    files: dict[Path, str | bytes] = {}
    remarks: list[str] = []
    for folder in ardour_folders(target):
        built = ardour.build(scripts, data, folder)
        files |= {folder / name: text for name, text in built.items()}
        registry = folder / "ui_scripts"
        known = registry.read_bytes() if registry.is_file() else b""
        sources = [text for name, text in built.items() if name.parent.name == "scripts"]
        files[registry] = after = ardour.register(known, sources, ardour_version(folder), ardour.menu(data["actions"]))
        move = ardour_keys.Move(ardour.places(after, data["actions"]), ardour.places(known, data["actions"]))
        keys = ardour_keys.give(folder, move, ardour_keys.standard_set(ardour_version(folder)))
        files |= keys.files
        remarks += _remarks(keys, {action["name"]: action["title"] for action in data["actions"]})
    steps = (
        "If Ardour is open, close it and run this again: when it quits, it may overwrite the list of scripts.",
        f"Start Ardour: the main actions and 'More...' are under Edit > Lua Scripts, and {ardour_keys.shown('more')} lists them "
        "all. Window > Keyboard Shortcuts, tab Editor, group LuaAction shows their keys and changes them.",
        "Ardour 8 and later: add the script 'ACE-Step: place results' once under Edit > Lua Scripts > Script Manager, tab "
        "Action Hooks.",
        *remarks,
    )
    return files, steps


def ardour_folders(target: Path | None) -> list[Path]:
    """The configuration folders to write into; `NotFound` where there is none."""
    folders = [target] if target is not None else ardour.config_folders()
    if not folders:
        raise NotFound(
            "Ardour 7 or later has never been started by this user; start it once, or give its folder", field="target"
        )
    return folders


def ardour_version(folder: Path) -> str:
    """The version that a configuration folder belongs to."""
    return "".join(filter(str.isdigit, folder.name))


def _remarks(keys: ardour_keys.GivenKeys, titles: Mapping[str, str]) -> list[str]:
    """What to say of keys that could not be set."""
    found = [f"{key} was taken, so '{titles[name]}' has no key yet." for name, key in keys.taken]
    found += [f"{path} could not be read, so no keys were set." for path in keys.unreadable]
    if not keys.files and not found:
        found.append("Ardour's own keys were not found, so no keys were set: set them in that window.")
    return found


def _reaper(scripts: Path, data: Mapping[str, Any], target: Path | None) -> Built:
    folders = [target] if target is not None else reaper.resource_folders()
    if not folders:
        raise NotFound("REAPER's folder was not found; start REAPER once, or give its resource folder", field="target")
    built = reaper.build(scripts, data, __version__)
    files: dict[Path, str | bytes] = {
        folder / "Scripts" / reaper.FOLDER / name: text for folder in folders for name, text in built.items()
    }
    first = folders[0] / "Scripts" / reaper.FOLDER / f"{reaper.PREFIX}{reaper.SET_UP}.lua"
    steps = (
        f"In REAPER: Actions > Show action list > New action > Load ReaScript, choose {first}, and run it once.",
        "Search the action list for acestep-bridge and assign keys to the actions.",
    )
    return files, steps


def _ableton(scripts: Path, data: Mapping[str, Any], target: Path | None) -> Built:
    libraries = [target] if target is not None else ableton.user_libraries()
    if not libraries:
        raise NotFound("Live's User Library is not in its usual place; give its folder", field="target")
    files: dict[Path, str | bytes] = {}
    for library in libraries:
        surfaces, effects = (
            library / "Remote Scripts",
            library / "Presets" / "Audio Effects" / "Max Audio Effect" / "acestep-bridge",
        )
        files.update({surfaces / name: text for name, text in ableton.remote_script(scripts, data).items()})
        files.update({effects / name: content for name, content in ableton.device(scripts, data).items()})
    steps = (
        "Restart Live.",
        "Without Max: Settings > Link, Tempo & MIDI > Control Surface: choose AceStepBridge.",
        "With Max for Live: drag 'AceStep Bridge' from the User Library onto an audio track.",
    )
    return files, steps


HOSTS: dict[str, Callable[[Path, Mapping[str, Any], Path | None], Built]] = {
    "ableton": _ableton,
    "ardour": _ardour,
    "reaper": _reaper,
}
"""Host -> how its files are made."""
