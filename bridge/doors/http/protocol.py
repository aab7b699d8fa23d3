"""uvicorn's HTTP protocol with a bounded crowd and a time for headers: silent and slow clients lock nobody out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import Any, cast

from h11 import LocalProtocolError
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.doors import limits
from bridge.doors.streams import Crowd


def _send_at_once(transport: Any) -> None:
    """No waiting for the other side's receipt between the header and the body of an answer, which costs each 40 ms.

    asyncio sees to it only for sockets that were made with the number of their protocol.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def protocol(crowd: Crowd) -> type[H11Protocol]:
    """The protocol of a server whose connections are ``crowd``."""

    class Protocol(H11Protocol):
        """One connection: what has sent no whole header in time is closed, and the one idle longest makes room."""

        spoke = False
        _last_data_at = 0.0
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._last_data_at = time.monotonic()
            _send_at_once(transport)
            if not crowd.enter(self):
                transport.abort()
                return
            self._deadline = self.loop.call_later(limits.HEADER_SECONDS, self.dismiss)

        def data_received(self, data: bytes) -> None:
            self._last_data_at = time.monotonic()
            super().data_received(data)
            if self.cycle is not None and self._deadline is not None:
                self.spoke = True
                self._deadline.cancel()
                self._deadline = None

        def send_400_response(self, msg: str) -> None:
            if self.cycle is not None:  # a request that was under way: there is no room for its own answer any more
                self.cycle.disconnected = True
            try:
                super().send_400_response(msg)
            except LocalProtocolError:  # bytes behind a last answer: there is no room for another one
                self.transport.close()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            if self._deadline is None and not self.transport.is_closing():  # the next header has its time, too
                self._deadline = self.loop.call_later(self.timeout_keep_alive + limits.HEADER_SECONDS, self.dismiss)

        def handle_websocket_upgrade(self, event: Any) -> None:
            self._let_go()  # a WebSocket has its own place and its own deadlines
            super().handle_websocket_upgrade(event)
            behind, _ = self.conn.trailing_data
            if behind:
                cast(asyncio.Protocol, self.transport.get_protocol()).data_received(behind)

        def connection_lost(self, exc: Exception | None) -> None:
            self._let_go()
            super().connection_lost(exc)

        def _let_go(self) -> None:
            crowd.leave(self)
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        @property
        def idle_since(self) -> float | None:
            """When it was heard last, if no request of it is being answered."""
            busy = self.cycle is not None and not self.cycle.response_complete
            return None if busy else self._last_data_at

        def dismiss(self) -> None:
            """Close it, unless it is at work."""
            if self.idle_since is not None:
                self.transport.abort()

    return Protocol
