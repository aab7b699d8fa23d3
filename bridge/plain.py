"""Text from elsewhere on its way to a terminal or a log, without the characters that forge lines and move the cursor."""

from __future__ import annotations

import functools
import re

_UNSAFE = r"[^ -~\u00a0-\U0010ffff]|[\u00ad\u200b-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
"""Controls (C0, DEL, C1), breaks of lines, marks of writing direction and other characters that show nothing of themselves."""


@functools.cache
def _unsafe(*, breaks: bool) -> re.Pattern[str]:
    """Those characters, with line breaks and tabs or without. Not every start needs them, and compiling takes milliseconds."""
    return re.compile(_UNSAFE if breaks else rf"(?![\n\t])(?:{_UNSAFE})")


def plain(text: str) -> str:
    """One line of visible characters; a blank for each other one."""
    return _unsafe(breaks=True).sub(" ", text)


def plain_lines(text: str) -> str:
    """The same with its line breaks and tabs."""
    return _unsafe(breaks=False).sub(" ", text)


def escaped(text: str) -> str:
    """Such characters as JSON escapes: for JSON text, which stays the same JSON."""
    return _unsafe(breaks=False).sub(lambda found: "".join(f"\\u{unit:04x}" for unit in _units(found[0])), text)


def _units(character: str) -> list[int]:
    data = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2)]
