"""Which results go when the library has a bound. Without one, which is the default, none is ever removed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from bridge.core.library import RECORD, Library
from bridge.core.records import folder_name

FRESH = 3600.0
"""Seconds that a result stays whatever the bounds say: its client may still be fetching it."""


class LibraryBounds(msgspec.Struct, frozen=True, kw_only=True):
    """How large (bytes) and how old (seconds) the library may grow; 0 is not a bound."""

    size: int = 0
    age: float = 0.0


def trim(library: Library, bounds: LibraryBounds, requests: Iterable[dict[str, Any]] = ()) -> list[str]:
    """Remove the oldest results beyond the bounds; returns their folders' names.

    What the ``requests`` of waiting and running jobs read stays, and what is younger than `FRESH`. Blocks on the disk.
    """
    if not bounds.size and not bounds.age:
        return []
    needed = {name for request in requests for name in inputs(request, library.folder)}
    now, total, gone = time.time(), 0, []
    for changed, name in sorted(_results(library.folder), reverse=True):
        total += _size(library.folder / name) if bounds.size else 0
        too_old = bool(bounds.age) and now - changed > bounds.age
        too_much = bool(bounds.size) and total > bounds.size
        spared = now - changed < FRESH or name.partition("~")[0] in needed
        if (too_old or too_much) and not spared:
            library.remove(name)
            gone.append(name)
    return gone


def inputs(value: Any, folder: Path) -> Iterator[str]:
    """The results that a request reads, by the first part of their folder's name: as a path or as a stored latent."""
    if isinstance(value, dict):
        for latent in (value.get("latent"), value.get("resume")):
            if isinstance(latent, str) and latent:
                yield folder_name(latent.partition("/")[0]).partition("~")[0]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for inner in value:
            yield from inputs(inner, folder)
    elif isinstance(value, str) and value.startswith(f"{folder}{os.sep}"):
        yield Path(value).relative_to(folder).parts[0].partition("~")[0]


def _results(folder: Path) -> Iterator[tuple[float, str]]:
    """When each result was made, and its folder's name. Names, not paths: a library may hold a hundred thousand."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False) and os.path.exists(os.path.join(entry.path, RECORD)):
                    yield entry.stat(follow_symlinks=False).st_mtime, entry.name
    except OSError:
        return  # no library yet, or somebody else tidies it at the same time; the next look will tell


def _size(folder: Path) -> int:
    """Bytes of a result, whose files lie side by side."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return 0
