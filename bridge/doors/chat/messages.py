"""What a chat request asks for: its last message and its settings become the fields of the REST interface. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException

from bridge.doors.rest.fields import read_boolean

MOST_SOUNDS = 4
"""Sounds in one message; the original reads two."""

LYRICS_LINES, LYRICS_WIDTH = 4, 60
"""Text of at least so many lines, shorter than this on average, is sung, not described."""

SAME = ("thinking", "guidance_scale", "batch_size", "use_format", "use_cot_caption", "use_cot_language", "task_type",
        "repainting_start", "repainting_end", "audio_cover_strength", "cover_noise_strength", "inference_steps", "infer_method",
        "lm_cfg_scale", "seed", "model", "shift", "track_name", "track_classes", "instruction", "repaint_mode",
        "repaint_strength")  # fmt: skip
"""Fields that are called the same in the REST interface."""

RENAMED = {
    "temperature": "lm_temperature",
    "top_p": "lm_top_p",
    "top_k": "lm_top_k",
    "audio_codes": "audio_code_string",
}
"""The chat form's names -> those of the REST interface."""

SETTINGS = {"duration": "audio_duration", "bpm": "bpm", "key_scale": "key_scale", "time_signature": "time_signature",
            "vocal_language": "vocal_language", "format": "audio_format"}  # fmt: skip
"""Names in ``audio_config`` -> those of the REST interface."""

SOURCES_FIRST = frozenset({"cover", "cover-nofsq", "repaint", "lego", "extract", "complete"})
"""Tasks whose first sound is what they work on, and the second the reference; with any other, the first is the reference."""

OUR_DEFAULTS = {"batch_size": 1, "lm_cfg_scale": 2.0}

_SECTION = re.compile(r"^\s*\[[^\]\n]{1,60}\]", re.MULTILINE)


class MessageSound(NamedTuple):
    """A sound in a message."""

    data: bytes
    format: str


class Asked(NamedTuple):
    """The last message of the user, taken apart."""

    prompt: str
    lyrics: str
    query: str
    sounds: list[MessageSound]


def read_request(body: Mapping[str, Any]) -> tuple[dict[str, Any], list[MessageSound]]:
    """The fields of the REST interface, and the sounds. Raises `HTTPException`: 422 for a wrong form, 400 for nothing to do."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise HTTPException(422, "messages must be a list of messages")
    settings = body.get("audio_config")
    settings = settings if isinstance(settings, Mapping) else {}
    asked = _asked(body, messages)
    values: dict[str, Any] = dict(OUR_DEFAULTS)
    values |= {name: body[name] for name in SAME if body.get(name) is not None}
    values |= {theirs: body[ours] for ours, theirs in RENAMED.items() if body.get(ours) is not None}
    values |= {theirs: settings[ours] for ours, theirs in SETTINGS.items() if settings.get(ours) is not None}
    values |= {"prompt": asked.prompt, "lyrics": asked.lyrics}
    if asked.query or read_boolean(body.get("sample_mode")):
        values |= {"sample_query": asked.query, "sample_mode": True}
    if read_boolean(settings.get("instrumental")):
        values["lyrics"] = ""
    if values.get("seed") not in (None, "", -1, "-1"):
        values["use_random_seed"] = False
    given = (asked.prompt, asked.lyrics, asked.query, asked.sounds, values.get("audio_code_string"))
    if not any(given):
        raise HTTPException(400, "the user's last message has no prompt, lyrics or sound")
    return values, asked.sounds


def wanted_object(body: Mapping[str, Any]) -> bool:
    """Whether the client asks for OpenAI's own audio object: it says ``audio={"format": ...}``, as that interface wants it."""
    return isinstance(body.get("audio"), Mapping)


def _asked(body: Mapping[str, Any], messages: Sequence[Any]) -> Asked:
    content: Any = ""
    for message in reversed(messages):
        if isinstance(message, Mapping) and message.get("role") == "user":
            content = message.get("content")
            break
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [part.get("text") for part in parts if isinstance(part, Mapping) and part.get("type") == "text"]
    sounds = [_sound(part) for part in parts if isinstance(part, Mapping) and part.get("type") == "input_audio"]
    if len(sounds) > MOST_SOUNDS:
        raise HTTPException(400, f"a message may have at most {MOST_SOUNDS} sounds")
    text = "\n".join(text for text in texts if isinstance(text, str)).strip()
    lyrics = body.get("lyrics")
    return Asked(
        *split_text(text, lyrics if isinstance(lyrics, str) else "", read_boolean(body.get("sample_mode"))), sounds
    )


def split_text(text: str, lyrics: str, described: bool | None) -> tuple[str, str, str]:
    """A message's text as prompt, lyrics and description for the language model."""
    tagged = {tag: _tagged(text, tag) for tag in ("prompt", "lyrics")}
    if any(found is not None for found in tagged.values()):
        return tagged["prompt"] or "", lyrics or tagged["lyrics"] or "", ""
    if described:
        return "", lyrics, text
    if lyrics:
        return text, lyrics, ""
    return ("", text, "") if is_lyrics(text) else (text, "", "")


def _tagged(text: str, tag: str) -> str | None:
    """What stands between a tag and its end; None where there is no such tag."""
    _, opened, rest = text.partition(f"<{tag}>")
    inside, closed, _ = rest.partition(f"</{tag}>")
    return inside.strip() if opened and closed else None


def is_lyrics(text: str) -> bool:
    """Whether a text is one to sing: it has section marks, or many short lines."""
    if _SECTION.search(text):
        return True
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) >= LYRICS_LINES and sum(map(len, lines)) / len(lines) < LYRICS_WIDTH


def _sound(part: Mapping[str, Any]) -> MessageSound:
    """Raises `HTTPException` 400 for one that is not base64."""
    given = part.get("input_audio")
    data = given.get("data") if isinstance(given, Mapping) else None
    if not isinstance(data, str) or not data:
        raise HTTPException(400, "input_audio needs data, in base64")
    kind = str(given.get("format") or "wav") if isinstance(given, Mapping) else "wav"
    encoded = data.partition(",")[2] if data.startswith("data:") else data
    try:
        return MessageSound(
            base64.b64decode(encoded, validate=True), re.sub("[^a-z0-9]", "", kind.lower())[:8] or "wav"
        )
    except (binascii.Error, ValueError):
        raise HTTPException(400, "the data of input_audio is not valid base64") from None
