"""MIDI over TCP, for programs that have no MIDI ports."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
import time
from typing import Any, cast

import mido

from acestep.api.errors import Unavailable
from bridge.performance.ports import Deliver

log = logging.getLogger(__name__)

FIRST_STATUS = 0x80
"""The smallest byte that begins a MIDI message."""

CONNECTIONS = 16
"""Programs that may be connected; each costs a thread."""


class MidiSocket:
    """MIDI over TCP on the loopback interface, as `mido.sockets.connect` sends it: for programs without MIDI ports.

    Each connection has a parser of its own, so nonsense from one client cannot reach another. A stream begins with a status byte:
    whatever else begins one, such as a web page's request, is closed. The connection that was idle longest makes room.
    """

    def __init__(self, deliver: Deliver, port: int, host: str = "127.0.0.1") -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                server, parser = cast(_MidiServer, self.server), mido.Parser()
                while data := self.request.recv(1024):
                    if server.note_data(self.request) and data[0] < FIRST_STATUS:
                        return
                    parser.feed(data)
                    for message in parser:
                        deliver(message, time.monotonic(), "socket")

        try:
            self._server = _MidiServer((host, port), Handler)
        except OSError as failure:
            raise Unavailable(
                f"MIDI socket {host}:{port} cannot be opened: {failure.strerror}", field="midi_socket"
            ) from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="midi socket", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Close the socket; open connections end with the process or their client."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _MidiServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._open: dict[socket.socket, float] = {}  # by when each was heard last; 0: never
        self._lock = threading.Lock()
        super().__init__(*arguments)

    def note_data(self, connection: socket.socket) -> bool:
        """Note that bytes have come; whether they are its first."""
        with self._lock:
            before = self._open.get(connection, 0.0)
            self._open[connection] = time.monotonic()
        return not before

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let a connection in, in place of the one that was idle longest where there are too many."""
        with self._lock:
            self._open[request] = 0.0
            idle = min(self._open, key=lambda one: self._open[one]) if len(self._open) > CONNECTIONS else None
            if idle is not None:
                del self._open[idle]
        if idle is not None:
            with contextlib.suppress(OSError):
                idle.shutdown(socket.SHUT_RDWR)
        return True

    def shutdown_request(self, request: Any) -> None:
        """A connection has ended."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("MIDI socket client %s went away", client_address, exc_info=True)
