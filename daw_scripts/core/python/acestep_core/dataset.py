"""A set's clips as a dataset to train on: one request to the daemon. Hosts find the audio."""

import math
import re

MAX_NAME = 60
"""Characters; the daemon takes some more, so that a number may follow."""

_STRANGE = re.compile(r"[^A-Za-z0-9. +_\u00a1-\U0010ffff-]")
_UNSEEN = re.compile("[\u00ad\u2000-\u200f\u2028-\u202f\u2060\u3000\ufeff\ud800-\udfff]")
"""Spaces and invisible characters beyond ASCII."""


def name(title):
    """A name that the daemon takes, made of a project's."""
    plain = _UNSEEN.sub(" ", _STRANGE.sub(" ", title or ""))
    plain = re.sub(r"\s+", " ", re.sub(r"^[\s._+-]+", "", plain))
    plain = re.sub(r"[\s.]+$", "", plain[:MAX_NAME])
    return plain or "project"


def params(title, pieces):
    """The request for pieces ``{path, start, length (samples of the file), title, song}``, or ``(None, {code})``.

    A piece that is there twice, as in a loop, counts once.
    """
    regions = {}
    for piece in pieces:
        key = piece["path"], piece["start"], piece["length"]
        if piece["length"] > 0 and key not in regions:
            labels = {word: piece.get(word) or "" for word in ("title", "song")}
            regions[key] = {"path": piece["path"], "start": piece["start"], "length": piece["length"], **labels}
    if not regions:
        return None, {"code": "no_pieces"}
    return {"dataset": title, "regions": list(regions.values())}, None


def made(data):
    """What to tell the user once the daemon has made the dataset, as ``{code, ...}``. ``data`` is the job's answer."""
    left = data.get("left_out") or []
    told = f"; {len(left)} could not be used: {left[0]['reason']}" if left else ""
    seconds = math.floor((data.get("seconds") or 0) + 0.5)
    return {"code": "dataset_made", "name": data["dataset"], "count": data["samples"], "seconds": seconds, "left": told}
