"""Sound files of another machine: a copy of each lies here, with holes where nothing has been read so far.

A node of a cluster says where the copies are and how more of them is fetched (`use`). Everywhere else a path is what it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class FarFiles(Protocol):
    """The files of one other machine."""

    def here(self, path: Path) -> Path:
        """Where the copy of that machine's file lies; the path itself where there is none."""

    def fetch(self, copy: Path, start: int, end: int | None) -> None:
        """Fill bytes [start, end) of a copy, where they are still missing (None: to its end). Raises `AceError`."""


_files: FarFiles | None = None


def use(files: FarFiles | None) -> None:
    """From now on files come from another machine; None: they lie here."""
    global _files
    _files = files


def here(path: Path) -> Path:
    """The file to open for a path that a request names."""
    return path if _files is None else _files.here(path)


def fetch(path: Path, start: int = 0, end: int | None = None) -> None:
    """See that bytes [start, end) of a file are here before they are read. Raises `AceError`."""
    if _files is not None:
        _files.fetch(path, start, end)
