"""Settings and mappings as people write them: TOML, with what is wrong in a line said in words that need no manual of TOML."""

from __future__ import annotations

import re
from typing import Any

from acestep.api.errors import BadRequest

_AT = re.compile(r"\(at (?:line (\d+)|end of document)")

REASONS = (
    (r"overwrite|twice|Duplicate|Cannot (?:mutate|expand)", "this name stands in the file already"),
    (r"Unterminated string|Expected [\"']{1,7}$|Expected \"'\"|Illegal character '\\n'",
     "a text is not closed; it ends with the mark it began with"),
    (r"Illegal character", "this character cannot stand here"),
    (r"\\|hex|escape",
     r"a backslash in double quotation marks means something else; write \\, or use single ones: 'C:\Music'"),
    (r"Expected '\]|declaration", "a heading is not closed; it looks like [name] or [[name]]"),
    (r"array", "a list is not closed; it looks like [1, 2]"),
    (r"inline table", "a map is not closed; it looks like {name = 1} and stands in one line"),
    (r"after a key|Invalid statement|initial character", "a line looks like: name = value"),
    (r"value|newline", "a value is a number, true, false, a [list], or a text in quotation marks; nothing may follow it"),
)  # fmt: skip
"""What Python's parser says -> what is wrong, in our words; the first that fits."""


def parse_toml(text: str) -> dict[str, Any]:
    """The values in a TOML text. Raises `BadRequest` that says which line is wrong and why, with ``limits["line"]``."""
    import tomllib  # most starts read no such file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        line = _line(text, str(failure))
        error = BadRequest(f"line {line}: {_reason(str(failure))}", limits={"line": line})
        raise error from None
    except RecursionError:
        raise BadRequest("line 1: lists or maps nest too deep", limits={"line": 1}) from None


def _line(text: str, complaint: str) -> int:
    """The line at fault, from 1; the last one that is not empty where the parser says that the text ended too early."""
    found = _AT.search(complaint)
    if found and found[1]:
        return int(found[1])
    return len(text.rstrip().splitlines()) or 1


def _reason(complaint: str) -> str:
    plain = complaint.partition(" (at ")[0]
    return next((ours for theirs, ours in REASONS if re.search(theirs, plain)), "this is not valid TOML")
