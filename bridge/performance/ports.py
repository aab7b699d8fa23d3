"""MIDI in and out through mido: ports found by the beginning of their names, plugged and unplugged at any time.

mido and its backend are optional at run time: without them (or without a MIDI system) the state says what is missing and
everything else goes on. Messages carry the monotonic time at which they arrived.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import mido
import msgspec
from mido.sockets import SocketPort

log = logging.getLogger(__name__)

RESCAN = 1.0
"""Seconds between looks for ports that came or went."""

CLIENT = "acestep-bridge"
"""Name under which the virtual port appears."""

BACKEND = "bridge.performance.midi_backend"
"""Ports by rtmidi2."""

RTMIDI = "mido.backends.rtmidi"

TCP = "tcp:"

DIAL = 2.0
"""Seconds to wait for a connection."""

Deliver = Callable[[mido.Message, float, str], None]
"""Called from a MIDI thread with the message, its arrival time (s, monotonic) and the port's name."""


PORT_ERRORS = (ImportError, OSError, SystemError, ValueError, RuntimeError)
"""What mido and its backends raise for systems and ports that are not there."""


def no_midi(failure: BaseException) -> str:
    """The sentence for a machine without MIDI: what to install, or what its system says."""
    if isinstance(failure, ImportError):
        return "no MIDI: rtmidi2 is not installed here (pip install rtmidi2)"
    return f"no MIDI system: {failure}"


class PortNames:
    """The names of a system's inputs or outputs, asked through one lasting client: under JACK every new client stops the graph
    for a moment, and messages are lost in it."""

    def __init__(self, backend: Any, kind: Literal["input", "output"]) -> None:
        self._backend = backend
        self._kind = kind
        self._client: Any = None
        self._found = False

    def look(self) -> list[str]:
        """The names now. Raises one of `PORT_ERRORS` without a MIDI system."""
        if self._backend.name != BACKEND:
            return list(getattr(self._backend, f"get_{self._kind}_names")())
        if self._client is None:
            self._client = self._backend.module.client(self._kind, self._backend.api, f"{CLIENT}-scan")
        names = list(self._client.ports)
        if self._found and not names:
            self._client = None  # the MIDI system itself went away, and its clients do not come back with it
        self._found = bool(names)
        return names


def _backend(name: str) -> Any:
    """The mido backend of a setting. Ours where none is named, and in the place of mido's own for rtmidi, whose package has no
    wheels for newer Pythons."""
    module, slash, api = (name or BACKEND).partition("/")
    return mido.Backend((BACKEND if module == RTMIDI else module) + slash + api)


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
        self.choose(prefixes)
        self._backend = _backend(backend)
        self._names = PortNames(self._backend, "input")
        self._virtual = virtual
        self._open: dict[str, Any] = {}
        self._seen: tuple[str, ...] = ()
        self._reason = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="midi ports", daemon=True)

    def choose(self, prefixes: Iterable[str]) -> None:
        """Take other ports from the next look on."""
        self._prefixes = tuple(prefix.lower() for prefix in prefixes)

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
            names = self._names.look()
        except PORT_ERRORS as failure:
            self._reason = no_midi(failure)
            return
        self._reason = ""
        self._seen = tuple(names)
        for name in [name for name in self._open if name != CLIENT and not (name in names and self._wanted(name))]:
            log.info("MIDI port %s is closed", name)
            self._close(name)
        for name in names:
            if name not in self._open and self._wanted(name):
                self._open_port(name)

    def _wanted(self, name: str) -> bool:
        own = CLIENT in name
        return not own and (not self._prefixes or name.lower().startswith(self._prefixes))

    def _open_port(self, name: str, **options: Any) -> None:
        try:
            self._open[name] = self._backend.open_input(name, callback=self._callback(name), **options)
            log.info("MIDI port %s is open", name)
        except PORT_ERRORS as failure:
            log.warning("MIDI port %s cannot be opened: %s", name, failure)

    def _open_virtual(self) -> None:
        self._open_port(CLIENT, virtual=True, client_name=CLIENT)

    def _callback(self, name: str) -> Callable[[mido.Message], None]:
        return lambda message: self._deliver(message, time.monotonic(), name)

    def _close(self, name: str) -> None:
        """Close a port; notes that are held on it will never be let go, so they are forgotten."""
        port = self._open.pop(name, None)
        if port is not None:
            port.close()
            self._deliver(mido.Message("reset"), time.monotonic(), name)


class MidiOutputs:
    """The output that feedback goes to: by the beginning of its name; ``tcp:HOST:PORT`` is a program that listens as
    `mido.sockets.PortServer` does; our own name is a virtual output, where the system has them."""

    def __init__(self, prefix: str, backend: str = "") -> None:
        self._prefix = prefix
        self._backend = _backend(backend)
        self._names = PortNames(self._backend, "output")
        self._complaint = ""

    def present(self, port: Any) -> bool:
        """Whether an open port is still there."""
        if self._prefix.startswith(TCP) or self._prefix == CLIENT:
            return True
        try:
            return port.name in self._names.look()
        except PORT_ERRORS:
            return False

    def open(self) -> Any:
        """The output, opened; none if it is not there, which is logged once."""
        try:
            found = self._open()
        except PORT_ERRORS as failure:
            found, complaint = None, f"MIDI output {self._prefix!r} cannot be opened: {failure}"
        else:
            complaint = "" if found is not None else f"there is no MIDI output {self._prefix!r}"
        if complaint and complaint != self._complaint:
            log.warning("%s; it is looked for", complaint)
        self._complaint = complaint
        return found

    def _open(self) -> Any:
        if self._prefix.startswith(TCP):
            return _dial(self._prefix.removeprefix(TCP))
        if self._prefix == CLIENT:
            return self._backend.open_output(CLIENT, virtual=True, client_name=CLIENT)
        names = [name for name in self._names.look() if name.lower().startswith(self._prefix.lower())]
        return self._backend.open_output(names[0]) if names else None


def _dial(address: str) -> Any:
    """A connection as a MIDI port; small packets leave at once, since a clock's ticks are worth nothing later."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host or "127.0.0.1", int(port)), timeout=DIAL)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return SocketPort(host, int(port), conn=connection)
