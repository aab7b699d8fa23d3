"""From a finished job to what the host puts on the timeline: plain data."""

import re

from .placement import landing
from .requests import sentence

SHOWN = frozenset({"patch", "span", "whole", "part", "stem", "residual"})


def _word(pending, file):
    return file.get("track") or pending.get("pick") or pending["operation"]


def _shown(pending, file):
    """What the user reads: a preset has a title of its own."""
    return file.get("track") or pending.get("pick") or pending.get("called") or pending["operation"]


def copy_name(pending, file, index):
    """The file name under which a result is copied into the project: unique by job id and index."""
    found = re.search(r"\.([A-Za-z0-9]+)$", file["path"])
    extension = found.group(1).lower() if found else "wav"
    return f"{re.sub('[^A-Za-z0-9]+', '_', _word(pending, file))}-{pending['id']}-{index}.{extension}"


def placements(pending, job):
    """What to place of a job, in order of variant. Positions are project samples."""
    found = []
    for index, file in enumerate((job.get("result") or {}).get("files") or [], 1):
        if file["role"] not in SHOWN or file.get("preview"):
            continue
        place = landing(file, pending["origin"], pending["rate"])
        variant = file.get("variant") or 0
        seed = "" if file.get("seed") is None else f" (seed {file['seed']})"
        place.update(
            path=file["path"],
            copy=copy_name(pending, file, index),
            role=file["role"],
            variant=variant,
            track_name=_shown(pending, file),
            name=f"{_shown(pending, file)} {variant + 1}{seed}",
            take=pending["place"] == "take",
        )
        found.append(place)
    return found


def notes(messages, pending, job):
    """What the user should know of a finished job, as one text: what was changed for the model, then the daemon's notes."""
    own = [sentence(messages, facts) for facts in pending.get("notes", [])]
    return " ".join([*own, *((job.get("result") or {}).get("notes") or [])])
