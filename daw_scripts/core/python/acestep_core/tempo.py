"""Tempo and metre of a region, from the host's tempo map. Times are project seconds, tempo is quarter notes a minute.

A segment is ``{start, bpm, num, den, ramp_to?}``: it lasts until the next one; ``ramp_to`` is its tempo at
the end of a linear ramp.
"""

import math

BPM_RANGE = (30.0, 300.0)
SAME_BPM = 1e-6


def _clip(segments, index, first, last):
    segment = segments[index]
    stop = segments[index + 1]["start"] if index + 1 < len(segments) else math.inf
    start = first if index == 0 else max(segment["start"], first)
    end = min(stop, last)
    if end <= start:
        return None
    head = tail = segment["bpm"]
    ramp_to = segment.get("ramp_to")
    if ramp_to is not None and stop < math.inf and start >= segment["start"]:
        slope = (ramp_to - segment["bpm"]) / (stop - segment["start"])
        head = segment["bpm"] + slope * (start - segment["start"])
        tail = segment["bpm"] + slope * (end - segment["start"])
    return {
        "start": start,
        "end": end,
        "bpm": (head + tail) / 2,
        "num": segment["num"],
        "den": segment["den"],
        "steady": abs(head - tail) < SAME_BPM,
    }


def _continues(piece, before):
    same = (before["num"], before["den"]) == (piece["num"], piece["den"])
    return before["steady"] and piece["steady"] and same and abs(before["bpm"] - piece["bpm"]) < SAME_BPM


def pieces(segments, first, last):
    """The pieces of [first, last) with one tempo and metre each; equal neighbours are joined."""
    found = []
    for index in range(len(segments)):
        piece = _clip(segments, index, first, last)
        if piece is None:
            continue
        if found and _continues(piece, found[-1]):
            found[-1]["end"] = piece["end"]
        else:
            found.append(piece)
    return found


def fold(bpm):
    """A tempo the model accepts, by octaves."""
    while bpm < BPM_RANGE[0]:
        bpm = bpm * 2
    while bpm > BPM_RANGE[1]:
        bpm = bpm / 2
    return bpm


def metre(num, den):
    """The model's word for a metre (``2``, ``3``, ``4``, ``6``), or None for one it was not trained on."""
    if den == 4 and num in (2, 3, 4):
        return str(num)
    return "6" if (num, den) == (6, 8) else None


def _passage(first, last, bpm, num, den):
    given = fold(bpm)
    notes = []
    if abs(given - bpm) > SAME_BPM:
        notes.append({"code": "tempo_folded", "given": bpm, "bpm": given})
    word = metre(num, den)
    if word is None:
        notes.append({"code": "metre_unknown", "metre": f"{num}/{den}"})
    return {"start": first, "end": last, "bpm": given, "time_signature": word or "", "notes": notes}


def _passage_of(piece):
    """The passage of a piece of its own; a ramp has no tempo but its mean."""
    made = _passage(piece["start"], piece["end"], piece["bpm"], piece["num"], piece["den"])
    if not piece["steady"]:
        made["notes"].insert(0, {"code": "tempo_average", "bpm": made["bpm"]})
    return made


def _passage_for_all(found, first, last):
    """One passage for pieces of several tempos or metres: their mean tempo, and the metre that they begin with."""
    begin = found[0]
    bpm = sum((piece["end"] - piece["start"]) * piece["bpm"] for piece in found) / (last - first)
    made = _passage(first, last, bpm, begin["num"], begin["den"])
    if any((p["num"], p["den"]) != (begin["num"], begin["den"]) for p in found) and made["time_signature"]:
        made["notes"].insert(0, {"code": "metre_changes", "metre": f"{begin['num']}/{begin['den']}"})
    if any(not p["steady"] or abs(p["bpm"] - begin["bpm"]) >= SAME_BPM for p in found):
        made["notes"].insert(0, {"code": "tempo_average", "bpm": made["bpm"]})
    return made


def plan(segments, first, last, choice):
    """What to ask for [first, last): ``(passages, None)``, or ``(None, code)`` of a refusal.

    ``choice`` is what the user wants where the map changes inside: ``average``, ``split`` or ``refuse``.
    """
    found = pieces(segments, first, last)
    if len(found) == 1 and found[0]["steady"]:
        return [_passage(first, last, found[0]["bpm"], found[0]["num"], found[0]["den"])], None
    if choice == "refuse":
        return None, "tempo_changes"
    if choice == "split":
        return [_passage_of(piece) for piece in found], None
    return [_passage_for_all(found, first, last)], None
