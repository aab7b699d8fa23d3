"""One client of the RPC door: its bytes as MessagePack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from acestep.api.errors import AceError
from bridge.doors import limits
from bridge.doors.connection import Connection, Language, Reply, Terms
from bridge.doors.dispatch import Dispatcher
from bridge.doors.rpc import codec
from bridge.doors.streams import StreamGroup


class RpcConnection(Connection):
    """A row of MessagePack arrays, without any framing."""

    door = "rpc"
    language: Language = codec

    def __init__(self, dispatcher: Dispatcher, terms: Terms, number: int, group: StreamGroup) -> None:
        super().__init__(dispatcher, terms, number, group)
        self._splitter = codec.Splitter()

    def _add(self, data: bytes) -> None:
        self._splitter.add(data)

    def _step(self) -> None:
        body = self._splitter.next(limits.TURN_VALUES)
        if body is not None:
            self.spoke = True
            self._watched = 0  # the next message gets a time of its own
            self._obey(codec.decode(body))

    @property
    def _starved(self) -> bool:
        return self._splitter.starved

    @property
    def _mark(self) -> int:
        """A long message gets its time for each `limits.FRAME_BYTES` of it."""
        return self._splitter.unfinished // limits.FRAME_BYTES + 1 if self._splitter.unfinished else 0

    def _obey(self, message: codec.Message) -> None:
        if isinstance(message, codec.Response):
            return  # the answer to a heartbeat; that it came is all it says
        reply = self._reply_to(message.id) if isinstance(message, codec.RpcRequest) else None
        self._take(message.method, message.params, reply)

    def _reply_to(self, id: int) -> Reply:
        def reply(error: AceError | None, result: Any, then: Callable[[], None]) -> None:
            self._send(codec.response(id, None if error is None else error.to_wire(), result))
            then()

        return reply
