"""What outlives Live, in small files beside a set's new audio: waiting jobs and results, last values, how results were made."""

import json
import os

from .acestep_core import recipes


def _read(path, kind):
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) and data.get("format") == f"acestep-bridge/{kind}" else {}


def _write(path, kind, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump({"format": f"acestep-bridge/{kind}", "version": 1, **data}, file, ensure_ascii=False)
    os.replace(path + ".tmp", path)


class Store:
    """The files of one set. ``folder`` is asked at every access, because a set gets another one when it is saved elsewhere.

    A set that was never saved keeps nothing: the next unsaved set would take it for its own.
    """

    def __init__(self, folder, saved):
        self._folder = folder
        self._saved = saved

    def _path(self, name):
        return os.path.join(self._folder(), name)

    def pending(self):
        """The jobs that the set waits for, oldest first, and those (with ``landings``) whose results wait to be chosen from."""
        return _read(self._path("pending.json"), "pending").get("jobs", []) if self._saved() else []

    def keep_pending(self, jobs):
        """Write these jobs down."""
        if self._saved():
            _write(self._path("pending.json"), "pending", {"jobs": jobs})

    def values(self, operation):
        """The last values of an operation in this set."""
        return (
            _read(self._path("choices.json"), "choices").get("actions", {}).get(operation, {}) if self._saved() else {}
        )

    def keep_values(self, operation, values):
        """Remember the last values of an operation."""
        if self._saved():
            known = _read(self._path("choices.json"), "choices").get("actions", {})
            _write(self._path("choices.json"), "choices", {"actions": {**known, operation: values}})

    def memory(self, file_name):
        """How the result was made whose copy this file is; None for other files."""
        job = recipes.owner(file_name)
        return (_read(self._path(f"{job}.recipe.json"), "take") or None) if job else None

    def remember(self, memory):
        """Keep how a result was made."""
        data = {key: value for key, value in memory.items() if key not in ("format", "version")}
        _write(self._path(f"{memory['pending']['id']}.recipe.json"), "take", data)
