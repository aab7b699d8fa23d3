"""What outlives Live, in small files beside a set's new audio: waiting jobs and results, last values, how results were made."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from .acestep_core import recipes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kinds import Facts


def _read(path: str, kind: str) -> Facts:
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) and data.get("format") == f"acestep-bridge/{kind}" else {}


def _write(path: str, kind: str, data: Facts) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump({"format": f"acestep-bridge/{kind}", "version": 1, **data}, file, ensure_ascii=False)
    os.replace(path + ".tmp", path)


class Store:
    """The files of one set. ``folder`` and ``name`` (of the set's file) are asked at every access: a set may be saved elsewhere.

    A folder may hold several sets: each has a file of its own for the jobs that it waits for. A set that was never saved has no
    name and keeps nothing: the next unsaved set would take it for its own.
    """

    def __init__(self, folder: Callable[[], str], name: Callable[[], str]) -> None:
        self._folder = folder
        self._name = name
        self._kept: str | None = None

    def _path(self, name: str) -> str:
        return os.path.join(self._folder(), name)

    def pending(self) -> list[Facts]:
        """The jobs that the set waits for, oldest first, and those (with ``landings``) whose results wait to be chosen from."""
        if not self._name():
            return []
        path = self._kept = self._pending_path()
        return _read(path, "pending").get("jobs", [])

    def keep_pending(self, jobs: list[Facts]) -> None:
        """Write these jobs down. They go with a set that was saved under another name."""
        if not self._name():
            return
        path = self._pending_path()
        _write(path, "pending", {"jobs": jobs})
        if self._kept is not None and self._kept != path and os.path.exists(self._kept):
            os.remove(self._kept)
        self._kept = path

    def _pending_path(self) -> str:
        return self._path(os.path.join("pending-surface", f"{self._name()}.json"))

    def values(self, operation: str) -> Facts:
        """The last values of an operation in this set."""
        return (
            _read(self._path("choices.json"), "choices").get("actions", {}).get(operation, {}) if self._name() else {}
        )

    def keep_values(self, operation: str, values: Facts) -> None:
        """Remember the last values of an operation."""
        if self._name():
            known = _read(self._path("choices.json"), "choices").get("actions", {})
            _write(self._path("choices.json"), "choices", {"actions": {**known, operation: values}})

    def memory(self, file_name: str) -> Facts | None:
        """How the result was made whose copy this file is; None for other files."""
        job = recipes.owner(file_name)
        return (_read(self._path(f"{job}.recipe.json"), "take") or None) if job else None

    def remember(self, memory: Facts) -> None:
        """Keep how a result was made."""
        data = {key: value for key, value in memory.items() if key not in ("format", "version")}
        _write(self._path(f"{memory['pending']['id']}.recipe.json"), "take", data)
