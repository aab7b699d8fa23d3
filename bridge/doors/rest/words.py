"""Requests and answers of the calls that only write words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acestep.api import limits, music
from acestep.api.errors import AceError
from bridge.doors.rest.fields import given, read_boolean, read_number, read_text


def format_request(values: Mapping[str, Any], beside: Mapping[str, Any]) -> dict[str, Any]:
    """The request of ``format``; ``beside`` is ``param_obj`` with what is known of the music."""
    bpm, duration = read_number(beside.get("bpm")), read_number(beside.get("duration"))
    language = (read_text(beside.get("language")) or "").lower()
    return given(
        caption=(read_text(values.get("prompt")) or read_text(values.get("caption")) or "")[: limits.MAX_CAPTION],
        lyrics=(read_text(values.get("lyrics")) or "")[: limits.MAX_LYRICS],
        bpm=bpm if bpm and limits.BPM_RANGE[0] <= bpm <= limits.BPM_RANGE[1] else None,
        duration=duration if duration and 0 < duration <= limits.MAX_DURATION else None,
        key=_spelt(music.key_name, beside.get("key") or beside.get("key_scale")),
        time_signature=_spelt(music.metre_name, beside.get("time_signature")),
        language=language if language in music.LANGUAGES else None,
        temperature=_temperature(values),
    )


def sample_request(values: Mapping[str, Any]) -> dict[str, Any]:
    """The request of ``compose``."""
    language = (read_text(values.get("vocal_language")) or "").lower()
    return given(
        query=(read_text(values.get("query")) or "")[: limits.MAX_CAPTION],
        instrumental=read_boolean(values["instrumental"]) if "instrumental" in values else None,
        language=language if language in music.LANGUAGES else None,
        temperature=_temperature(values),
    )


def _temperature(values: Mapping[str, Any]) -> float | None:
    found = read_number(values.get("temperature"))
    return found if found is not None and 0 <= found <= 2 else None


def _spelt(read: Any, value: Any) -> str | None:
    try:
        return str(read(read_text(value) or "")) or None
    except AceError:
        return None


def told_sample(example: Mapping[str, Any], *, simple: bool) -> dict[str, Any]:
    """An example of ours in the original's words."""
    lyrics = str(example.get("lyrics") or "")
    language = str(example.get("language") or "unknown")
    if simple:
        return {"description": example.get("caption", ""), "instrumental": not lyrics, "vocal_language": language}
    return {
        "think": False,
        "caption": example.get("caption", ""),
        "lyrics": lyrics or "[Instrumental]",
        "bpm": example.get("bpm"),
        "duration": example.get("duration"),
        "keyscale": example.get("key", ""),
        "language": language,
        "timesignature": example.get("time_signature", ""),
    }
