"""Labels that lie beside a song: text files, a JSON, and tables for a whole folder.

For ``song.wav``: lyrics in ``song.lyrics.txt`` or ``song.txt``, a caption in ``song.caption.txt``, any label in ``song.json``; a
CSV with a column File stands above all of these for tempo, key and caption.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acestep.dataset.labels import LABELS, is_absent, lenient_label

MAX_TEXT = 2**20
"""Bytes of a sidecar."""

TABLE_COLUMNS = {
    "bpm": "bpm",
    "tempo": "bpm",
    "key": "keyscale",
    "keyscale": "keyscale",
    "caption": "caption",
    "genre": "genre",
    "lyrics": "lyrics",
    "language": "language",
    "timesignature": "timesignature",
    "time signature": "timesignature",
}
"""Column of a CSV in lower case -> label. The original reads bpm, key and caption."""

Labels = dict[str, Any]


def read_text(path: Path) -> str | None:
    """A text file in UTF-8, UTF-16 with its mark, or else Windows-1252; None for one that is too large or cannot be read."""
    try:
        if path.stat().st_size > MAX_TEXT:
            return None
        data = path.read_bytes()
    except OSError:
        return None
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_sidecars(song: Path, notes: list[str]) -> Labels:
    """The labels that lie beside one song."""
    found: Labels = {}
    for ending, label in ((".caption.txt", "caption"), (".txt", "lyrics"), (".lyrics.txt", "lyrics")):
        path = song.with_name(song.stem + ending)
        if path.is_file() and (label != "lyrics" or not song.stem.endswith((".lyrics", ".caption"))):
            _take(found, label, _text(path, notes), path.name, notes)
    path = song.with_name(f"{song.stem}.json")
    if path.is_file():
        for label, value in _object(path, notes).items():
            if label in LABELS:
                _take(found, label, value, path.name, notes)
    return found


def _text(path: Path, notes: list[str]) -> str | None:
    text = read_text(path)
    if text is None:
        notes.append(f"{path.name} is not readable text of at most 1 MB; it was left out")
    return text


def _object(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        data = json.loads(read_text(path) or "")
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        notes.append(f"{path.name} is not a JSON object; it was left out")
        return {}
    return data


def _take(found: Labels, label: str, value: Any, place: str, notes: list[str]) -> None:
    """Keep a label unless it says that it is not known, or cannot be read."""
    if is_absent(value):
        return
    read, note = lenient_label(label, value, place)
    if note:
        notes.append(note)
    else:
        found[label] = read


class Tables:
    """The CSV files of a folder tree: rows by the path of their song."""

    def __init__(self) -> None:
        self._rows: dict[Path, Labels] = {}

    def read(self, path: Path, songs: Mapping[str, list[Path]], notes: list[str]) -> None:
        """Take a CSV in. ``songs``: file name in lower case -> the songs of that name below the CSV's folder."""
        rows = _rows(path)
        if rows is None:
            notes.append(f"{path.name} has no column File; it was left out")
            return
        for row in rows:
            name = row.pop("file", "").strip()
            meant = _meant(name, path.parent, songs)
            if name and not meant:
                notes.append(f"{path.name} names {name}, which is not there")
            elif len(meant) > 1:
                notes.append(
                    f"{path.name} names {name}, and there are {len(meant)} files of that name; write its folder, too"
                )
            elif meant:
                labels = self._rows.setdefault(meant[0], {})
                for column, label in TABLE_COLUMNS.items():
                    _take(labels, label, row.get(column), f"{path.name}, {name}", notes)

    def labels(self, song: Path) -> Labels:
        """What the tables say of a song."""
        return self._rows.get(song, {})


def _rows(path: Path) -> list[dict[str, str]] | None:
    """The rows of a table with a column File; keys in lower case. None for any other table."""
    text = (read_text(path) or "").lstrip("\r\n")
    header = text.splitlines()[0] if text else ""
    separator = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if "file" not in names:
            return None
        return [dict(zip(names, row, strict=False)) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error:
        return None


def _meant(name: str, folder: Path, songs: Mapping[str, list[Path]]) -> list[Path]:
    """The songs that a table's row may mean: by its path from the table, else by its name anywhere below."""
    plain = name.replace("\\", "/")
    named = songs.get(Path(plain).name.lower(), [])
    exact = [song for song in named if str(song).lower() == str(folder / plain).lower()]
    return exact or [song for song in named if song.as_posix().lower().endswith("/" + plain.lower())]
