"""`acestep-bridge install-scripts HOST --remove`: take away what installing wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from acestep.api.errors import OutputUnwritable
from bridge.hosts import ableton, ardour, ardour_keys, reaper
from bridge.hosts.install import Installed, ardour_folders, ardour_version, built_files, write_files

TakenBack = tuple[dict[Path, str | bytes], list[Path]]
"""Files that stay, with what remains in them, and files to delete."""

SHARED = ("ui_scripts", "*.keys")
"""Files that a host and its user write too: they are never simply deleted."""

OWN_FOLDERS = ("acestep-bridge", "lib", "acestep_core", ableton.SURFACE)


def remove(host: str, target: Path | None = None, dry_run: bool = False) -> Installed:
    """Take away what installing wrote; what is the user's own in files that both write stays. Raises what `install` raises."""
    built, _ = built_files(host, target)
    shared, gone = TAKE_BACK[host](target) if host in TAKE_BACK else ({}, [])
    ours = {path for path in built if path.is_file() and not any(path.match(name) for name in SHARED)}
    gone = sorted({*gone, *ours})
    if not dry_run:
        write_files(shared)
        for path in gone:
            _delete(path)
    return Installed(host, tuple(shared), ("If the host is open, close it and start it again.",), tuple(gone))


def _delete(path: Path) -> None:
    """Delete a file, and its folder where nothing else is in it."""
    try:
        path.unlink()
        if path.parent.name in OWN_FOLDERS and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as failure:
        raise OutputUnwritable(f"{path} cannot be removed: {failure.strerror}", field="target") from failure


def _take_back_ardour(target: Path | None) -> TakenBack:
    shared: dict[Path, str | bytes] = {}
    gone: list[Path] = []
    for folder in ardour_folders(target):
        registry = folder / "ui_scripts"
        if not registry.is_file():
            continue
        known = registry.read_bytes()
        shared[registry] = ardour.remove(known)
        ours = [slot for name, slot in ardour.slots(known).items() if name.startswith(ardour.PREFIX)]
        files, whole = ardour_keys.take_back(folder, ours, ardour_keys.standard_set(ardour_version(folder)))
        shared |= files
        gone += [*whole, *(path for path in (folder / ardour_keys.RECORD,) if path.is_file())]
    return shared, gone


def _take_back_reaper(target: Path | None) -> TakenBack:
    """The line in REAPER's start script; other lines stay."""
    shared: dict[Path, str | bytes] = {}
    for folder in [target] if target is not None else reaper.resource_folders():
        path = folder / "Scripts" / "__startup.lua"
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.is_file() else []
        kept = [line for line in lines if reaper.STARTUP_MARK not in line]
        if kept != lines:
            shared[path] = "".join(kept)
    return shared, []


TAKE_BACK: dict[str, Callable[[Path | None], TakenBack]] = {"ardour": _take_back_ardour, "reaper": _take_back_reaper}
"""Host -> what of the files that it writes too remains without ours."""
