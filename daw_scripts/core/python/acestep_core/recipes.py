"""What a placed result remembers of its making, and how it is made again: plain data, no host."""

import copy
import re

_COPY = re.compile(r"[A-Za-z0-9_]+-([A-Za-z0-9_-]+)-[0-9]+[.%]")


def _unwrap(recipe, operation):
    """What a recipe asks for, and of which operation; a job without a recipe is remembered by its request."""
    inner = recipe["request"] if isinstance(recipe.get("request"), dict) else recipe
    return (inner, "render") if inner.get("stages") else (inner, recipe.get("operation") or operation)


def memory(pending, job):
    """The memory of a finished job: what its host waited for, and the recipe of the result."""
    recipe = (job.get("result") or {}).get("recipe") or job.get("request") or {}
    facts = {"format": "acestep-bridge/take", "version": 1, "pending": pending}
    return {**facts, "operation": job.get("operation"), "request": recipe}


def request(memory):
    """The request behind a remembered result, and its operation."""
    return _unwrap(memory.get("request") or {}, memory.get("operation"))


def reroll(request):
    """A request made again: the same request, new seeds, with the weights that are there now."""
    new = copy.deepcopy(request)
    for pinned in ("weights", "made_on", "precision"):
        new.pop(pinned, None)
    for stage in new.get("stages") or [new]:
        stage["seed"], stage["seeds"] = -1, None
    for named in (new, *(new.get("stages") or [])):
        if isinstance(named.get("source"), dict) and named["source"].get("fingerprint"):
            named["source"]["fingerprint"] = ""
    return new


def again(memory, id):
    """A remembered result made again under another id, by another key press. It stays among the alternatives of the old one."""
    made, operation = request(memory)
    pending = {name: value for name, value in memory["pending"].items() if name != "press"}
    return {"pending": {**pending, "id": id}, "operation": operation, "params": reroll(made)}


def caption(memory):
    """The words that a result was asked for with, or an empty text."""
    made, _ = request(memory)
    return (made.get("conditioning") or made).get("caption") or ""


def alternatives(one, other):
    """Whether two memories are of results among which the user chooses: the same key press (or a re-roll of it), the same place."""
    a, b = one["pending"], other["pending"]
    return a.get("group") is not None and all(a.get(key) == b.get(key) for key in ("group", "first", "last", "pick"))


def owner(file_name):
    """The job whose result a file of the project is a copy of, by its name (which hosts may lengthen); None for other names."""
    found = _COPY.match(file_name)
    return found.group(1) if found else None
