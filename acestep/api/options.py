"""Parameters that belong to one model family alone: written in a request as ``name=value``, like adapters. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.schema import FieldInfo, Request, convert, describe
from acestep.api.sentences import quoted

O = TypeVar("O", bound=Request)  # noqa: E741

FIELD = "options"
"""The request's field that holds them."""

WORDS = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
"""How a switch is written."""


def read_options(given: Iterable[str], schema: type[O]) -> O:
    """The family's own parameters. Raises `BadRequest` with those there are, and with the limits of a value."""
    known = {info.name: info for info in describe(schema)}
    values: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        info = known.get(name.strip())
        if info is None or not equals:
            wanted = f"the model has these of its own: {', '.join(known)}" if known else "the model has none of its own"
            raise BadRequest(
                f"{quoted(one)} is not an option written name=value; {wanted}",
                field=FIELD,
                limits={"choices": list(known)},
            )
        values[info.name] = _value(info, text.strip())
    try:
        return convert(values, schema)
    except BadRequest as failure:
        failure.field = FIELD
        raise


def write_options(values: msgspec.Struct) -> list[str]:
    """The same written out whole, as a recipe holds it."""
    return [f"{name}={_text(getattr(values, name))}" for name in values.__struct_fields__]


def _text(value: Any) -> str:
    return (
        ("on" if value else "off")
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _value(info: FieldInfo, text: str) -> Any:
    """A value as its field's type has it. Raises `BadRequest`."""
    try:
        if info.type == "bool":
            return WORDS[text.lower()]
        return {"int": int, "float": float}.get(info.type, str)(text)
    except (KeyError, ValueError):
        wanted = {"bool": "on or off", "int": "a whole number"}.get(info.type, "a number")
        raise BadRequest(f"option {info.name} is {wanted}, not {quoted(text)}", field=FIELD) from None
