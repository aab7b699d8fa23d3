"""Schemas: typed requests in, flat field lists out.

A request type is a frozen msgspec Struct whose annotations carry what a form or a reference page needs (unit, range,
choices, group). `convert` checks a plain map against it and turns every failure into one `BadRequest` that names
the field and its limits; `describe` publishes the same annotations as a flat list.

Files with schemas do without ``from __future__ import annotations``: it would make each annotation a text that has to be compiled
and evaluated at every start, and all of them together took a sixth of it.
"""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Mapping
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)

import msgspec

from acestep.api.errors import AceError, BadRequest
from acestep.api.labels import label_of
from acestep.api.sentences import explain

T = TypeVar("T", bound=msgspec.Struct)
R = TypeVar("R")


if TYPE_CHECKING:

    @dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(msgspec.field,))
    class _RequestMeta(msgspec.StructMeta):
        """Tells type checkers what every request inherits from `Request` at run time: frozen, keywords only."""

else:
    _RequestMeta = msgspec.StructMeta


class Request(
    msgspec.Struct,
    metaclass=_RequestMeta,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=False,
):
    """Base of everything a client sends: keyword fields with defaults, unknown keys refused."""


Written = Annotated[str, msgspec.Meta(max_length=40)]
"""A position or a length as musicians write it (`acestep.api.positions`), in a field of samples or seconds. Admission makes it a
number, so canonical requests hold none."""


def param(
    description: str,
    *,
    unit: str | None = None,
    group: str = "main",
    since: int = 1,
    ge: float | None = None,
    le: float | None = None,
    max_length: int | None = None,
    pattern: str | None = None,
    choices: str | None = None,
    names: str | None = None,
    example: Any = None,
) -> msgspec.Meta:
    """Metadata of one request field, to stand in ``Annotated``.

    ``unit`` is a unit name (``s``, ``samples``, ``Hz``, ``bpm``, ``frames``, ``ms``, ``ratio``); ``choices`` names a
    registry table (``samplers``, ``models`` ...) whose entries are the allowed values at run time; ``names`` says what a path
    names where it is not a file to be read: a ``folder`` to be read, a ``target`` folder or a ``new_file`` to be written.
    """
    extra = {"unit": unit, "group": group, "since": since, "choices": choices, "names": names}
    limits: dict[str, Any] = {"ge": ge, "le": le, "max_length": max_length, "pattern": pattern}
    return msgspec.Meta(
        description=description,
        examples=None if example is None else [example],
        extra={key: value for key, value in extra.items() if value is not None},
        **limits,
    )


class FieldInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request field as clients see it."""

    name: str
    type: str
    """``int``, ``float``, ``bool``, ``str`` or ``list`` of one of them."""
    summary: str = ""
    required: bool = False
    default: Any = None
    unit: str | None = None
    min: float | None = None
    max: float | None = None
    max_length: int | None = None
    choices: list[Any] | None = None
    choices_from: str | None = None
    names: str | None = None
    """What a path names, where it is not a file to be read: ``folder``, ``target`` or ``new_file``."""
    example: Any = None
    group: str = "main"
    since: int = 1
    label: str = ""
    """What a form calls it."""
    hint: str = ""
    """What serves well in it, with a model and on this machine (`acestep.api.hints`)."""
    written: bool = False
    """Whether a number may also be given as musicians write it: ``8bars``, ``1:30``."""


def _unwrap(annotation: Any) -> tuple[Any, list[msgspec.Meta]]:
    """An annotation without ``Annotated`` and ``| None``, and the metadata found on the way."""
    metas: list[msgspec.Meta] = []
    while True:
        origin = get_origin(annotation)
        rest: list[Any]
        if origin is Annotated:
            annotation, *rest = get_args(annotation)
            metas += [meta for meta in rest if isinstance(meta, msgspec.Meta)]
        elif origin in (Union, types.UnionType):
            rest = [option for option in get_args(annotation) if option is not type(None)]
            if len(rest) == 2 and _is_text(rest[1]):
                rest.pop()
                metas.append(_WRITTEN)
            if len(rest) != 1:
                return annotation, metas
            annotation = rest[0]
        else:
            return annotation, metas


_WRITTEN = msgspec.Meta(extra={"written": True})
"""Marks a number that may be written as text too."""


def _is_text(annotation: Any) -> bool:
    return annotation is str or (get_origin(annotation) is Annotated and get_args(annotation)[0] is str)


def _type_name(annotation: Any) -> tuple[str, list[Any] | None]:
    origin = get_origin(annotation)
    choices: list[Any] | None
    if origin is Literal:
        choices = list(get_args(annotation))
        return type(choices[0]).__name__, choices
    if origin in (list, tuple):
        inner, choices = _type_name(_unwrap(get_args(annotation)[0])[0])
        return f"list[{inner}]", choices
    if origin is dict or annotation is dict:
        return "map", None
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return "map", None
    return getattr(annotation, "__name__", str(annotation)), None


def describe(schema: type[msgspec.Struct]) -> list[FieldInfo]:
    """The fields of a schema in order, flat, with types, units, ranges and defaults."""
    return list(_described(schema))


@functools.cache
def _described(schema: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    return tuple(_describe_field(field, hint) for field, hint in _annotated(schema))


@functools.cache
def _annotated(schema: type[msgspec.Struct]) -> tuple[tuple[msgspec.structs.FieldInfo, Any], ...]:
    """Fields with their evaluated annotations. Evaluating is slow, and every stage type shares most of its fields."""
    return tuple((field, field.type) for field in msgspec.structs.fields(schema))


def _describe_field(field: msgspec.structs.FieldInfo, hint: Any) -> FieldInfo:
    annotation, metas = _unwrap(hint)
    merged: dict[str, Any] = {}
    for meta in metas:
        merged.update(meta.extra or {})
        for name in ("description", "ge", "le", "max_length", "examples"):
            value = getattr(meta, name)
            if value is not None:
                merged[name] = value
    type_name, choices = _type_name(annotation)
    default = field.default
    if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    return FieldInfo(
        name=field.name,
        type=type_name,
        summary=merged.get("description", ""),
        required=field.required,
        default=None if default is msgspec.NODEFAULT else msgspec.to_builtins(default),
        unit=merged.get("unit"),
        min=merged.get("ge"),
        max=merged.get("le"),
        max_length=merged.get("max_length"),
        choices=choices,
        choices_from=merged.get("choices"),
        names=merged.get("names"),
        example=(merged.get("examples") or [None])[0],
        group=merged.get("group", "main"),
        since=merged.get("since", 1),
        label=label_of(field.name, merged.get("unit"), None if default is msgspec.NODEFAULT else default),
        written=merged.get("written", False),
    )


def convert(data: Any, schema: type[T]) -> T:
    """Check a plain map (as decoded from the wire) against a schema and return the typed request.

    Types are strict (no 8.0 for 8; doors that need leniency apply it before). Raises `BadRequest` with the field
    at fault, its limits, and a sentence; NaN and infinite numbers are refused in every field.
    """
    _refuse_non_finite(data, "")
    try:
        return msgspec.convert(data, schema)
    except msgspec.ValidationError as failure:
        _check_inside(data, schema)
        raise explain(str(failure), data, {info.name: info for info in describe(schema)}) from None


def inside(place: str, check: Callable[[], R]) -> R:
    """Run a check of a nested part and put its place before the field that it names."""
    try:
        return check()
    except AceError as error:
        error.field = place if error.field is None else f"{place}.{error.field}"
        raise


def _check_inside(data: Any, schema: type[msgspec.Struct]) -> None:
    """Raise the error of a map inside a request, if that is where it does not fit: its own schema knows the words for it."""
    for field, hint in _annotated(schema):
        annotation, _ = _unwrap(hint)
        value = data.get(field.encode_name) if isinstance(data, dict) else None
        if get_origin(annotation) is list:
            annotation, _ = _unwrap(get_args(annotation)[0])
            parts = [
                (f"{field.name}[{index}]", part) for index, part in enumerate(value if isinstance(value, list) else [])
            ]
        else:
            parts = [(field.name, value)]
        if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
            for place, part in parts:
                if isinstance(part, dict):
                    inside(place, functools.partial(convert, part, annotation))


def _refuse_non_finite(value: Any, path: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRequest(f"{path or 'the value'} must be a finite number", field=path or None)
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_non_finite(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _refuse_non_finite(inner, path)


def merge_schemas(
    name: str,
    parts: list[type[msgspec.Struct]],
    *,
    drop: frozenset[str] = frozenset(),
    drop_of: Mapping[type[msgspec.Struct], frozenset[str]] = types.MappingProxyType({}),
) -> type[Request]:
    """One flat schema with the fields of several, in order; a field named twice is kept from the first part.

    Without the fields in ``drop``, and without those that ``drop_of`` names for a part.
    """
    fields: dict[str, tuple[str, Any, Any]] = {}
    for part in parts:
        dropped = drop | drop_of.get(part, frozenset())
        for field, hint in _annotated(part):
            if field.name in dropped or field.name in fields:
                continue
            if field.default_factory is not msgspec.NODEFAULT:
                default: Any = msgspec.field(default_factory=field.default_factory)
            else:
                default = field.default
            entry = (field.name, hint) if field.required else (field.name, hint, default)
            fields[field.name] = entry  # type: ignore[assignment]
    made = msgspec.defstruct(
        name, list(fields.values()), bases=(Request,), kw_only=True, frozen=True, forbid_unknown_fields=True
    )
    return cast(type[Request], made)
