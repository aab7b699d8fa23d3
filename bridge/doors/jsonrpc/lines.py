"""JSON-RPC as lines, over a local socket or TCP: each line holds one message or batch.

Over TCP the first line must be a JSON object, or the connection ends: a page of the web can make a browser send bytes to any port
of this machine, and they begin with a line of HTTP.
"""

from __future__ import annotations

import asyncio

from acestep.api.errors import ProtocolError
from bridge.doors import limits
from bridge.doors.connection import Terms
from bridge.doors.dispatch import Dispatcher
from bridge.doors.jsonrpc import codec
from bridge.doors.jsonrpc.connection import JsonConnection
from bridge.doors.jsonrpc.framing import LineSplitter
from bridge.doors.streams import Opening, StreamGroup

OPENING = Opening(b"{ \t\r\n")


class LineConnection(JsonConnection):
    """One stream of lines."""

    def __init__(self, dispatcher: Dispatcher, terms: Terms, number: int, group: StreamGroup) -> None:
        super().__init__(dispatcher, terms, number, group)
        self._lines = LineSplitter()
        self._judged = not terms.token
        """Whether the first line is known to be a JSON object; on a local socket no page can speak."""
        self._ended = False

    # What comes

    def _add(self, data: bytes) -> None:
        self._lines.add(data)

    @property
    def _starved(self) -> bool:
        return self._lines.starved

    @property
    def _mark(self) -> int:
        """A long line gets its time for each `limits.FRAME_BYTES` of it."""
        return self._lines.unfinished // limits.FRAME_BYTES + 1 if self._lines.unfinished else 0

    def _step(self) -> None:
        if not self._judged:
            OPENING.check(self._lines.beginning)
        line = self._lines.next()
        if line is not None:
            self._watched = 0  # the next message gets a time of its own
        if line:
            self._judge(line)
            self._hear(line)
        self._end_if_done()

    def _judge(self, line: bytes) -> None:
        """Look at the first line. Raises `ProtocolError`."""
        if self._judged:
            return
        if not line.startswith(b"{"):
            raise ProtocolError("the first line must be a JSON object: hello with the token")
        codec.decode(line)
        self._judged = True

    # What goes

    def _framed(self, message: bytes) -> bytes:
        return message + b"\n"

    # The end

    def eof_received(self) -> bool:
        """The client has said everything; it still gets the answers that are under way."""
        self._ended = True
        return not self._end_if_done()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_if_done()

    def _on_request_end(self, task: asyncio.Task[None]) -> None:
        super()._on_request_end(task)
        self._end_if_done()

    def _end_if_done(self) -> bool:
        """Close the connection of a client that has said everything and got every answer. Whether it is closed."""
        done = self._ended and self._starved and not self._tasks and not len(self._outbox)
        if done and self._transport is not None:
            self._transport.close()
        return done
