"""MIDI in and out through mido: ports found by the beginning of their names, plugged and unplugged at any time.

mido and its backend are optional at run time: without them (or without a MIDI system) the state says what is missing and
everything else goes on. Messages carry the monotonic time at which they arrived.
"""

from __future__ import annotations

import logging
import socketserver
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import mido
import msgspec

from acestep.api.errors import BadRequest, Unavailable

log = logging.getLogger(__name__)

RESCAN = 1.0
"""Seconds between looks for ports that came or went."""

CLIENT = "acestep-bridge"
"""Name under which the virtual port appears."""

Deliver = Callable[[mido.Message, float, str], None]
"""Called from a MIDI thread with the message, its arrival time (s, monotonic) and the port's name."""


class MidiState(msgspec.Struct, frozen=True, kw_only=True):
    """What MIDI input there is, for status. ``reason`` is a sentence when there is none."""

    backend: str
    available: bool
    open: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    reason: str = ""


class MidiInputs:
    """All inputs whose names begin with one of ``prefixes`` (none: every one), and a virtual port where there can be one.

    ``backend`` is a mido backend such as ``mido.backends.rtmidi/UNIX_JACK``; empty takes mido's default.
    """

    def __init__(
        self, deliver: Deliver, prefixes: Iterable[str] = (), *, backend: str = "", virtual: bool = True
    ) -> None:
        self._deliver = deliver
        self._prefixes = tuple(prefix.lower() for prefix in prefixes)
        self._backend = mido.Backend(backend) if backend else mido.backend
        self._virtual = virtual
        self._scanner: Any = None
        self._open: dict[str, Any] = {}
        self._seen: tuple[str, ...] = ()
        self._reason = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="midi ports", daemon=True)

    def start(self) -> None:
        """Begin looking for ports."""
        self._thread.start()

    def stop(self) -> None:
        """Close every port."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        for name in list(self._open):
            self._close(name)

    def state(self) -> MidiState:
        """The ports as they are now."""
        return MidiState(
            backend=self._backend.name,
            available=not self._reason,
            open=tuple(sorted(self._open)),
            seen=self._seen,
            reason=self._reason,
        )

    def _run(self) -> None:
        if self._virtual:
            self._open_virtual()
        while not self._stop.is_set():
            self.scan()
            self._stop.wait(RESCAN)

    def scan(self) -> None:
        """Open ports that came, close those that went."""
        try:
            names = self._look()
        except (ImportError, OSError, SystemError) as failure:
            self._reason = f"no MIDI system: {failure}"
            return
        self._reason = ""
        self._seen = tuple(names)
        for name in set(self._open) - set(names) - {CLIENT}:
            log.info("MIDI port %s went away", name)
            self._close(name)
        for name in names:
            if name not in self._open and self._wanted(name):
                self._open_port(name)

    def _look(self) -> list[str]:
        """The names of the inputs. rtmidi is asked through one lasting client: under JACK every new client stops the
        graph for a moment, and messages are lost in it."""
        if not self._backend.name.endswith("rtmidi"):
            return self._backend.get_input_names()
        if self._scanner is None:
            import rtmidi

            api = getattr(rtmidi, f"API_{self._backend.api}", rtmidi.API_UNSPECIFIED)
            self._scanner = rtmidi.MidiIn(api, f"{CLIENT}-scan")
        return self._scanner.get_ports()

    def _wanted(self, name: str) -> bool:
        own = CLIENT in name
        return not own and (not self._prefixes or name.lower().startswith(self._prefixes))

    def _open_port(self, name: str, **options: Any) -> None:
        try:
            self._open[name] = self._backend.open_input(name, callback=self._callback(name), **options)
            log.info("MIDI port %s is open", name)
        except (ImportError, OSError, SystemError, ValueError) as failure:
            log.warning("MIDI port %s cannot be opened: %s", name, failure)

    def _open_virtual(self) -> None:
        self._open_port(CLIENT, virtual=True, client_name=CLIENT)

    def _callback(self, name: str) -> Callable[[mido.Message], None]:
        return lambda message: self._deliver(message, time.monotonic(), name)

    def _close(self, name: str) -> None:
        port = self._open.pop(name, None)
        if port is not None:
            port.close()


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


class MidiOutput:
    """Feedback to a controller: pad lights and clock, on the output whose name begins with ``prefix``."""

    def __init__(self, prefix: str, *, backend: str = "") -> None:
        source = mido.Backend(backend) if backend else mido.backend
        try:
            names = source.get_output_names()
        except (ImportError, OSError, SystemError) as failure:
            raise Unavailable(f"no MIDI system: {failure}", field="feedback") from None
        matching = [name for name in names if name.lower().startswith(prefix.lower())]
        if not matching:
            raise BadRequest(f"there is no MIDI output {prefix!r}", field="feedback", limits={"choices": list(names)})
        self.name = matching[0]
        self._port = source.open_output(self.name)

    def light(self, note: int, velocity: int, channel: int = 0) -> None:
        """Light a pad (velocity 0: off)."""
        self._port.send(mido.Message("note_on", note=note, velocity=velocity, channel=channel))

    def send(self, message: mido.Message) -> None:
        """Send any message."""
        self._port.send(message)

    def close(self) -> None:
        """Close the port."""
        self._port.close()
