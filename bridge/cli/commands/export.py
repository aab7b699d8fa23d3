"""`export`: a finished job as a project that other programs open."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, OutputUnwritable
from bridge.cli.contact import Contact, open_contact
from bridge.cli.exits import Exit
from bridge.cli.show import show_json, tell
from bridge.cli.targets import SaveTarget, check_target, inputs_of, place_file
from bridge.core.arrangement import Arrangement, arrange, song_path
from bridge.core.dawproject import SUFFIX, write_dawproject
from bridge.core.interface import JobView


def export(parser: argparse.ArgumentParser) -> None:
    """Which job, and where the project goes."""
    parser.description = (
        "Write a finished job as a DAWproject: mix, stems and takes on tracks, tempo map, metres and regions, "
        "with the audio inside. It opens in Bitwig Studio 5, Studio One 6.5, Cubase 14 and later."
    )
    parser.add_argument("job", metavar="JOB")
    parser.add_argument(
        "--out", metavar="PATH", default="", help=f"file or folder [default JOB{SUFFIX} in this folder]"
    )
    parser.add_argument("--force", action="store_true", help="replace a file that --out names")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    target = _target(options.out or f"{options.job}{SUFFIX}", options.force)
    contact = open_contact(options)
    try:
        view = contact.call("job.result", id=options.job)
        check_target(target, inputs_of(view["request"]))
        with tempfile.TemporaryDirectory(prefix="acestep-bridge-") as folder:
            path, arrangement = _write(contact, view, target, Path(folder))
    finally:
        contact.close()
    tracks = [track.name for track in arrangement.tracks]
    if options.json:
        show_json({"path": str(path), "tracks": tracks, "notes": list(arrangement.notes)})
        return Exit.OK
    print(path)
    tell(f"tracks: {', '.join(tracks)}")
    for note in arrangement.notes:
        tell(f"note: {note}")
    return Exit.OK


def _target(out: str, force: bool) -> SaveTarget:
    """Where the project goes. Raises `BadRequest` for the name of another kind of file."""
    path = Path(out).expanduser()
    if path.suffix.lower() == SUFFIX and not path.is_dir():
        return SaveTarget(path, True, force)
    if path.suffix and not path.is_dir() and not out.endswith("/"):
        raise BadRequest(f"--out {out}: a project's name ends in {SUFFIX}", field="out")
    return SaveTarget(path, False)


def _write(contact: Contact, view: dict[str, Any], target: SaveTarget, folder: Path) -> tuple[Path, Arrangement]:
    """Write the project; from another machine with the sounds fetched into ``folder`` first."""
    if contact.remote:
        for index, entry in enumerate((view["result"] or {}).get("files", [])):
            entry["path"] = str(folder / f"{index}" / Path(entry["name"]).name)
            Path(entry["path"]).parent.mkdir()
            contact.client.download(view["id"], Path(entry["path"]), index)
    song = None if contact.remote else song_path(view["request"])
    arrangement = arrange(msgspec.convert(view, JobView), song)
    if contact.remote and view["request"].get("source"):
        note = "the song is on the other machine, so the project contains only the results"
        arrangement = msgspec.structs.replace(arrangement, notes=(*arrangement.notes, note))
    draft = write_dawproject(arrangement, folder / f"draft{SUFFIX}")
    try:
        return place_file(target, f"{view['id']}{SUFFIX}", partial(shutil.copyfile, draft)), arrangement
    except OSError as failure:
        raise OutputUnwritable(f"{failure.filename or target.path}: {failure.strerror}", field="out") from failure
