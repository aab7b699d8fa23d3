"""What the chat form answers: text about the music, and the music as base64, piece by piece. Pure but for reading the files."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.core.interface import JobView
from bridge.doors.rest.results import answers, conditioning_of, notes_of

PIECE = 3 * 64 * 1024
"""Bytes of a file that are encoded at a time; a multiple of three, so that the pieces are one base64 text."""

MEDIA_TYPES = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
}

KEPT_SECONDS = 7 * 24 * 3600
"""What the standard audio object says of how long its id is known."""

DONE_TEXT = "The music is ready."
"""The text of an answer about which there is nothing else to say."""


@dataclass(frozen=True)
class Head:
    """What all parts of one answer share."""

    id: str
    model: str
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(self, delta: Any, finish: str | None = None) -> dict[str, Any]:
        """One part of a streamed answer."""
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**self._told("chat.completion.chunk"), "choices": [choice]}

    def whole(self, message: Any) -> dict[str, Any]:
        """A whole answer."""
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        return {**self._told("chat.completion"), "choices": [choice], "usage": usage}

    def _told(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def describe(view: JobView, words: JobView | None = None) -> str:
    """The music in Markdown: what was given or planned, the lyrics, and what is to be said of how it was made; ``words`` is the job
    that wrote them, where there was one.
    """
    conditioning = conditioning_of(view)
    duration = conditioning.get("duration")
    bpm = conditioning.get("bpm")
    rows = {
        "Caption": conditioning.get("caption"),
        "BPM": int(bpm) if isinstance(bpm, float) and bpm.is_integer() else bpm,
        "Duration": f"{duration}s" if duration else None,
        "Key": conditioning.get("key"),
        "Time Signature": conditioning.get("time_signature"),
    }
    told = [f"**{name}:** {value}" for name, value in rows.items() if value]
    lyrics = "" if conditioning.get("instrumental") else str(conditioning.get("lyrics") or "")
    parts = ["\n".join(["## Metadata", *told])] if told else []
    parts += [f"## Lyrics\n{lyrics}"] if lyrics else []
    notes = dict.fromkeys([*notes_of(words), *notes_of(view)])
    parts += ["\n".join(["## Notes", *(f"- {note}" for note in notes)])] if notes else []
    return "\n\n".join(parts) or DONE_TEXT


def sounds(view: JobView) -> list[Path]:
    """The file of each take."""
    return [Path(file["path"]) for _, file in answers((view.result or {}).get("files") or [])]


def codes_of(view: JobView) -> str | None:
    """The semantic codes that the language model planned, as the original writes them."""
    planned = conditioning_of(view).get("codes") or []
    codes = planned[0] if planned and isinstance(planned[0], list) else []
    return "".join(f"<|audio_code_{code}|>" for code in codes) or None


HOLE = f"<{secrets.token_hex(16)}>"
"""Where base64 goes in a template; nobody can guess it and write it into a text."""


def as_list(paths: list[Path]) -> tuple[Any, list[Path]]:
    """The original's form of audio, with a hole for every file."""
    kinds = [MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream") for path in paths]
    return [{"type": "audio_url", "audio_url": {"url": f"data:{kind};base64,{HOLE}"}} for kind in kinds], paths


def as_object(job: str, transcript: str, paths: list[Path]) -> tuple[Any, list[Path]]:
    """OpenAI's own form: the first take."""
    expires = int(time.time()) + KEPT_SECONDS
    return {"id": f"audio_{job}", "data": HOLE, "expires_at": expires, "transcript": transcript}, paths[:1]


async def filled(template: Mapping[str, Any], files: list[Path]) -> AsyncIterator[bytes]:
    """The JSON of a template, its holes filled with files; no more than a piece of them is held at a time."""
    mark = json.dumps(HOLE)[1:-1]
    before, *rest = json.dumps(template, ensure_ascii=True).split(mark)
    yield before.encode()
    for path, after in zip(files, rest, strict=True):
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield base64.b64encode(piece)
        yield after.encode()
