"""JSON Schema of what an operation or a method takes, from its fields as `describe` publishes them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

MOST_CHOICES = 32
"""Longer tables of choices (languages, keys) are named in the description instead."""

ALIASED = frozenset({"keys", "languages", "metres", "tracks"})
"""Tables that take other spellings too (4/4 for 4, German for de), so that a list would refuse what is right."""

_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "map": "object", "dict": "object"}


def object_schema(fields: Iterable[Mapping[str, Any]], *, more: bool = False) -> dict[str, Any]:
    """The schema of a map with these fields; ``more``: further ones are understood that are not listed here."""
    listed = list(fields)
    schema: dict[str, Any] = {"type": "object", "properties": {one["name"]: field_schema(one) for one in listed}}
    if required := [one["name"] for one in listed if one.get("required")]:
        schema["required"] = required
    return schema if more else {**schema, "additionalProperties": False}


def field_schema(field: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of one field: type, limits, choices, default, and its summary with unit and example."""
    schema = _typed(str(field["type"]))
    if field.get("written"):
        schema["type"] = [schema["type"], "string"]
    low, high, most = field.get("min"), field.get("max"), field.get("max_length")
    schema |= {} if low is None else {"minimum": low}
    schema |= {} if high is None else {"maximum": high}
    if most is not None and schema["type"] in ("string", "array"):
        schema["maxItems" if schema["type"] == "array" else "maxLength"] = most
    choices = field.get("choices") or ()
    if 0 < len(choices) <= MOST_CHOICES and field.get("choices_from") not in ALIASED and schema["type"] != "array":
        schema["enum"] = list(choices)
    if field.get("default") not in (None, "", [], {}):
        schema["default"] = field["default"]
    return {**schema, "description": _description(field)}


def _typed(name: str) -> dict[str, Any]:
    inner = name.removeprefix("list[").removesuffix("]") if name.startswith("list[") else ""
    if inner:
        return {"type": "array", "items": _typed(inner)}
    return {"type": "array"} if name == "list" else {"type": _TYPES.get(name, "string")}


def _description(field: Mapping[str, Any]) -> str:
    words = [str(field.get("summary", "")), *filter(None, [field.get("hint")])]
    if field.get("unit"):
        words.append(f"In {field['unit']}{_spoken(field) if field.get('written') else ''}.")
    choices = [str(one) for one in field.get("choices") or () if one != ""]
    if len(choices) > MOST_CHOICES:
        words.append(f"One of {len(choices)}, among them {', '.join(choices[:8])}.")
    elif choices and field.get("choices_from") in ALIASED:
        words.append(f"One of: {', '.join(choices)}.")
    if field.get("example") not in (None, "", [], {}):
        words.append(f"Example: {field['example']!r}.")
    return " ".join(word for word in words if word)


def _spoken(field: Mapping[str, Any]) -> str:
    place = field["name"] in ("start", "end", "span_start", "span_end", "bar_offset")
    return ", or as text such as " + ("'bar5', '1:03.5' or '12.5s'" if place else "'8bars' or '12.5s'")
