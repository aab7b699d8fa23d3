"""JSON-RPC 2.0: the bytes of one message in, calls out; answers, errors and notifications as bytes.

Pure. What frames a message (a line, a WebSocket message) is the transport's business. A message is measured before it is decoded,
so that a small one cannot ask for much memory. Follows https://www.jsonrpc.org/specification; parameters come by name.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from acestep.api.errors import (
    AceError,
    BadRequest,
    InternalError,
    ProtocolError,
    TooLarge,
    UnknownName,
    UnknownOperation,
)
from bridge.doors import limits
from bridge.doors.operation_methods import OPERATION_PREFIX

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
"""Every other error; the code word in ``data`` says which."""

Id = str | int | float | None


class JsonCall(msgspec.Struct, frozen=True):
    """A request, or a notification, which has no id and gets no answer."""

    method: str
    params: Any = None
    id: Id = None
    is_notification: bool = False


class JsonAnswer(msgspec.Struct, frozen=True):
    """What a client says to a request of ours, such as a heartbeat."""

    id: Id


class InvalidCall(msgspec.Struct, frozen=True):
    """What is JSON and no request; ``id`` where one could be read."""

    error: ProtocolError
    id: Id = None


Entry = JsonCall | JsonAnswer | InvalidCall


def decode(body: bytes) -> Entry | list[Entry]:
    """The call in one message, or the entries of a batch. Raises `ProtocolError` for what is not JSON, `TooLarge` over a limit."""
    _measure(body)
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError):
        raise ProtocolError("the message is not valid JSON") from None
    if not isinstance(data, list):
        return _entry(data)
    if not data:
        return InvalidCall(ProtocolError("a batch needs at least one request"))
    if len(data) > limits.JSON_BATCH:
        return InvalidCall(
            ProtocolError(f"a batch may have at most {limits.JSON_BATCH} requests", limits={"max": limits.JSON_BATCH})
        )
    return [_entry(item) for item in data]


_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_OPENING, _CLOSING, _COUNTED = b"[{", b"]}", b"[{,:"


def _measure(body: bytes) -> None:
    """Refuse what holds too many values or nests too deep. Texts are taken out first, for what they contain does not count."""
    if len(body) > limits.RPC_MESSAGE:
        raise TooLarge(f"a message may have at most {limits.RPC_MESSAGE} bytes", limits={"max": limits.RPC_MESSAGE})
    quick = sum(body.count(mark) for mark in (b"[", b"{", b",", b":"))
    if quick <= limits.RPC_DEPTH:
        return
    if body.count(b'"') > 4 * limits.RPC_VALUES:
        raise _too_many()
    marks = _STRING.sub(b"", body).translate(None, _NOT_A_MARK)
    if len(marks) - marks.count(b"]") - marks.count(b"}") > limits.RPC_VALUES:
        raise _too_many()
    depth = 0
    for mark in marks.translate(None, b",:"):
        depth += 1 if mark in _OPENING else -1
        if depth > limits.RPC_DEPTH:
            raise TooLarge(
                f"objects and arrays may nest at most {limits.RPC_DEPTH} deep", limits={"max": limits.RPC_DEPTH}
            )


_NOT_A_MARK = bytes(byte for byte in range(256) if byte not in b"[]{},:")


def _too_many() -> TooLarge:
    return TooLarge(f"a message may have at most {limits.RPC_VALUES} values", limits={"max": limits.RPC_VALUES})


def _entry(data: Any) -> Entry:
    if not isinstance(data, dict):
        return InvalidCall(ProtocolError("a request is a JSON object"))
    id = data.get("id", msgspec.UNSET)
    if isinstance(id, bool) or not isinstance(id, (str, int, float, type(None), msgspec.UnsetType)):
        return InvalidCall(ProtocolError("an id must be a string, a number or null", field="id"))
    if isinstance(id, str) and len(id) > limits.JSON_ID:
        return InvalidCall(
            ProtocolError(
                f"an id may have at most {limits.JSON_ID} characters", field="id", limits={"max": limits.JSON_ID}
            )
        )
    known = None if id is msgspec.UNSET else id
    if data.get("jsonrpc") != "2.0":
        return InvalidCall(ProtocolError('a request needs "jsonrpc": "2.0"', field="jsonrpc"), known)
    method = data.get("method", msgspec.UNSET)
    if method is msgspec.UNSET and ("result" in data or "error" in data):
        return JsonAnswer(known)
    if not isinstance(method, str) or len(method) > limits.RPC_METHOD:
        longest = {"max_length": limits.RPC_METHOD}
        return InvalidCall(
            ProtocolError(
                f"method must be text of at most {limits.RPC_METHOD} characters", field="method", limits=longest
            ),
            known,
        )
    return JsonCall(method, data.get("params"), known, id is msgspec.UNSET)


def parameters(params: Any) -> dict[str, Any]:
    """The parameters by name. An empty array is none at all: Lua writes an empty table so. Raises `BadRequest`."""
    if params is None or params == []:
        return {}
    if isinstance(params, list) and len(params) == 1:
        params = params[0]
    if not isinstance(params, dict):
        raise BadRequest("params must be one object with named parameters", field="params")
    return params


def number(failure: AceError, method: str = "") -> int:
    """The error number of the specification that fits an error which a call of ``method`` met."""
    match failure:
        case UnknownOperation() if failure.field == "method" or method.startswith(OPERATION_PREFIX):
            return METHOD_NOT_FOUND
        case BadRequest() | UnknownName() | UnknownOperation():
            return INVALID_PARAMS
        case InternalError():
            return INTERNAL_ERROR
    return SERVER_ERROR


_encoder = msgspec.json.Encoder()


def request(id: int, method: str, params: dict[str, Any]) -> bytes:
    """A request as bytes."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})


def notification(method: str, params: dict[str, Any]) -> bytes:
    """A notification as bytes."""
    return _encoder.encode({"jsonrpc": "2.0", "method": method, "params": params})


def response(id: Id, result: Any) -> bytes:
    """The answer to a request as bytes; bytes inside it become base64."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "result": result})


def failure(id: Id, error: AceError, code: int) -> bytes:
    """An error as bytes: the sentence as ``message``, everything else of it in ``data``."""
    data = error.to_wire()
    message = data.pop("message")
    return error_response(id, {"code": code, "message": message, "data": data})


def error_response(id: Id, error: dict[str, Any]) -> bytes:
    """An error object as bytes."""
    return _encoder.encode({"jsonrpc": "2.0", "id": id, "error": error})


def batch(answers: list[bytes]) -> bytes:
    """Answers as one array."""
    return b"[" + b",".join(answers) + b"]"
