"""Text from elsewhere on its way to a terminal or a log, without the characters that forge lines and move the cursor."""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    r"[^ -~\u00a0-\U0010ffff]|[\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
"""Controls (C0, DEL, C1), breaks of lines, marks of writing direction and other characters that show nothing of themselves."""

_UNSAFE_BUT_BREAKS = re.compile(rf"(?![\n\t])(?:{_UNSAFE.pattern})")


def plain(text: str) -> str:
    """One line of visible characters; a blank for each other one."""
    return _UNSAFE.sub(" ", text)


def plain_lines(text: str) -> str:
    """The same with its line breaks and tabs."""
    return _UNSAFE_BUT_BREAKS.sub(" ", text)


def escaped(text: str) -> str:
    """Such characters as JSON escapes: for JSON text, which stays the same JSON."""
    return _UNSAFE_BUT_BREAKS.sub(lambda found: "".join(f"\\u{unit:04x}" for unit in _units(found[0])), text)


def _units(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
