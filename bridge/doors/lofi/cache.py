"""Finished parts by their hash, in lofi.nvim's own cache folder: whole or not there, oldest gone first."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from acestep.api.errors import OutputUnwritable
from bridge.launch import process_alive

MOST_BYTES = 500 * 2**20
"""Size of all parts together, as lofi.nvim's specification has it."""

UNFINISHED = ".unfinished"


def default_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where lofi.nvim looks: ``LOFI_CACHE_PATH``, else its folder among the user's caches."""
    if given := environment.get("LOFI_CACHE_PATH"):
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(platformdirs.user_data_dir("lofi.nvim", appauthor=False)) / "cache"
    return Path(platformdirs.user_cache_dir("lofi.nvim"))


class TrackCache:
    """``ID.wav`` with ``ID.json`` beside it. Several editors may use one folder. Blocks."""

    def __init__(self, folder: Path, most: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most = most

    def open(self) -> None:
        """Make the folder, and remove what processes that were killed have left. Raises `OutputUnwritable`."""
        try:
            (self._folder / UNFINISHED).mkdir(parents=True, exist_ok=True)
            for path in (self._folder / UNFINISHED).iterdir():
                owner = path.suffix[1:]
                if not owner.isdecimal() or not process_alive(int(owner)):
                    path.unlink(missing_ok=True)
        except OSError as failure:
            raise OutputUnwritable(f"the cache {self._folder} cannot be written: {failure.strerror}") from None

    def find(self, track: str) -> dict[str, Any] | None:
        """The facts of a part, its path among them; None when it is not here whole."""
        path = self._folder / f"{track}.wav"
        try:
            facts = json.loads(path.with_suffix(".json").read_text("utf-8"))
            if not isinstance(facts, dict) or path.stat().st_size != facts.get("bytes"):
                return None
            os.utime(path)
        except (OSError, ValueError):
            return None
        return {**facts, "path": str(path)}

    def draft(self, track: str) -> Path:
        """Where this process writes a part before it is whole."""
        return self._folder / UNFINISHED / f"{track}.{os.getpid()}"

    def put(self, track: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Take the draft of a part in, and make room. Raises `OutputUnwritable`."""
        draft, path = self.draft(track), self._folder / f"{track}.wav"
        try:
            facts = {"format": "acestep-bridge/lofi-track", "version": 1, **facts, "bytes": draft.stat().st_size}
            notes = draft.with_name(f"{track}-facts.{os.getpid()}")
            notes.write_text(json.dumps(facts), "utf-8")
            os.replace(draft, path)  # the sound first: without its facts it is no part yet
            os.replace(notes, path.with_suffix(".json"))
        except OSError as failure:
            raise OutputUnwritable(f"{path} cannot be written: {failure.strerror}") from None
        self._make_room(keep=path)
        return {**facts, "path": str(path)}

    def drop_draft(self, track: str) -> None:
        """Remove what was begun and will not be finished."""
        self.draft(track).unlink(missing_ok=True)

    def _make_room(self, keep: Path) -> None:
        found = []
        for path in self._folder.glob("*.wav"):
            with contextlib.suppress(OSError):
                facts = path.stat()
                found.append((facts.st_mtime, facts.st_size, path))
        size = sum(one[1] for one in found)
        for _, bytes_, path in sorted(found):
            if size <= self._most:
                return
            if path != keep:
                with contextlib.suppress(OSError):
                    path.with_suffix(".json").unlink(missing_ok=True)
                    path.unlink()
                    size -= bytes_
