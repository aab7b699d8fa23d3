"""MessagePack-RPC: a stream of bytes in, requests, responses and notifications out.

Pure. The stream is a row of MessagePack arrays without any framing, so a scanner first finds where each ends and counts sizes,
depth and entries against limits, before anything is decoded or stored; only then is the message decoded, whole, by a
decoder made for it alone. Everything wrong raises `ProtocolError`, and the stream is unusable after that.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, ProtocolError
from bridge.doors import limits

REQUEST, RESPONSE, NOTIFICATION = 0, 1, 2


class RpcRequest(msgspec.Struct, frozen=True):
    """A call that wants an answer."""

    id: int
    method: str
    params: Any


class Response(msgspec.Struct, frozen=True):
    """The answer to a call: an error or a result."""

    id: int
    error: Any
    result: Any


class Notification(msgspec.Struct, frozen=True):
    """A call that wants none."""

    method: str
    params: Any


Message = RpcRequest | Response | Notification


def _sizes() -> list[tuple[str, int]]:
    """For each first byte the form of the value, and the bytes of its length field or of its body."""
    table: list[tuple[str, int]] = [("fixed", 0)] * 256
    for byte in range(0x80, 0x90):
        table[byte] = ("map", byte & 0x0F)
    for byte in range(0x90, 0xA0):
        table[byte] = ("array", byte & 0x0F)
    for byte in range(0xA0, 0xC0):
        table[byte] = ("fixed", byte & 0x1F)
    table[0xC1] = ("unused", 0)
    for byte, size in zip((0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB), (1, 2, 4, 1, 2, 4), strict=True):
        table[byte] = ("bytes", size)
    for byte, size in zip((0xDC, 0xDD, 0xDE, 0xDF), (2, 4, 2, 4), strict=True):
        table[byte] = ("array long" if byte < 0xDE else "map long", size)
    for byte in (0xC7, 0xC8, 0xC9, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8):
        table[byte] = ("extension", 0)
    for first, widths in ((0xCA, (4, 8)), (0xCC, (1, 2, 4, 8)), (0xD0, (1, 2, 4, 8))):
        for offset, size in enumerate(widths):
            table[first + offset] = ("fixed", size)
    return table


_TABLE = _sizes()


class Splitter:
    """Feed it whatever arrived; it returns the messages that are complete and keeps the rest.

    Every byte is scanned once however it is cut up. Raises `ProtocolError` as soon as a limit is known to be broken.
    """

    def __init__(self, most: int = limits.RPC_MESSAGE) -> None:
        self._most = most
        self._buffer = bytearray()
        self._at = 0  # the next value to scan
        self._open: list[int] = []  # values that are missing in each open container
        self._values = 0
        self.starved = True
        """Whether everything that is here has been looked at."""

    @property
    def unfinished(self) -> int:
        """Bytes of a message that has begun and not ended."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages completed by ``data``, each as its bytes."""
        self.add(data)
        found: list[bytes] = []
        while (body := self.next()) is not None:
            found.append(body)
        return found

    def add(self, data: bytes) -> None:
        """Take bytes that arrived; `next` looks at them."""
        self._buffer += data
        self.starved = False

    def next(self, most: int = sys.maxsize) -> bytes | None:
        """The next complete message; None when there is none yet, or when ``most`` values were scanned and more can be."""
        for _ in range(most):
            if self._at >= len(self._buffer):
                self.starved = True
                return None
            children, end = self._header()
            if end > len(self._buffer):
                self.starved = True
                return None
            self._at = end
            if self._count(children):
                body = bytes(self._buffer[:end])
                del self._buffer[:end]
                self._at = self._values = 0
                return body
        return None

    def _header(self) -> tuple[int, int]:
        """How many values stand inside the value here, and where it (or its header) ends."""
        form, size = _TABLE[self._buffer[self._at]]
        if self._at == 0 and "array" not in form:
            raise ProtocolError("a message is an array")
        if form in ("extension", "unused"):
            raise ProtocolError(f"{form} types are not accepted")
        body = self._at + 1
        if form == "fixed":
            return 0, self._within(body + size)
        if form in ("map", "array"):
            return self._children(form, size), body
        if body + size > len(self._buffer):
            return 0, body + size
        length = int.from_bytes(self._buffer[body : body + size], "big")
        if form == "bytes":
            return 0, self._within(body + size + length)
        return self._children(form, length), body + size

    def _within(self, end: int) -> int:
        if end > self._most:
            raise ProtocolError(f"a message may have at most {self._most} bytes", limits={"max": self._most})
        return end

    @staticmethod
    def _children(form: str, length: int) -> int:
        if length > limits.RPC_LENGTH:
            raise ProtocolError(f"an array or map may have at most {limits.RPC_LENGTH} entries")
        return 2 * length if form.startswith("map") else length

    def _count(self, children: int) -> bool:
        """Note a value with its number of children; True when the outermost container is full."""
        self._values += 1
        if self._values > limits.RPC_VALUES:
            raise ProtocolError(f"a message may have at most {limits.RPC_VALUES} values")
        if children:
            self._open.append(children)
            if len(self._open) > limits.RPC_DEPTH:
                raise ProtocolError(f"containers may nest at most {limits.RPC_DEPTH} deep")
            return False
        while self._open:
            self._open[-1] -= 1
            if self._open[-1]:
                return False
            self._open.pop()
        return True


def decode(body: bytes) -> Message:
    """The message in one complete MessagePack array. Raises `ProtocolError`."""
    try:
        data = msgspec.msgpack.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as failure:
        raise ProtocolError(f"the message is not MessagePack: {failure}") from None
    match data:
        case [0, int(id), str(method), params] if _is_id(id) and len(method) <= limits.RPC_METHOD:
            return RpcRequest(id, method, params)
        case [1, int(id), error, result] if _is_id(id):
            return Response(id, error, result)
        case [2, str(method), params] if len(method) <= limits.RPC_METHOD:
            return Notification(method, params)
    raise ProtocolError(
        "a message must be [0, id, method, params], [1, id, error, result] or [2, method, params], with an unsigned 32-bit id"
    )


def _is_id(value: int) -> bool:
    return not isinstance(value, bool) and 0 <= value < 2**32


def parameters(params: Any) -> dict[str, Any]:
    """The one map of parameters, bare or in an array of one, as most clients send it. Raises `BadRequest`."""
    if isinstance(params, list):
        if not params:
            return {}
        params = params[0] if len(params) == 1 else None
    if params is None:
        raise BadRequest("params must be one map, or an array with one map", field="params")
    if not isinstance(params, dict) or not all(isinstance(key, str) for key in params):
        raise BadRequest("the keys of params must be strings", field="params")
    return params


_encoder = msgspec.msgpack.Encoder()


def request(id: int, method: str, params: dict[str, Any]) -> bytes:
    """A request as bytes."""
    return _encoder.encode([REQUEST, id, method, [params]])


def response(id: int, error: Any, result: Any) -> bytes:
    """A response as bytes; one of ``error`` and ``result`` is None."""
    return _encoder.encode([RESPONSE, id, error, result])


def notification(method: str, params: dict[str, Any]) -> bytes:
    """A notification as bytes."""
    return _encoder.encode([NOTIFICATION, method, [params]])
