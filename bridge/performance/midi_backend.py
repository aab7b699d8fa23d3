"""MIDI ports by rtmidi2, as a mido backend: it has wheels for every current Python on Linux, Windows and macOS.

``mido.Backend("bridge.performance.midi_backend")``, with an interface behind a slash (``.../UNIX_JACK``) where one is meant:
LINUX_ALSA, UNIX_JACK, MACOSX_CORE or WINDOWS_MM. Ports may be virtual, except on Windows.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from typing import Any

from mido import Message, Parser, ports
from mido.backends._parser_queue import ParserQueue


def _load_libjack() -> Any:
    """The system's JACK library, for everybody in this process: the one inside the wheel of rtmidi2 speaks to no server of another
    version. None where there is none."""
    try:
        return ctypes.CDLL("libjack.so.0", mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return None


LIBJACK = _load_libjack() if sys.platform == "linux" else None

import rtmidi2  # noqa: E402  (finds what was loaded before it)

APIS = {name.removeprefix("API_"): getattr(rtmidi2, name) for name in dir(rtmidi2) if name.startswith("API_")}
"""Interfaces by their names."""

CLIENT = "acestep-bridge"


def interface(name: str | None) -> int:
    """The number of an interface; the system's own without a name. Raises `OSError` for one that there is not."""
    if not name:
        return rtmidi2.API_UNSPECIFIED
    if name not in APIS:
        raise OSError(f"there is no MIDI interface {name}; known are {', '.join(sorted(APIS))}")
    return APIS[name]


def client(kind: str, api: str | None = None, name: str = "") -> Any:
    """A client of the MIDI system for ``input`` or ``output``. Raises `OSError` where there is no such system."""
    if api == "UNIX_JACK" and not _jack_runs():
        raise OSError("no JACK server runs here")  # rtmidi2 would end the process over it
    make = rtmidi2.MidiIn if kind == "input" else rtmidi2.MidiOut
    try:
        return make(name or CLIENT, api=interface(api))
    except RuntimeError as failure:
        raise OSError(str(failure).strip()) from None


def _jack_runs() -> bool:
    """Whether a JACK server answers; none is started."""
    if LIBJACK is None:
        return False
    LIBJACK.jack_client_open.restype = ctypes.c_void_p
    found = LIBJACK.jack_client_open(f"{CLIENT}-look".encode(), _NO_START_SERVER, None)
    if not found:
        return False
    LIBJACK.jack_client_close(ctypes.c_void_p(found))
    return True


_NO_START_SERVER = 0x01


def get_devices(api: str | None = None, **_: Any) -> list[dict[str, Any]]:
    """The ports of the system, each as input, output or both."""
    inputs, outputs = client("input", api).ports, client("output", api).ports
    names = dict.fromkeys([*inputs, *outputs])
    return [{"name": name, "is_input": name in inputs, "is_output": name in outputs} for name in names]


def get_api_names() -> list[str]:
    """Interfaces that can be named."""
    return sorted(APIS)


class _Port:
    """What both directions share: a client with one open port."""

    _kind = ""

    def _connect(self, name: str | None, client_name: str | None, virtual: bool, api: str | None) -> None:
        self._client = client(self._kind, api, client_name or "")
        self._device_type = "RtMidi"
        if virtual or client_name is not None:
            if not name or sys.platform == "win32":
                raise OSError("Windows has no virtual MIDI ports" if name else "a virtual port needs a name")
            self._client.open_virtual_port(name)
        else:
            name = self._open_listed(name)
        self.name = name

    def _open_listed(self, name: str | None) -> str:
        names = self._client.ports
        if not names:
            raise OSError("there are no MIDI ports")
        name = names[0] if name is None else name
        if name not in names:
            raise OSError(f"there is no MIDI port {name!r}")
        try:
            self._client.open_port(names.index(name))
        except RuntimeError as failure:
            raise OSError(str(failure).strip()) from None
        return name

    def _close(self) -> None:
        self._client.close_port()


class MidiInput(_Port, ports.BaseInput):
    """An input; ``callback`` gets each message in the system's MIDI thread, else they wait for ``receive``."""

    _kind = "input"
    _locking = False

    def _open(
        self,
        client_name: str | None = None,
        virtual: bool = False,
        api: str | None = None,
        callback: Callable[[Message], None] | None = None,
        **_: Any,
    ) -> None:
        self._queue = ParserQueue()
        self._parser = Parser()
        self._take = callback
        self._connect(self.name, client_name, virtual, api)
        self._client.ignore_types(False, False, True)
        self._client.callback = self._receive_bytes

    def _receive_bytes(self, data: list[int], _: float) -> None:
        if self._take is None:
            self._queue.put_bytes(data)
            return
        self._parser.feed(data)
        for message in self._parser:
            self._take(message)

    def _close(self) -> None:
        self._client.callback = None
        super()._close()

    def receive(self, block: bool = True) -> Message | None:
        """The next message; without waiting, or none."""
        return self._queue.get() if block else self._queue.poll()

    def poll(self) -> Message | None:
        """The next message, if one waits."""
        return self._queue.poll()


class MidiOutput(_Port, ports.BaseOutput):
    """An output."""

    _kind = "output"
    _locking = False

    def _open(self, client_name: str | None = None, virtual: bool = False, api: str | None = None, **_: Any) -> None:
        self._connect(self.name, client_name, virtual, api)

    def _send(self, message: Message) -> None:
        self._client.send_raw(*message.bytes())


Input, Output = MidiInput, MidiOutput  # the names that mido looks for in a backend
