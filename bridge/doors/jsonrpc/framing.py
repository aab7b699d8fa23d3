"""Lines of a stream. Pure."""

from __future__ import annotations

from acestep.api.errors import ProtocolError
from bridge.doors import limits


class LineSplitter:
    """Feed it whatever arrived; it gives whole lines without their ends, and keeps the rest. Each byte is looked at once."""

    def __init__(self, most: int = limits.RPC_MESSAGE) -> None:
        self._most = most
        self._buffer = bytearray()
        self._looked_at = 0

    @property
    def starved(self) -> bool:
        """Whether everything that is here has been looked at."""
        return self._looked_at == len(self._buffer)

    @property
    def unfinished(self) -> int:
        """Bytes that are kept."""
        return len(self._buffer)

    @property
    def beginning(self) -> bytes:
        """The first byte that is kept."""
        return bytes(self._buffer[:1])

    def add(self, data: bytes) -> None:
        """Take bytes that arrived."""
        self._buffer += data

    def next(self) -> bytes | None:
        """The next line, blanks around it taken off; None when there is no whole one. Raises `ProtocolError` for one too long."""
        end = self._buffer.find(b"\n", self._looked_at)
        if (len(self._buffer) if end < 0 else end) > self._most:
            raise ProtocolError(f"a line may have at most {self._most} bytes", limits={"max": self._most})
        if end < 0:
            self._looked_at = len(self._buffer)
            return None
        line = bytes(self._buffer[:end]).strip()
        del self._buffer[: end + 1]
        self._looked_at = 0
        return line
