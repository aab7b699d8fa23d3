"""One client that speaks JSON-RPC: its calls and batches, whatever carries them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acestep.api.errors import AceError, ProtocolError, TooLarge
from bridge.doors.connection import Connection, Language, Reply
from bridge.doors.jsonrpc import codec

Out = Callable[[bytes, Callable[[], None]], None]
"""Takes an answer, and what to do once it is sent."""


class JsonConnection(Connection):
    """Calls and answers as JSON; a transport below says where a message begins and ends."""

    door = "jsonrpc"
    language: Language = codec

    def _hear(self, body: bytes) -> None:
        """Take one message."""
        self.spoke = True
        try:
            heard = codec.decode(body)
        except (ProtocolError, TooLarge) as failure:
            number = codec.PARSE_ERROR if isinstance(failure, ProtocolError) else codec.INVALID_REQUEST
            self._send(codec.failure(None, failure, number))
            return
        if not isinstance(heard, list):
            self._obey(heard, self._send_answer)
            return
        out = JsonBatch(sum(_wants_answer(entry) for entry in heard), self._send_answer)
        for entry in heard:
            self._obey(entry, out.add)

    def _send_answer(self, data: bytes, then: Callable[[], None]) -> None:
        self._send(data)
        then()

    def _obey(self, entry: codec.Entry, out: Out) -> None:
        if isinstance(entry, codec.InvalidCall):
            out(codec.failure(entry.id, entry.error, codec.INVALID_REQUEST), lambda: None)
        elif isinstance(entry, codec.JsonCall):
            self._take(entry.method, entry.params, _reply(entry, out) if _wants_answer(entry) else None)


def _wants_answer(entry: codec.Entry) -> bool:
    return isinstance(entry, codec.InvalidCall) or (isinstance(entry, codec.JsonCall) and not entry.is_notification)


def _reply(call: codec.JsonCall, out: Out) -> Reply:
    def reply(error: AceError | None, result: Any, then: Callable[[], None]) -> None:
        if error is None:
            out(codec.response(call.id, result), then)
        else:
            out(codec.failure(call.id, error, codec.number(error, call.method)), then)

    return reply


class JsonBatch:
    """The answers to one batch: sent as one array when the last of them is there."""

    def __init__(self, size: int, out: Out) -> None:
        self._missing = size
        self._out = out
        self._answers: list[bytes] = []
        self._behind: list[Callable[[], None]] = []

    def add(self, answer: bytes, then: Callable[[], None]) -> None:
        """Take one answer, and what to do once all are sent."""
        self._answers.append(answer)
        self._behind.append(then)
        if len(self._answers) == self._missing:
            self._out(codec.batch(self._answers), self._finish)

    def _finish(self) -> None:
        for then in self._behind:
            then()
