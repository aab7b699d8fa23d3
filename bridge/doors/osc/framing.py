"""OSC packets in a byte stream: length-prefixed (OSC 1.0) or SLIP (OSC 1.1), told apart by the first byte.

Pure: bytes in, packets out. A length below 16 MiB begins with a zero byte and an OSC packet never does, so the first
byte decides for the life of a connection; a byte that begins none of them ends it.
"""

from __future__ import annotations

import re
import struct
from typing import Literal

from acestep.api.errors import ProtocolError
from bridge.doors import limits
from bridge.doors.streams import Opening

Mode = Literal["length", "slip"]

END, ESC, ESC_END, ESC_ESC = b"\xc0", b"\xdb", b"\xdc", b"\xdd"

OPENING = Opening(b"\0" + END + b"/#")
"""A length, the END of SLIP, or (where a sender leaves the leading END out) an address or a bundle."""

_LENGTH = struct.Struct(">I")
_BAD_ESCAPE = re.compile(rb"\xdb(?![\xdc\xdd])")


def frame(packet: bytes, mode: Mode) -> bytes:
    """A packet as it goes into the stream. SLIP frames carry END on both sides, as OSC 1.1 asks."""
    if mode == "length":
        return _LENGTH.pack(len(packet)) + packet
    return END + packet.replace(ESC, ESC + ESC_ESC).replace(END, ESC + ESC_END) + END


class Framer:
    """Feed it whatever arrived; it returns the packets that are complete and keeps the rest.

    ``mode`` is None until the first byte has come. A stream that begins otherwise, an oversized frame and a bad escape raise
    `ProtocolError`: nothing after it can be trusted, and it may never have been OSC (a web page can send bytes here).
    """

    def __init__(self, most: int = limits.OSC_TCP_IN) -> None:
        self.mode: Mode | None = None
        self._most = most
        self._buffer = bytearray()
        self._searched = 0

    @property
    def unfinished(self) -> bool:
        """Whether a frame has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The packets completed by ``data``. Raises `ProtocolError`; the stream is lost after that."""
        if not data:
            return []
        if self.mode is None:
            OPENING.check(data)
            self.mode = "length" if data[0] == 0 else "slip"
        self._buffer += data
        return self._prefixed() if self.mode == "length" else self._slip()

    def _prefixed(self) -> list[bytes]:
        packets: list[bytes] = []
        at = 0
        while len(self._buffer) - at >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer, at)
            self._check(size)
            end = at + _LENGTH.size + size
            if end > len(self._buffer):
                break
            packets.append(bytes(self._buffer[at + _LENGTH.size : end]))
            at = end
        del self._buffer[:at]
        return packets

    def _slip(self) -> list[bytes]:
        packets: list[bytes] = []
        at = 0
        while (end := self._buffer.find(END, max(at, self._searched))) >= 0:
            raw = bytes(self._buffer[at:end])
            at = end + 1
            if _BAD_ESCAPE.search(raw):
                raise ProtocolError("a SLIP frame has a bad escape")
            if raw:  # END END is an idle line, no packet
                self._check(len(raw) // 2)
                packets.append(raw.replace(ESC + ESC_END, END).replace(ESC + ESC_ESC, ESC))
        del self._buffer[:at]
        self._searched = len(self._buffer)
        self._check(len(self._buffer) // 2)
        return packets

    def _check(self, size: int) -> None:
        if size > self._most:
            raise ProtocolError(f"a frame of {size} bytes is over the limit of {self._most}")
