"""From an action and what the host found to the jobs that are submitted. The action table is shared data (actions.json)."""

import math
import re

from .placement import convert, samples

MAX_SECONDS = 600
MAX_NAME = 80
"""Characters."""


def action(actions, name):
    """The action of a name, or None."""
    return next((found for found in actions if found["name"] == name), None)


def refusal(action, situation):
    """The reason why an action cannot run here, as ``{code, ...}``, or None."""
    if action["needs"] == "recipe" and not situation.get("recipe"):
        return {"code": "no_recipe"}
    if action["kind"] != "submit" or action["needs"] == "recipe":
        return None
    if not situation.get("saved"):
        return {"code": "unsaved_project"}
    start, end = situation.get("start"), situation.get("end")
    if action["needs"] == "selection":
        if start is None:
            return {"code": "no_selection"}
        if end <= start:
            return {"code": "empty_selection"}
        if situation.get("midi_only") and action["audio"] == "target":
            return {"code": "midi_only"}
    seconds = 0 if start is None else (end - start) / situation["rate"]
    if seconds > MAX_SECONDS:
        return {"code": "too_long", "seconds": math.floor(seconds + 0.5), "limit": MAX_SECONDS}
    return None


def _part(situation, passage):
    """The part of the selection that a passage covers, in project samples, and the same part in the source's samples."""
    first = max(situation["start"], samples(passage["start"], situation["rate"]))
    last = min(situation["end"], samples(passage["end"], situation["rate"]))
    source = situation.get("source")
    if not source:
        return first, last, None, None
    rate = source.get("rate") or situation["rate"]
    return (
        first,
        last,
        source["start"] + convert(first - situation["start"], situation["rate"], rate),
        source["end"] - convert(situation["end"] - last, situation["rate"], rate),
    )


def _cut(situation, passage):
    first, last, source_start, source_end = _part(situation, passage)
    source = situation.get("source")
    if not source:
        return {"length": last - first, "rate": situation["rate"]} if last > first else {}
    found = {"source": source["path"]}
    found.update(
        {"regions": source["regions"]} if source.get("regions") else {"start": source_start, "end": source_end}
    )
    if source.get("span_start") is not None:
        found.update(span_start=source["span_start"], span_end=source["span_end"])
    return found


def _place_name(action, situation):
    """Where a result belongs, in words; an action that takes no audio belongs to no track. Empty where neither is known."""
    words = []
    if action["audio"] != "none" and situation.get("track_name"):
        words.append(situation["track_name"])
    first, last = situation.get("first_bar"), situation.get("last_bar")
    if first is not None:
        words.append(f"bar {first}" if first == last else f"bars {first}-{last}")
    return ", ".join(words)[:MAX_NAME]


OWN_TIME = {"tempo_map", "bar_offset", "bpm", "time_signature"}
"""Fields with which a user says what time the song has; beside them the host's own map is not sent."""


def _song_map(situation, passage, values):
    """Where the song's bars and beats lie on the timeline of what is sent, from the host's `point` at the selection's start."""
    point = situation.get("point")
    if not point or OWN_TIME & values.keys():
        return None
    _, _, source_start, _ = _part(situation, passage)
    return [{"sample": source_start or 0, **point}]


def params(action, situation, passage, values, fields=None):
    """The parameters of one job; ``fields`` is the operation's list from describe (None: unknown, everything is sent).

    ``situation`` may have ``point``: ``{bpm, metre, bar}`` at the selection's start in a song of one tempo; and ``guide_from``:
    where a guide's chords begin, for what lies in no bar of the song.
    """
    found = _cut(situation, passage)
    found.update(bpm=passage["bpm"], time_signature=passage["time_signature"], key=situation.get("key"))
    found["tempo_map"] = _song_map(situation, passage, values)
    found["guide_from"] = situation.get("guide_from")
    found["name"] = _place_name(action, situation)
    returns = action["returns"]
    if returns == "patch" and "span_start" in found:
        returns = "span"
    if returns:
        found["returns"] = [returns]
    known = None if fields is None else {field["name"] for field in fields}
    found = {k: v for k, v in found.items() if v not in (None, "") and (known is None or k in known)}
    found.update({name: value for name, value in values.items() if name != action["each"]})
    found.update(action["sets"])
    if "length" in found:
        found.pop("duration", None)
    return found


def _meeting(situation, passages):
    """The passages that have anything to ask for: where a selection is split, a piece of it may lie beside the audio."""
    if not situation.get("source"):
        return passages
    parts = [(passage, _part(situation, passage)) for passage in passages]
    return [passage for passage, (first, last, *_) in parts if last > first]


def jobs(action, situation, passages, values, fields=None):
    """The jobs of an action, one per passage that meets its audio and picked value: ``{operation, params, passage, pick}``."""
    picks = values.get(action["each"]) if action["each"] else None
    if not isinstance(picks, list):
        picks = [picks]
    found = []
    for passage in _meeting(situation, passages):
        for pick in picks or [None]:
            asked = params(action, situation, passage, values, fields)
            if pick is not None:
                asked[action["each"]] = pick
            found.append({"operation": action["operation"], "params": asked, "passage": passage, "pick": pick})
    return found


def _notes(job):
    """What was changed on the way to the model. Beside a tempo map the daemon itself says which metre the model is told."""
    notes = job["passage"].get("notes") or []
    return [
        note for note in notes if note["code"] != "metre_unknown" or "tempo_map" not in job.get("params", {})
    ] or None


def pending(id, action, situation, job):
    """What the host must remember of a job to place its result later, even after a restart: plain data."""
    source = situation.get("source")
    first, last, _, _ = _part(situation, job["passage"])
    found = {
        "id": id,
        "action": action["name"],
        "place": action["place"],
        "title": action["title"],
        "operation": job["operation"],
        "called": action.get("called"),
        "pick": job.get("pick"),
        "rate": situation["rate"],
        "origin": source["origin"] if source else first,
        "first": first,
        "last": last,
        "track": situation.get("track"),
        "item": situation.get("item"),
        "lead": source.get("lead") if source else None,
        "spans_item": True if source and source.get("span_start") is not None else None,
        "notes": _notes(job),
    }
    return {name: value for name, value in found.items() if value is not None}


def summary(facts):
    """What will happen, in a sentence: ``facts`` are ``tracks`` (names), ``stretches`` (how many), ``first_bar``, ``last_bar``,
    ``seconds`` (all together), ``bpm``, ``read`` (a sentence); what the host does not know is None.
    """
    words = [", ".join(facts["tracks"])] if facts["tracks"] else []
    if facts["stretches"] > 1:
        words.append(f"{facts['stretches']} clips")
    first, last = facts["first_bar"], facts["last_bar"]
    if first is not None:
        words.append(f"bar {first}" if first == last else f"bars {first} to {last}")
    if facts["seconds"] > 0:
        words.append(f"{facts['seconds']:.1f} s")
    words.append(f"sent as {facts['bpm']:.6g} bpm")
    return f"{', '.join(words)}. {facts['read']}"


def sentence(messages, facts):
    """The sentence of a message: ``code`` looked up in messages.json, ``{name}`` filled in from ``facts``."""

    def fill(match):
        value = facts.get(match.group(1))
        if isinstance(value, float):
            return f"{value:.2f}".rstrip("0").rstrip(".")
        return "?" if value is None else str(value)

    return re.sub(r"{(\w+)}", fill, messages.get(facts["code"], facts["code"]))
