"""Files made of sounds and kept for the next time: those used longest ago go first."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


class MadeFiles:
    """A folder of files with one ending, of so many bytes at most. Blocking."""

    def __init__(self, folder: Path, ending: str, most_bytes: int) -> None:
        self.folder = folder
        self._ending = ending
        self._most_bytes = most_bytes

    def place(self, sound: Path, *facts: object) -> Path:
        """Where the file is, or will be, that follows from a sound and some facts: another one once the sound has changed."""
        file = sound.stat()
        key = "\0".join(map(str, (sound, file.st_size, file.st_mtime_ns, *facts)))
        return self.folder / f"{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}{self._ending}"

    def has(self, place: Path) -> bool:
        """Whether it is there; from now on it was used last."""
        with contextlib.suppress(OSError):
            os.utime(place)
        return place.is_file()

    def make_room(self) -> None:
        """Remove what is too much."""
        found = []
        for path in self.folder.glob(f"*{self._ending}"):
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        total = 0
        for _, size, path in sorted(found, reverse=True):
            total += size
            if total > self._most_bytes:
                with contextlib.suppress(OSError):
                    path.unlink()
