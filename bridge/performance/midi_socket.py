"""MIDI over TCP, for programs that have no MIDI ports."""

from __future__ import annotations

import logging
import socketserver
import threading
import time
from typing import Any

import mido

from acestep.api.errors import Unavailable
from bridge.performance.ports import Deliver

log = logging.getLogger(__name__)


class MidiSocket:
    """MIDI over TCP on the loopback interface, as `mido.sockets.connect` sends it: for programs without MIDI ports.

    Each connection has a parser of its own, so nonsense from one client cannot reach another.
    """

    def __init__(self, deliver: Deliver, port: int, host: str = "127.0.0.1") -> None:
        class Connection(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                parser = mido.Parser()
                while data := self.request.recv(1024):
                    parser.feed(data)
                    for message in parser:
                        deliver(message, time.monotonic(), "socket")

        try:
            self._server = _Server((host, port), Connection)
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


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("MIDI socket client %s went away", client_address, exc_info=True)
