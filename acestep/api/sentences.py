"""What is wrong with a request, in a sentence: the field, what was given, what it takes. No library's words reach a user.

msgspec says where a value does not fit; the sentence is made from the field's own declaration and from the value itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Protocol

from acestep.api.errors import BadRequest
from acestep.api.formats import NOT_WRITTEN
from acestep.api.upstream import our_name

_AT = re.compile(r" - at `\$((?:\.[^`\[\].]+|\[[^\]]*\])*)`$")
_KEY = re.compile(r" - at `key` in `\$")
_UNKNOWN = re.compile(r"unknown field `(.+?)`")
_MISSING = re.compile(r"missing required field `(.+?)`")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]|\[(\.\.\.)\]")

SHOWN = 40
"""Characters of a value that a sentence quotes."""

KINDS = {
    "int": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
    "bool": ("true or false", "true or false"),
    "str": ("a text", "texts"),
    "bytes": ("bytes", "bytes"),
    "map": ("a map of names to values", "maps"),
    "Any": ("a value", "values"),
}
"""Type of a field as `describe` names it -> in words, one and many."""

LIST = "list["

COUNTED = "level"
"""The unit of numbers that have none; a sentence does not speak of it."""


class Declared(Protocol):
    """What a sentence needs to know of a field (`acestep.api.schema.FieldInfo`)."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def unit(self) -> str | None: ...
    @property
    def min(self) -> float | None: ...
    @property
    def max(self) -> float | None: ...
    @property
    def max_length(self) -> int | None: ...
    @property
    def choices(self) -> list[Any] | None: ...


def explain(complaint: str, data: Any, known: Mapping[str, Declared]) -> BadRequest:
    """The error for a map that msgspec refused with ``complaint``; ``known`` are the fields of its schema by name."""
    place = _AT.search(complaint)
    path = place.group(1).lstrip(".") if place else ""
    if found := _UNKNOWN.search(complaint):
        return _unknown(_join(path, found.group(1)), known if not path else {})
    if found := _MISSING.search(complaint):
        name = _join(path, found.group(1))
        info = known.get(name)
        return BadRequest(f"{name} is missing; it takes {_wanted(info)}", field=name, limits=limits_of(info))
    steps = [name or int(index or 0) for name, index, _ in _STEP.findall(path)]
    info = known.get(str(steps[0])) if steps else None
    if path.endswith("[...]"):
        return _entry(path.removesuffix("[...]"), _value_at(data, steps[:-1]))
    if _KEY.search(complaint):
        return BadRequest("names in a request's maps are texts")
    if not path:
        return BadRequest(f"a request is a map of field names to values, not {quoted(data)}")
    value = _value_at(data, steps)
    wanted = _wanted(info, inside=len(steps) > 1)
    return BadRequest(
        f"{path} is {quoted(value)}; it takes {wanted}{_advice(info, value)}", field=path, limits=limits_of(info)
    )


def _entry(path: str, found: Any) -> BadRequest:
    """About a map of texts that holds something else: msgspec does not say under which name."""
    entries = found.items() if isinstance(found, Mapping) else ()
    name, value = next(((name, value) for name, value in entries if not isinstance(value, str)), ("", None))
    return BadRequest(
        f"{path}.{name} is {quoted(value)}; it takes a text", field=f"{path}.{name}", limits={"type": "str"}
    )


def _advice(info: Declared | None, value: Any) -> str:
    """What to do instead of a choice that there is not: the nearest one, or how to come by a sound file of another form."""
    if info is None or not info.choices or not isinstance(value, str):
        return ""
    if info.name == "format" and (known := NOT_WRITTEN.get(value.lower().lstrip("."))):
        return f"; {known}"
    near = difflib.get_close_matches(value.lower(), [str(choice) for choice in info.choices], 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _unknown(name: str, known: Mapping[str, Declared]) -> BadRequest:
    meant = our_name(name, known) or next(iter(difflib.get_close_matches(name, known, 1)), None)
    hint = f"; did you mean {meant!r}?" if meant else ""
    limits = {"fields": list(known)} if known else {}
    return BadRequest(f"there is no field {name!r} here{hint}", field=name, limits=limits)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _value_at(data: Any, steps: list[str | int]) -> Any:
    """The value that a path leads to, or the nearest around it."""
    for step in steps:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            break
    return data


def _wanted(info: Declared | None, *, inside: bool = False) -> str:
    """What a field takes, in words; ``inside`` speaks of one entry of it."""
    if info is None:
        return "another kind of value"
    kind = info.type
    if info.choices:
        many = kind.startswith(LIST) and not inside
        return ("a list of some of " if many else "one of ") + ", ".join(map(str, info.choices))
    if kind.startswith(LIST):
        kind = kind[len(LIST) : -1]
        if inside:
            return _kind(kind)
        most = f"at most {info.max_length} " if info.max_length else ""
        return f"a list of {most}{_kind(kind, many=True)}"
    if kind == "str" and info.max_length:
        return f"a text of at most {info.max_length} characters"
    unit = f" {info.unit}" if info.unit not in (None, COUNTED) and kind in ("int", "float") else ""
    return _kind(kind) + _range(info) + (unit if _range(info) else unit and f" ({info.unit})")


def _kind(kind: str, *, many: bool = False) -> str:
    if kind.startswith(LIST):
        return f"{'lists' if many else 'a list'} of {_kind(kind[len(LIST) : -1], many=True)}"
    return KINDS.get(kind, (f"a {kind}", f"{kind}s"))[many]


def _range(info: Declared) -> str:
    if info.min is not None and info.max is not None:
        return f" from {number(info.min)} to {number(info.max)}"
    if info.min is not None:
        return f" of {number(info.min)} or more"
    return f" of {number(info.max)} or less" if info.max is not None else ""


def number(value: float) -> str:
    """A bound as people write it: whole numbers with all their digits."""
    return str(int(value)) if value == int(value) else f"{value:g}"


def limits_of(info: Declared | None) -> dict[str, Any]:
    """What would have been allowed, for programs."""
    if info is None:
        return {}
    found = {name: getattr(info, name) for name in ("type", "min", "max", "max_length", "choices", "unit")}
    return {name: value for name, value in found.items() if value is not None}


def quoted(value: Any) -> str:
    """A value as a sentence shows it: short, and in words where it has no short form."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return repr(value) if len(value) <= SHOWN else f"a text of {len(value)} characters"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    if isinstance(value, (int, float)):
        shown = f"{value:g}" if isinstance(value, float) and abs(value) >= 1e6 else str(value)
        return shown if len(shown) <= SHOWN else f"a number of {len(shown)} digits"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}"
