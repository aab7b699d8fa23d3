"""A finished job's files: shown, and copied to where the person wants them."""

from __future__ import annotations

import argparse
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from acestep.api.errors import BadRequest, OutputUnwritable
from bridge.cli.contact import Contact
from bridge.cli.show import clock, show_table, tell
from bridge.cli.targets import SaveTarget, check_target, inputs_of, instead, place_file, read_target


def show_result(view: dict[str, Any], saved: list[Path]) -> None:
    """The state in a sentence, then the files (where they were copied, else where they lie), then the notes."""
    result = view.get("result") or {}
    tell(f"{view['operation']} {view['id']}: {view['state']}{_took(result)}")
    for note in result.get("notes", ()):
        tell(f"  note: {note}")
    files = result.get("files", ())
    if files:
        places = [entry.get("path", entry.get("name", "")) for entry in files]
        if len(saved) == len(files):
            places = [str(path) for path in saved]
        elif saved:
            tell(f"  saved: {saved[0]}")
        rows = [_row(entry, place) for entry, place in zip(files, places, strict=True)]
        show_table(rows, ("role", "start", "length", "rate", "seed", "file"))
    elif result.get("data"):
        from bridge.cli.show import show_json

        show_json(result["data"])


def _took(result: dict[str, Any]) -> str:
    return f" in {clock(result['seconds'])}" if result.get("seconds") else ""


def _row(entry: dict[str, Any], place: str) -> tuple[Any, ...]:
    role = " ".join(filter(None, (entry.get("role", ""), entry.get("track", ""))))
    return role, entry.get("start"), entry.get("length"), entry.get("rate"), entry.get("seed"), place


def save_files(contact: Contact, view: dict[str, Any], options: argparse.Namespace) -> list[Path]:
    """Copy the files of a result to where ``--out`` says, if it says so: all to a folder, the fitting one to a file name.

    Raises `BadRequest` when several files are to get one name, or none fits it, or the name is taken; `OutputUnwritable` when
    the place cannot be written.
    """
    if not options.out:
        return []
    files = list(enumerate((view.get("result") or {}).get("files", ())))
    target = read_target(options.out, force=options.force)
    if target.single:
        target = _agreed(target, [entry for _, entry in files])
        files = _fitting(files, target)
    check_target(target, inputs_of(view.get("request")))
    saved = []
    try:
        for index, entry in files:
            name = Path(entry.get("path") or entry["name"]).name
            saved.append(place_file(target, name, partial(_fetch, contact, view["id"], index, entry)))
    except OSError as failure:
        raise OutputUnwritable(f"{failure.filename or target.path}: {failure.strerror}", field="out") from failure
    return saved


def _agreed(target: SaveTarget, files: list[dict[str, Any]]) -> SaveTarget:
    """The target, under another ending where the file could not be written as the kind that was asked for."""
    if any(target.fits(str(entry["name"])) for entry in files):
        return target
    other = instead(target, files)
    if other is None:
        return target
    tell(f"{target.path.name} would have clipped the audio, so it was saved as {other.path.name}, without clipping")
    return other


def _fitting(files: list[tuple[int, dict[str, Any]]], target: SaveTarget) -> list[tuple[int, dict[str, Any]]]:
    found = [(index, entry) for index, entry in files if target.fits(str(entry["name"]))]
    if len(found) == 1:
        return found
    names = ", ".join(str(entry["name"]) for _, entry in files)
    if not found:
        raise BadRequest(f"--out {target.path.name}: no file is of that kind; there are {names or 'none'}", field="out")
    raise BadRequest(f"there are {len(found)} files; --out {target.path.name} names one, name a folder", field="out")


def _fetch(contact: Contact, job: str, index: int, entry: dict[str, Any], draft: Path) -> None:
    if contact.remote:
        contact.client.download(job, draft, index)
    else:
        shutil.copyfile(entry["path"], draft)
