"""The chunks that tell a DAW where a WAV belongs: broadcast extension, tempo, iXML with the recipe. Pure bytes."""

from __future__ import annotations

import json
import struct
from typing import Any
from xml.sax.saxutils import escape

import msgspec

from acestep.api.metre import Metre


class Tags(msgspec.Struct, frozen=True, kw_only=True):
    """What a written file says about itself."""

    position: int = 0
    """Samples from the start of the source's timeline; a negative one cannot be written and becomes 0."""
    bpm: float | None = None
    metre: Metre = Metre()
    description: str = ""
    recipe: dict[str, Any] | None = None


def chunk(kind: bytes, body: bytes) -> bytes:
    """One RIFF chunk, padded to even length."""
    return kind + struct.pack("<I", len(body)) + body + b"\0" * (len(body) & 1)


def bext(tags: Tags) -> bytes:
    """Broadcast extension of EBU Tech 3285 version 1 with the time reference. No date: equal samples, equal files."""
    fixed = struct.pack(
        "<256s32s32s10s8sQH",
        tags.description.encode("ascii", "replace")[:256],
        b"acestep-bridge",
        b"",
        b"",
        b"",
        max(tags.position, 0),
        1,
    )
    return chunk(b"bext", fixed + bytes(254))


def acid(tags: Tags, seconds: float) -> bytes:
    """Tempo chunk as loop-based programs read it; empty without a tempo."""
    if tags.bpm is None:
        return b""
    beats = max(1, round(seconds * tags.bpm / 60))
    metre = tags.metre.denominator, tags.metre.numerator
    return chunk(b"acid", struct.pack("<IHHfIHHf", 0, 60, 0x8000, 0.0, beats, *metre, tags.bpm))


def ixml(tags: Tags, rate: int) -> bytes:
    """iXML with the time stamp and, as user data, the recipe as JSON."""
    position = max(tags.position, 0)
    recipe = "" if tags.recipe is None else json.dumps(tags.recipe, ensure_ascii=True, separators=(",", ":"))
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<BWFXML><IXML_VERSION>1.61</IXML_VERSION><PROJECT>acestep-bridge</PROJECT>'
        f"<NOTE>{escape(tags.description)}</NOTE><SPEED><TIMESTAMP_SAMPLE_RATE>{rate}</TIMESTAMP_SAMPLE_RATE>"
        f"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>{position >> 32}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>"
        f"<TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>{position & 0xFFFFFFFF}</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED>"
        f"<USER>{escape(recipe)}</USER></BWFXML>\n"
    )
    return chunk(b"iXML", text.encode("utf-8"))
