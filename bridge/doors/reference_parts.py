"""What the reference pages are put together from: titles, tables, code, and a table of fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from acestep.api.schema import FieldInfo
from acestep.api.sentences import number

NOTE = "*This page is made by `python -m bridge.doors.reference`; change the method or the schema, not the page.*"


def page(title: str, *parts: str) -> str:
    """A page with its title and the note that it is made."""
    return "\n\n".join([f"# {title}", NOTE, *(part.strip("\n") for part in parts)]) + "\n"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows under a header."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def code(value: Any) -> str:
    """A value as code; nothing for none."""
    return f"`{value}`" if value not in ("", None) else ""


def as_json(value: Any) -> str:
    """A value as JSON."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def parameters(fields: Iterable[FieldInfo]) -> str:
    """A table of fields: name, type, unit, default, range, example, meaning."""
    rows = [
        [
            code(info.name),
            info.type,
            unit(info),
            "required" if info.required else code(as_json(info.default)),
            bounds(info),
            "" if info.example is None else code(as_json(info.example)),
            info.summary,
        ]
        for info in fields
    ]
    return table(["name", "type", "unit", "default", "range", "example", "meaning"], rows)


def unit(info: FieldInfo) -> str:
    """What a field is counted in: its unit, else what kind of value it is."""
    if info.unit:
        return info.unit
    if info.type in ("int", "float"):
        return "number"
    return {"str": "text", "bool": "yes or no", "bytes": "bytes"}.get(
        info.type, "list" if info.type[:4] == "list" else "map"
    )


def bounds(info: FieldInfo) -> str:
    """What values a field takes, in words."""
    if info.choices:
        return ", ".join(f"`{choice}`" for choice in info.choices)
    if info.choices_from:
        return f"one of the {info.choices_from}"
    if info.min is not None or info.max is not None:
        low, high = ("" if bound is None else number(bound) for bound in (info.min, info.max))
        return f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    counted = "characters" if info.type == "str" else "bytes" if info.type == "bytes" else "entries"
    return f"at most {info.max_length} {counted}" if info.max_length else ""
