"""What an OSC message asks for: ``/ace`` addresses and arguments in, typed questions out.

Pure. The leniency that OSC needs lives here and nowhere else: 8.0 for 8, 8 for 8.0, 0/1 for a switch, a number for a
text, ``"vocals,drums"`` for a list, JSON text for a map.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, UnknownOperation
from acestep.api.operation import Operation
from acestep.api.schema import FieldInfo, describe
from bridge.core.interface import Submission
from bridge.doors.method import Method
from bridge.doors.methods import ADDRESSES, METHODS
from bridge.doors.operation_methods import ENVELOPE, OPERATION_ADDRESS, OPERATION_PREFIX
from bridge.doors.osc import ordinals
from bridge.doors.osc.codec import Message


class CallMessage(msgspec.Struct, frozen=True):
    """A call, as `bridge.doors.dispatch.Dispatcher.call` takes it: of a method, or of ``op.<operation>`` for a submit.

    A submit comes after what the draft holds, which must be ``count`` parameters where that is given.
    """

    method: str
    params: dict[str, Any]
    count: int | None = None

    @property
    def operation(self) -> str:
        """The operation that it submits; empty for a method of the daemon."""
        return self.method.removeprefix(OPERATION_PREFIX) if self.method.startswith(OPERATION_PREFIX) else ""

    @property
    def address(self) -> str:
        """Where it came."""
        return f"{OPERATION_ADDRESS}{self.operation}" if self.operation else METHODS[self.method].osc


class DraftValue(msgspec.Struct, frozen=True):
    """``/ace/op/<operation>/<param> value``: one parameter of a draft. An `Ordinal` stands for a name or a result."""

    operation: str
    field: FieldInfo
    value: Any

    @property
    def name(self) -> str:
        """The parameter."""
        return self.field.name


class Release(msgspec.Struct, frozen=True):
    """``/ace/op/<operation> 0``: a button of a controller was let go. It asks for nothing."""


Question = CallMessage | DraftValue | Release

_ENVELOPE_FIELDS = {info.name: info for info in describe(Submission) if info.name in ENVELOPE}


def parse(message: Message, find: Callable[[str], Operation]) -> Question:
    """The question in a message; ``find`` gives an operation by name or raises.

    Raises `UnknownOperation`, `FeatureDisabled` or `BadRequest`; whether values are in range is not looked at here.
    """
    arguments = message.arguments
    if not message.address.startswith(OPERATION_ADDRESS):
        method = ADDRESSES.get(message.address)
        if method is None:
            raise UnknownOperation(f"there is no address {message.address}")
        return CallMessage(method.name, positional(method, arguments))
    operation, _, parameter = message.address.removeprefix(OPERATION_ADDRESS).partition("/")
    fields = fields_of(find(operation))
    if parameter:
        return _draft(operation, parameter, arguments, fields)
    if len(arguments) != 1 or not isinstance(arguments[0], (int, float)):
        return CallMessage(OPERATION_PREFIX + operation, _pairs(list(arguments), fields))
    if not arguments[0]:
        return Release()
    count = None if arguments[0] is True else _whole(arguments[0], "count")
    return CallMessage(OPERATION_PREFIX + operation, {}, count)


def envelope() -> list[dict[str, Any]]:
    """The fields of `ENVELOPE`, as maps."""
    return [msgspec.to_builtins(info) for info in _ENVELOPE_FIELDS.values()]


def fields_of(operation: Operation) -> dict[str, FieldInfo]:
    """The fields a submit may name: the operation's own, and those of `ENVELOPE`."""
    return {**{info.name: info for info in describe(operation.schema)}, **_ENVELOPE_FIELDS}


def _pairs(arguments: list[Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The parameters of a submit: names and values in turn, before them, where their number is odd, the id."""
    params: dict[str, Any] = {}
    if len(arguments) % 2:
        params["id"] = coerce(arguments.pop(0), _ENVELOPE_FIELDS["id"])
    for key, value in zip(arguments[::2], arguments[1::2], strict=True):
        if not isinstance(key, str):
            raise BadRequest("the id must be followed by pairs of a parameter name and its value", field=str(key))
        if key in params:
            raise BadRequest(f"{key} is given twice", field=key)
        params[key] = coerce(value, _field(key, fields))
    return params


def _draft(operation: str, name: str, arguments: tuple[Any, ...], fields: Mapping[str, FieldInfo]) -> DraftValue:
    info = _field(name, fields)
    if len(arguments) > 1 and info.type.startswith("list"):
        return DraftValue(operation, info, coerce(list(arguments), info))
    if len(arguments) != 1:
        raise BadRequest(f"{name} takes one value, not {len(arguments)}", field=name)
    return DraftValue(operation, info, ordinals.read(arguments[0], info) or coerce(arguments[0], info))


def _field(name: str, fields: Mapping[str, FieldInfo]) -> FieldInfo:
    info = fields.get(name)
    if info is None:
        raise BadRequest(f"there is no parameter {name!r}", field=name, limits={"fields": sorted(fields)})
    return info


def positional(method: Method, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """The parameters of a method from arguments in order; what is left out keeps its default."""
    if len(arguments) > len(method.positional):
        raise BadRequest(
            f"{method.osc} takes at most {len(method.positional)} arguments, not {len(arguments)}",
            limits={"arguments": list(method.positional)},
        )
    fields = {info.name: info for info in method.parameters}
    return {name: coerce(value, fields[name]) for name, value in zip(method.positional, arguments, strict=False)}


def coerce(value: Any, info: FieldInfo) -> Any:
    """An OSC argument as the type its field wants, where nothing is lost by it; else the value as it is.

    Whether it is in range, and of the right type at last, is for the schema to say.
    """
    if info.type.startswith("list["):
        return _list(value, info)
    if info.type == "map":
        return _json(value, info)
    return _scalar(value, info.type)


def _scalar(value: Any, kind: str) -> Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "float" and number:
        return float(value)
    if kind == "bool" and number and value in (0, 1):
        return bool(value)
    if kind == "str" and number and math.isfinite(value):
        return str(int(value)) if float(value).is_integer() else str(value)
    return value


def _list(value: Any, info: FieldInfo) -> Any:
    kind = info.type[len("list[") : -1]
    if kind == "map" or kind.startswith("list["):
        return _json(value, info)
    if isinstance(value, str):
        words = [word.strip() for word in value.split(",") if word.strip()]
        return [_number(word, kind) for word in words]
    items = value if isinstance(value, list) else [value]
    return [_scalar(item, kind) for item in items]


def _number(word: str, kind: str) -> Any:
    try:
        return {"int": int, "float": float}.get(kind, str)(word)
    except ValueError:
        return word


def _json(value: Any, info: FieldInfo) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        raise BadRequest(f"{info.name} is not JSON", field=info.name, limits={"type": info.type}) from None


def _whole(value: float, name: str) -> int:
    if not float(value).is_integer() or value < 0:
        raise BadRequest(f"{name} is a whole number", field=name)
    return int(value)
