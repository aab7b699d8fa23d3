"""JSON-RPC over WebSocket, on the HTTP door: one text message holds one message or batch.

The framing is the protocol of the ``websockets`` package without its sockets; uvicorn hands a connection over when its request asks
for the upgrade. The guard of the HTTP door judges the handshake as every request (Host, Origin, Sec-Fetch-Site). A page cannot set
headers of a handshake, so a token that is not shown there comes in the first message, ``hello``; it never stands in the address.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SEND_EOF
from websockets.server import ServerProtocol

from acestep.api.errors import ProtocolError
from bridge.doors import limits
from bridge.doors.connection import GOODBYE_SECONDS, Terms
from bridge.doors.dispatch import Dispatcher
from bridge.doors.jsonrpc.connection import JsonConnection
from bridge.doors.streams import Crowd, StreamGroup, Turns

PATH = "/jsonrpc"
"""Address of the WebSocket on the HTTP door."""

CODES = {
    "stopping": CloseCode.GOING_AWAY,
    "bad_packet": CloseCode.INVALID_DATA,
    "idle": CloseCode.TRY_AGAIN_LATER,
}
"""Reason of a goodbye -> close code; any other is a broken rule."""

_quiet = logging.getLogger("bridge.websocket")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False
_quiet.setLevel(logging.CRITICAL + 1)  # what a peer does wrong is told in our own words, and only once


SHUTDOWN_SECONDS = 0.5
"""Time to answer the goodbye of a server that stops; uvicorn waits a second for all."""

Judge = Callable[[dict[str, Any]], tuple[int, str, bool]]
"""Takes the ASGI scope of a handshake; status and reason of a refusal (0 when there is none), and whether the token was shown."""


class WebSockets:
    """Makes the WebSockets of one HTTP server; uvicorn calls it for each request that asks for the upgrade."""

    def __init__(self, dispatcher: Dispatcher, judge: Judge, token: str = "") -> None:
        self.group = StreamGroup(Crowd(), Turns())
        self._dispatcher = dispatcher
        self._terms = Terms(token=token)
        self._judge = judge
        self._numbers = itertools.count(1)

    def __call__(self, config: Any, server_state: Any, app_state: dict[str, Any]) -> WebSocketConnection:
        """The protocol of one connection. ``server_state`` is uvicorn's own; it asks what stands there to shut down."""
        place = SocketPlace(self._dispatcher, self._terms, self.group, self._judge, server_state.connections)
        return WebSocketConnection(place, next(self._numbers))


@dataclass(frozen=True)
class SocketPlace:
    """What a WebSocket finds where it arrives."""

    dispatcher: Dispatcher
    terms: Terms
    group: StreamGroup
    judge: Judge
    connections: set[Any]


class WebSocketConnection(JsonConnection):
    """One WebSocket, from its handshake on."""

    def __init__(self, place: SocketPlace, number: int) -> None:
        super().__init__(place.dispatcher, place.terms, number, place.group)
        self._place = place
        self._protocol = ServerProtocol(max_size=limits.RPC_MESSAGE, logger=_quiet)
        self._unread = bytearray()
        self._heard: deque[bytes] = deque()
        self._begun = bytearray()
        """A message of several frames, as far as it has come."""
        self._more = False

    # What comes

    def connection_made(self, transport: Any) -> None:
        self._place.connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._place.connections.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """The server stops."""
        self.close("stopping", "the daemon is stopping")
        if self._transport is not None:
            asyncio.get_running_loop().call_later(SHUTDOWN_SECONDS, self._transport.abort)

    def _add(self, data: bytes) -> None:
        self._unread += data

    @property
    def _starved(self) -> bool:
        return not (self._heard or self._unread)

    @property
    def _mark(self) -> int:
        """A long message gets its time for each `limits.FRAME_BYTES` of it."""
        unfinished = len(self._begun) + len(self._protocol.reader.buffer)
        return unfinished // limits.FRAME_BYTES + 1 if unfinished or self._more else 0

    def _step(self) -> None:
        if self._heard:
            self._watched = 0  # the next message gets a time of its own
            self._hear(self._heard.popleft())
            return
        piece = bytes(self._unread[: limits.TURN_BYTES])
        del self._unread[: limits.TURN_BYTES]
        self._protocol.receive_data(piece)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._shake_hands(event)
            elif isinstance(event, Frame) and not self._parting:
                self._take_frame(event)
        self._flush()

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            raise ProtocolError("messages must be text, not binary")
        if frame.opcode not in (Opcode.TEXT, Opcode.CONT):
            return
        self._begun += frame.data
        self._more = not frame.fin
        if frame.fin:
            self._heard.append(_text(self._begun))
            self._begun.clear()

    def _hear(self, body: bytes) -> None:
        if not self._parting:
            super()._hear(body)

    def _shake_hands(self, request: Request) -> None:
        """Let the client in, or answer why not."""
        path = request.path.partition("?")[0]
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.raw_items()
        ]
        status, reason, known = self._place.judge({"type": "websocket", "path": path, "headers": headers})
        if not status and path != PATH:
            status, reason = HTTPStatus.NOT_FOUND, f"there is no WebSocket here; it is at {PATH}"
        response = self._protocol.reject(status, reason + "\n") if status else self._protocol.accept(request)
        if not status and response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            response = self._protocol.reject(response.status_code, "this is not a valid WebSocket handshake\n")
        self._known = self._known or (known and not status)
        self._protocol.send_response(response)

    # What goes

    def _flush(self) -> None:
        """Send what the protocol itself has to say: the handshake, pongs, the close frame, the end."""
        for data in self._protocol.data_to_send():
            if data != SEND_EOF:
                self._pass_on(data)
            elif self._transport is not None:
                self._leave(self._transport)

    def _leave(self, transport: asyncio.Transport) -> None:
        """Nothing more will be said; the other side closes, or the connection is cut a moment later."""
        self._parting = True
        if not transport.is_closing():
            try:
                transport.write_eof()
            except OSError:  # the other side did not wait for our goodbye
                transport.abort()
                return
            transport.resume_reading()
            asyncio.get_running_loop().call_later(GOODBYE_SECONDS, transport.abort)

    def _framed(self, message: bytes) -> bytes:
        """A message as its frame; empty when the conversation is over."""
        try:
            self._protocol.send_text(message)
        except InvalidState:
            return b""
        return b"".join(self._protocol.data_to_send())

    def _part(self, transport: asyncio.Transport, reason: str, goodbye: bytes) -> None:
        """Send the last message and the close frame; the other side answers with its own and closes."""
        transport.write(self._framed(goodbye))
        try:
            self._protocol.send_close(CODES.get(reason, CloseCode.POLICY_VIOLATION), reason)
        except InvalidState:
            transport.close()
            return
        transport.write(b"".join(self._protocol.data_to_send()))
        transport.resume_reading()


def _text(data: bytearray) -> bytes:
    """A message that is text. Raises `ProtocolError`, as the standard wants it, before anybody looks inside."""
    try:
        data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a message is text in UTF-8") from None
    return bytes(data)
