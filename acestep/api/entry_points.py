"""Which plug-ins are installed: the entry points of a group, from the files that installers write.

`importlib.metadata` tells the same, but a fifth of a command's start would go into importing it: it brings a parser for mail.
So the usual layout, folders of `sys.path` with ``NAME-VERSION.dist-info`` in them, is read directly. Where packages are kept
in any other way (zip files, eggs, a finder of its own), the library is asked.
"""

from __future__ import annotations

import importlib
import operator
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any, NamedTuple

FACTS = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}
"""Folders that an installer leaves, by their suffix, and the file in them that names the distribution."""


class EntryPoint(NamedTuple):
    """What a distribution offers under a name."""

    name: str
    value: str
    """``module`` or ``module:attribute``, as it was written."""
    distribution: str
    version: str

    def load(self) -> Any:
        """The object that it names; raises whatever its module raises."""
        module, _, attribute = self.value.partition("[")[0].replace(" ", "").partition(":")
        found = importlib.import_module(module)
        return operator.attrgetter(attribute)(found) if attribute else found


def entry_points(group: str) -> list[EntryPoint]:
    """The entry points of a group. Of a distribution that is there twice, those of the first on the path."""
    if not all(map(_is_usual, sys.path)) or _other_finders():
        return _told_by_library(group)
    found: list[EntryPoint] = []
    seen = set()
    for place in sys.path:
        for folder in _distributions(place):
            name = _normal(os.path.basename(folder).rpartition(".")[0].partition("-")[0])
            if name not in seen:
                seen.add(name)
                found += _offered(folder, group)
    return found


def _is_usual(place: str) -> bool:
    return not place.endswith(".egg") and not os.path.isfile(place)


def _other_finders() -> bool:
    return any(hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder)


def _told_by_library(group: str) -> list[EntryPoint]:
    from importlib import metadata

    return [
        EntryPoint(
            point.name, point.value, point.dist.name if point.dist else "", point.dist.version if point.dist else ""
        )
        for point in metadata.entry_points(group=group)
    ]


def _distributions(place: str) -> Iterator[str]:
    """The folders of installed distributions in a folder of the path; none in one that is not there or cannot be read."""
    try:
        names = os.listdir(place or ".")
    except OSError:
        return
    for name in names:
        if name.endswith(tuple(FACTS)):
            yield os.path.join(place, name)


def _normal(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _offered(folder: str, group: str) -> list[EntryPoint]:
    """The entry points of one distribution in a group. Most have none at all, and nothing else of theirs is read."""
    wanted, values = False, []
    for line in _lines(os.path.join(folder, "entry_points.txt")):
        if line.startswith("["):
            wanted = line == f"[{group}]"
        elif wanted and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            values.append((name.strip(), value.strip()))
    if not values:
        return []
    facts = {}
    for line in _lines(os.path.join(folder, FACTS[os.path.splitext(folder)[1]])):
        if not line:
            break  # what follows is the description
        key, _, value = line.partition(": ")
        facts.setdefault(key, value)
    return [EntryPoint(name, value, facts.get("Name", ""), facts.get("Version", "")) for name, value in values]


def _lines(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from map(str.strip, file)
    except OSError:
        return
