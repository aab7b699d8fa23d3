"""OSC packets as Live's neighbours send them: int32, float32 and strings out; those, int64, float64 and truth values in."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .kinds import Facts


def flat(params: Facts) -> list[Any]:
    """Key and value in turn, as messages carry them: lists of words as text with commas, all that is nested as JSON."""
    found: list[Any] = []
    for name, value in params.items():
        if value is None:
            continue
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(part, dict) for part in value)):
            value = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        elif isinstance(value, list):
            value = ",".join(map(str, value))
        found += [name, value]
    return found


def _padded(text: str) -> bytes:
    data = text.encode("utf-8") + b"\0"
    return data + b"\0" * (-len(data) % 4)


def encode(address: str, values: Iterable[Any]) -> bytes:
    """The packet of one message. Whole numbers are int32, so positions stay exact; bool is sent as 0 or 1."""
    tags, body = ",", b""
    for value in values:
        if isinstance(value, str):
            tags, body = tags + "s", body + _padded(value)
        elif isinstance(value, float):
            tags, body = tags + "f", body + struct.pack(">f", value)
        else:
            tags, body = tags + "i", body + struct.pack(">i", int(value))
    return _padded(address) + _padded(tags) + body


class BadPacket(ValueError):
    """Bytes that are not OSC message."""


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at)
    if end < 0:
        raise BadPacket("a string without an end")
    return data[at:end].decode("utf-8", "replace"), end + 4 - (end % 4)


_NUMBERS = {"i": (">i", 4), "f": (">f", 4), "h": (">q", 8), "d": (">d", 8)}
_CONSTANTS = {"T": True, "F": False, "N": None}


def decode(data: bytes) -> tuple[str, list[Any]]:
    """``(address, values)`` of one message. Raises `BadPacket`."""
    address, at = _text(data, 0)
    if not address.startswith("/"):
        raise BadPacket("no address")
    tags, at = _text(data, at)
    values = []
    for tag in tags[1:]:
        value: Any = None
        if tag == "s":
            value, at = _text(data, at)
        elif tag in _CONSTANTS:
            value = _CONSTANTS[tag]
        elif tag in _NUMBERS:
            form, size = _NUMBERS[tag]
            if at + size > len(data):
                raise BadPacket("shorter than its tags say")
            value, at = struct.unpack_from(form, data, at)[0], at + size
        else:
            raise BadPacket(f"tag {tag!r}")
        values.append(value)
    return address, values
