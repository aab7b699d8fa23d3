"""The metadata block inside the model's thought: YAML with sorted keys and folded lines, written and read.

Writing follows the training data (PyYAML's default style). Reading is a line reader, not a YAML parser: the model's
own text is near YAML, not always YAML, and an unquoted colon in a caption must not cost the rest.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec


class Metadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the planner knows about a piece; empty means not said."""

    bpm: float | None = None
    """Whole, from a language model."""
    caption: str = ""
    duration: float | None = None
    """Seconds; whole, from a language model."""
    genres: str = ""
    keyscale: str = ""
    language: str = ""
    timesignature: str = ""
    """The numerator alone."""


FIELDS: tuple[str, ...] = Metadata.__struct_fields__
"""Names of the fields in the order in which they stand in the block (alphabetical)."""

NUMBERS = frozenset({"bpm", "duration"})

_OPENING = re.compile(r"([A-Za-z_]+):(.*)", re.DOTALL)
_FIRST_CODE = re.compile(r"<\|audio_code_\d+\|>")
_HEADING = re.compile(r"#\s*Lyrics?\s*\n", re.IGNORECASE)


def write_block(metadata: Metadata) -> str:
    """The block without its tags and without a final newline; fields that are not said are left out."""
    import yaml  # not with this module: the door loads it in every process, and needs no YAML before a thought is read

    said = {
        name: _plain(name, value) for name, value in msgspec.structs.asdict(metadata).items() if value not in ("", None)
    }
    return yaml.dump(said, allow_unicode=True, sort_keys=True).strip() if said else ""


def _plain(name: str, value: Any) -> Any:
    if name == "timesignature":
        value = value.partition("/")[0]
    return int(value) if isinstance(value, str) and value.isdecimal() and value.isascii() else value


def split_answer(text: str) -> tuple[str, str]:
    """A model's answer as (block, what follows it).

    Without a closing tag the block ends before the first audio code.
    """
    _, opened, inside = text.partition("<think>")
    body = inside if opened else text
    block, closed, rest = body.partition("</think>")
    if not closed:
        code = _FIRST_CODE.search(body)
        block, rest = (body[: code.start()], body[code.start() :]) if code else (body, "")
    return block.strip("\n"), rest


def parse_block(block: str) -> Metadata:
    """The fields of a block. Unknown fields are passed over; numbers that are none count as not said."""
    said = block_values(block)
    fields: dict[str, Any] = {
        name: _number(said[name]) if name in NUMBERS else said[name] for name in FIELDS if said.get(name)
    }
    if "timesignature" in fields:
        fields["timesignature"] = fields["timesignature"].partition("/")[0]
    return Metadata(**fields)


def block_values(block: str) -> dict[str, str]:
    """Every field of a block as it is written there, folds undone; the names in lower case."""
    values: dict[str, list[str]] = {}
    current: list[str] = []
    for line in block.split("\n"):
        opening = None if line[:1].isspace() else _OPENING.fullmatch(line)
        if opening:
            current = values.setdefault(opening.group(1).lower(), [])
            current.append(opening.group(2))
        else:
            current.append(line)
    return {name: _value(lines) for name, lines in values.items()}


def _value(lines: list[str]) -> str:
    """The lines of a value as one: folds become spaces, and YAML's quotes go where the text has any."""
    joined = " ".join(line.strip() for line in lines if line.strip())
    if len(joined) < 2 or joined[0] not in "'\"" or joined[-1] != joined[0]:
        return joined
    import yaml

    try:
        value = yaml.safe_load("\n".join(lines))
    except yaml.YAMLError:
        return joined
    return " ".join(value.split()) if isinstance(value, str) else joined


def _number(text: str) -> int | None:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def parse_lyrics(rest: str) -> str:
    """The lyrics after the thought, without their heading and the end of the turn; empty if there are none."""
    text = rest.replace("<|im_end|>", "").replace("<|endoftext|>", "").strip()
    heading = _HEADING.match(text + "\n")
    return text[heading.end() :].strip() if heading else text
