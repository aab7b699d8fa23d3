"""A finished job's files: shown, and copied to where the person wants them."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

from acestep.api.errors import BadRequest, OutputUnwritable
from bridge.cli.contact import Contact
from bridge.cli.show import clock, show_table, tell


def show_result(view: dict[str, Any], saved: list[Path]) -> None:
    """The state in a sentence, then the files (where they were copied, else where they lie), then the notes."""
    result = view.get("result") or {}
    tell(f"{view['operation']} {view['id']}: {view['state']}{_took(result)}")
    for note in result.get("notes", ()):
        tell(f"  note: {note}")
    files = result.get("files", ())
    if files:
        places = [str(path) for path in saved] or [entry.get("path", entry.get("name", "")) for entry in files]
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


def save_files(contact: Contact, view: dict[str, Any], out: str) -> list[Path]:
    """Copy all files of a result to a folder, or its only file to a file name.

    A file named by the person is replaced, in one step; in a folder a name that is taken gets a number.

    Raises `BadRequest` when several files are to get one name, `OutputUnwritable` when the place cannot be written.
    """
    files = (view.get("result") or {}).get("files", ())
    target = Path(out).expanduser()
    single = bool(target.suffix) and not target.is_dir()
    if single and len(files) != 1:
        raise BadRequest(f"there are {len(files)} files; --out {out} names one, name a folder", field="out")
    saved = []
    try:
        (target.parent if single else target).mkdir(parents=True, exist_ok=True)
        for index, entry in enumerate(files):
            place = target if single else unused(target / Path(entry["path"]).name)
            draft = place.with_name(place.name + ".part")
            _fetch(contact, view["id"], index, entry, draft)
            draft.replace(place)
            saved.append(place)
    except OSError as failure:
        raise OutputUnwritable(f"{failure.filename or target}: {failure.strerror}", field="out") from failure
    return saved


def unused(path: Path) -> Path:
    """The path, or the first of ``name-2``, ``name-3`` ... that does not exist yet."""
    for number in itertools.count(2):
        if not path.exists():
            break
        path = path.with_stem(f"{path.stem.removesuffix(f'-{number - 1}')}-{number}")
    return path


def _fetch(contact: Contact, job: str, index: int, entry: dict[str, Any], draft: Path) -> None:
    if contact.remote:
        contact.client.download(job, draft, index)
    else:
        shutil.copyfile(entry["path"], draft)
