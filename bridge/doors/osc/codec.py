"""OSC packets: bytes in, messages and bundles out, in one strict pass.

Pure: no socket, no clock. Everything that is not OSC 1.0 with the types ``i h f d s b T F N t`` and flat arrays raises
`ProtocolError`; nothing else is ever raised, and no input makes the work grow faster than its size. Outgoing packets
are built with python-osc, whose own parser can be hung by 20 bytes and is therefore not used.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import msgspec

from acestep.api.errors import ProtocolError
from bridge.doors import limits

IMMEDIATELY = 1
"""The time tag that means now."""

NTP_EPOCH = 2_208_988_800
"""Seconds from 1900 (NTP) to 1970 (Unix)."""

_BUNDLE = b"#bundle\0"
_INT32, _INT64, _UINT64 = struct.Struct(">i"), struct.Struct(">q"), struct.Struct(">Q")
_FLOAT32, _FLOAT64 = struct.Struct(">f"), struct.Struct(">d")


class Message(msgspec.Struct, frozen=True):
    """An address and its arguments. An array is a list, a blob is bytes, ``N`` is None."""

    address: str
    arguments: tuple[Any, ...] = ()


class Bundle(msgspec.Struct, frozen=True):
    """Elements to be taken in order at ``time`` (64-bit NTP, `IMMEDIATELY` for now)."""

    time: int
    elements: tuple[Message | Bundle, ...] = ()

    @property
    def due(self) -> float:
        """The time as Unix seconds; 0 for `IMMEDIATELY`."""
        return 0.0 if self.time == IMMEDIATELY else self.time / 2**32 - NTP_EPOCH


Packet = Message | Bundle


def weight(packet: Packet) -> int:
    """About how many bytes a packet holds in memory."""
    if isinstance(packet, Bundle):
        return 64 + sum(weight(element) for element in packet.elements)
    return sum(_weight(value) for value in (packet.address, *packet.arguments))


def _weight(value: Any) -> int:
    if isinstance(value, list):
        return 64 + sum(_weight(item) for item in value)
    return 64 + len(value) if isinstance(value, (str, bytes)) else 32


def decode(data: bytes) -> Packet:
    """The message or bundle in a packet. Raises `ProtocolError`."""
    if not data or len(data) % 4:
        raise ProtocolError(f"the size of a packet must be a multiple of 4 bytes, not {len(data)}")
    return _Reader(data).element(len(data), depth=0, earliest=IMMEDIATELY)


class _Reader:
    """A position in a packet; every read checks that it stays within ``end``."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.elements = 0

    def element(self, end: int, depth: int, earliest: int) -> Packet:
        """The message or bundle from here to ``end``."""
        self.elements += 1
        if self.elements > limits.OSC_ELEMENTS:
            raise ProtocolError(f"a packet may have at most {limits.OSC_ELEMENTS} elements")
        if self.data.startswith(_BUNDLE, self.at, end):
            return self._bundle(end, depth + 1, earliest)
        return self._message(end)

    def _bundle(self, end: int, depth: int, earliest: int) -> Bundle:
        if depth > limits.OSC_DEPTH:
            raise ProtocolError(f"bundles may nest at most {limits.OSC_DEPTH} deep")
        self.at += len(_BUNDLE)
        time = self._number(_UINT64, end)
        if IMMEDIATELY < time < earliest:
            raise ProtocolError("a bundle is dated before the bundle that holds it")
        inner = []
        while self.at < end:
            size = self._number(_INT32, end)
            if size <= 0 or size % 4 or size > end - self.at:
                raise ProtocolError(f"a bundle element of {size} bytes does not fit")
            inner.append(self.element(self.at + size, depth, max(time, earliest)))
        return Bundle(time, tuple(inner))

    def _message(self, end: int) -> Message:
        address = self._string(end)
        if not address.startswith("/") or not address.isprintable():
            raise ProtocolError("an address must begin with / and be printable")
        tags = self._string(end)
        if not tags.startswith(","):
            raise ProtocolError(f"the message to {address} has no type tags")
        arguments = self._arguments(tags, end)
        if self.at != end:
            raise ProtocolError(f"{end - self.at} bytes follow the arguments of {address}")
        return Message(address, tuple(arguments))

    def _arguments(self, tags: str, end: int) -> list[Any]:
        arguments: list[Any] = []
        array: list[Any] | None = None
        for tag in tags[1:]:
            if tag == "[":
                if array is not None:
                    raise ProtocolError("arrays do not nest")
                array = []
            elif tag == "]":
                if array is None:
                    raise ProtocolError("an array ends but never began")
                arguments.append(array)
                array = None
            else:
                (arguments if array is None else array).append(self._argument(tag, end))
        if array is not None:
            raise ProtocolError("an array never ends")
        return arguments

    def _argument(self, tag: str, end: int) -> Any:
        read = _TAGS.get(tag)
        if read is None:
            raise ProtocolError(f"the type tag {tag!r} is not supported (i h f d s b T F N t and flat arrays are)")
        return read(self, end)

    def _number(self, form: struct.Struct, end: int) -> Any:
        if form.size > end - self.at:
            raise ProtocolError("the packet ends in the middle of a number")
        (value,) = form.unpack_from(self.data, self.at)
        self.at += form.size
        return value

    def _string(self, end: int) -> str:
        stop = self.data.find(0, self.at, end)
        if stop < 0:
            raise ProtocolError("a string never ends")
        raw = self.data[self.at : stop]
        self.at = self._padding(stop, stop + 4 - (stop - self.at) % 4, end)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("a string is not UTF-8") from None

    def _blob(self, end: int) -> bytes:
        size = self._number(_INT32, end)
        if not 0 <= size <= end - self.at:
            raise ProtocolError(f"a blob of {size} bytes does not fit")
        start, stop = self.at, self.at + size
        self.at = self._padding(stop, stop + -size % 4, end)
        return self.data[start:stop]

    def _padding(self, start: int, stop: int, end: int) -> int:
        if stop > end or any(self.data[start:stop]):
            raise ProtocolError("strings and blobs must be padded with zeros to a multiple of 4 bytes")
        return stop

    def _float32(self, end: int) -> float:
        return shortest(self._number(_FLOAT32, end))


def shortest(value: float) -> float:
    """The shortest decimal that is this float32: 0.7 sent as a float32 means 0.7, and so it stands in the recipe."""
    for digits in (6, 7, 8):
        plain = float(f"{value:.{digits}g}")
        if _FLOAT32.unpack(_FLOAT32.pack(plain))[0] == value:
            return plain
    return value


_TAGS: dict[str, Callable[[_Reader, int], Any]] = {
    "i": lambda reader, end: reader._number(_INT32, end),
    "h": lambda reader, end: reader._number(_INT64, end),
    "f": _Reader._float32,
    "d": lambda reader, end: reader._number(_FLOAT64, end),
    "t": lambda reader, end: reader._number(_UINT64, end),
    "s": _Reader._string,
    "b": _Reader._blob,
    "T": lambda reader, end: True,
    "F": lambda reader, end: False,
    "N": lambda reader, end: None,
}
