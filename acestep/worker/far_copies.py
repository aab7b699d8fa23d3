"""The copies that a node of a cluster has of the daemon's files: as far as jobs have read them, as long as there is room."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from acestep.audio.write import storage_errors
from acestep.worker.far_files import FarFile

ROOM = 2 << 30
"""Bytes of copies that are kept for later jobs."""

Ask = Callable[[str, int, int], None]
"""Have bytes [start, end) of a path of the daemon's machine written by `FarCopies.write`. Raises `AceError`."""


class _Copy:
    def __init__(self, file: FarFile, path: Path) -> None:
        self.file = file
        self.path = path
        self.spans: list[tuple[int, int]] = []
        """What is here, in order and apart from each other."""

    @property
    def bytes(self) -> int:
        return sum(end - start for start, end in self.spans)

    def lacks(self, start: int, end: int) -> list[tuple[int, int]]:
        missing = []
        for first, last in self.spans:
            if first > start:
                missing.append((start, min(first, end)))
            start = max(start, last)
            if start >= end:
                break
        if start < end:
            missing.append((start, end))
        return [span for span in missing if span[0] < span[1]]

    def add(self, start: int, end: int) -> None:
        merged: list[tuple[int, int]] = []
        for first, last in sorted([*self.spans, (start, end)]):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        self.spans = merged


class FarCopies:
    """A `acestep.audio.far.FarFiles`: copies in ``folder``, filled by ``ask``."""

    def __init__(self, folder: Path, ask: Ask) -> None:
        self._folder = folder
        self._ask = ask
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._by_place: dict[Path, _Copy] = {}

    @property
    def library(self) -> Path:
        """Where stored latents of the daemon's library lie."""
        return self._folder / "library"

    @property
    def uploads(self) -> Path:
        """Where its uploads lie."""
        return self._folder / "uploads"

    def take(self, files: Sequence[FarFile]) -> None:
        """Make the copies of a job's files, and fetch those that it needs whole. Raises `AceError`."""
        self._make_room({file.path for file in files})
        for file in files:
            known = self._copies.get(file.path)
            if known is not None and (known.file.size, known.file.changed) == (file.size, file.changed):
                self._copies.move_to_end(file.path)
            else:
                self._begin(file)
        for file in files:
            if file.whole:
                self.fetch(self._copies[file.path].path, 0, file.size)

    def here(self, path: Path) -> Path:
        """Where the copy of a file lies; the path itself for a file that no job was given."""
        copy = self._copies.get(str(path))
        return path if copy is None else copy.path

    def fetch(self, copy: Path, start: int, end: int | None) -> None:
        """Fill what is missing of a copy. Raises `AceError`."""
        found = self._by_place.get(copy)
        if found is None:
            return
        for first, last in found.lacks(start, found.file.size if end is None else min(end, found.file.size)):
            self._ask(found.file.path, first, last)
            found.add(first, last)
            self._stamp(found)

    def write(self, path: str, start: int, data: bytes | memoryview) -> None:
        """Bytes that were asked for have come. Raises `DiskFull`, `OutputUnwritable`."""
        place = self._copies[path].path
        with storage_errors(place), place.open("r+b") as file:
            file.seek(start)
            file.write(data)

    def _begin(self, file: FarFile) -> None:
        self._drop(file.path)
        copy = _Copy(file, self._folder / file.place)
        with storage_errors(copy.path):
            copy.path.parent.mkdir(parents=True, exist_ok=True)
            with copy.path.open("wb") as sparse:
                sparse.truncate(file.size)
                for start, data in file.pieces:
                    sparse.seek(start)
                    sparse.write(data)
                    copy.add(start, start + len(data))
        self._stamp(copy)
        self._copies[file.path] = self._by_place[copy.path] = copy

    def _stamp(self, copy: _Copy) -> None:
        """A copy is as old as its original, by which jobs recognise a file that has changed."""
        os.utime(copy.path, ns=(copy.file.changed, copy.file.changed))

    def _make_room(self, needed: set[str]) -> None:
        for path in list(self._copies):
            if sum(copy.bytes for copy in self._copies.values()) <= ROOM:
                return
            if path not in needed:
                self._drop(path)

    def _drop(self, path: str) -> None:
        if (copy := self._copies.pop(path, None)) is not None:
            del self._by_place[copy.path]
            copy.path.unlink(missing_ok=True)
