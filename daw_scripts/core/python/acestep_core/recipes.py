"""What a placed result remembers of its making, and how it is made again: plain data, no host."""

import copy
import re

_KEPT = ("stages", "conditioning", "source", "output", "format", "version")

_COPY = re.compile(r"[A-Za-z0-9_]+-([A-Za-z0-9_-]+)-[0-9]+[.%]")


def memory(pending, job):
    """The memory of a finished job: what its host waited for, and the request with every choice filled in."""
    request = (job.get("result") or {}).get("recipe") or job.get("request") or {}
    return {"format": "acestep-bridge/take", "version": 1, "pending": pending, "request": request}


def reroll(recipe):
    """The recipe of a result as a new request: the same wish, new seeds."""
    kept = copy.deepcopy({name: recipe[name] for name in _KEPT if name in recipe})
    for stage in kept.get("stages", []):
        stage["seed"], stage["seeds"] = -1, None
    if kept.get("source"):
        kept["source"]["fingerprint"] = ""
    return kept


def again(memory, id):
    """A remembered result made again under another id. It stays among the alternatives of the old one."""
    return {"pending": {**memory["pending"], "id": id}, "operation": "render", "params": reroll(memory["request"])}


def alternatives(one, other):
    """Whether two memories are of results among which the user chooses: the same key press (or a re-roll of it), the same place."""
    a, b = one["pending"], other["pending"]
    return a.get("group") is not None and all(a.get(key) == b.get(key) for key in ("group", "first", "last", "pick"))


def owner(file_name):
    """The job whose result a file of the project is a copy of, by its name (which hosts may lengthen); None for other names."""
    found = _COPY.match(file_name)
    return found.group(1) if found else None
