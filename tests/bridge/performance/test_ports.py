"""MIDI comes in from whatever is there, and its absence is a sentence, not a crash."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import types

import mido
import pytest
from mido.sockets import connect

from acestep.api.errors import Unavailable
from bridge.performance.midi_socket import CONNECTIONS, MidiSocket
from bridge.performance.ports import MidiInputs, MidiOutputs


class Ports:
    """A stand-in for a machine's MIDI ports (there is no MIDI hardware here); behaves like a mido backend."""

    name = "stand-in"

    def __init__(self, names):
        self.names = list(names)
        self.open = {}

    def get_input_names(self):
        return self.names

    def open_input(self, name, callback, **options):
        self.open[name] = callback
        return types.SimpleNamespace(close=lambda: self.open.pop(name))


def inputs(ports: Ports, *prefixes: str) -> tuple[MidiInputs, list]:
    heard = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bridge.performance.ports._backend", lambda name: ports)
        midi = MidiInputs(lambda message, clock, port: heard.append((message, port)), prefixes)
    return midi, heard


def test_ports_are_matched_by_the_beginning_of_their_name():
    ports = Ports(["Launchpad Mini:0", "nanoKONTROL2 1", "Midi Through"])
    midi, heard = inputs(ports, "launchpad", "nano")
    midi.scan()
    assert set(ports.open) == {"Launchpad Mini:0", "nanoKONTROL2 1"}
    ports.open["Launchpad Mini:0"](mido.Message("note_on", note=36))
    assert heard[0][1] == "Launchpad Mini:0"


def test_an_unplugged_port_is_closed_and_comes_back():
    ports = Ports(["pads"])
    midi, _ = inputs(ports)
    midi.scan()
    ports.names.clear()
    midi.scan()
    assert ports.open == {} and midi.state().open == ()
    ports.names.append("pads")
    midi.scan()
    assert midi.state().open == ("pads",)


def test_notes_held_on_an_unplugged_port_are_let_go():
    """Their note off will never come, so the port says `reset` for them."""
    ports = Ports(["pads"])
    midi, heard = inputs(ports)
    midi.scan()
    ports.names.clear()
    midi.scan()
    assert [(message.type, port) for message, port in heard] == [("reset", "pads")]


def test_other_ports_can_be_chosen_while_it_runs():
    ports = Ports(["pads", "keys"])
    midi, _ = inputs(ports, "pads")
    midi.scan()
    midi.choose(["keys"])
    midi.scan()
    assert midi.state().open == ("keys",)


@pytest.mark.parametrize("failure", [SystemError("no ALSA"), OSError("no JACK")])
def test_no_midi_system_is_a_sentence(failure):
    ports = Ports([])
    ports.get_input_names = lambda: (_ for _ in ()).throw(failure)
    midi, _ = inputs(ports)
    midi.scan()
    assert midi.state().available is False
    assert str(failure) in midi.state().reason


def test_a_missing_library_is_one_line_that_says_what_to_install():
    ports = Ports([])
    ports.get_input_names = lambda: (_ for _ in ()).throw(ModuleNotFoundError("No module named 'rtmidi2'"))
    midi, _ = inputs(ports)
    midi.scan()
    assert midi.state().reason == "no MIDI: rtmidi2 is not installed here (pip install rtmidi2)"


@pytest.mark.parametrize(
    ("setting", "name", "api"),
    [
        ("", "bridge.performance.midi_backend", None),
        ("mido.backends.rtmidi", "bridge.performance.midi_backend", None),
        ("mido.backends.rtmidi/UNIX_JACK", "bridge.performance.midi_backend", "UNIX_JACK"),
        ("mido.backends.pygame", "mido.backends.pygame", None),
    ],
)
def test_our_backend_stands_for_midos_rtmidi(setting, name, api):
    """Settings written for python-rtmidi keep working; others name what they mean."""
    backend = MidiInputs(lambda *_: None, backend=setting)._backend
    assert (backend.name, backend.api) == (name, api)


def test_without_jack_its_ports_are_a_sentence(monkeypatch):
    """And the process lives on: asked for a virtual port without a server, the library itself would end it."""
    pytest.importorskip("bridge.performance.midi_backend", exc_type=ImportError)
    monkeypatch.setenv("JACK_DEFAULT_SERVER", "nobody-runs-this-one")
    midi = MidiInputs(lambda *_: None, backend="bridge.performance.midi_backend/UNIX_JACK")
    midi.scan()
    midi._open_virtual()
    assert midi.state().reason == "no MIDI system: no JACK server runs here" and midi.state().open == ()


@pytest.fixture
def listener():
    """A MIDI socket, and the queue of what came through it."""
    heard: queue.Queue[mido.Message] = queue.Queue()
    server = MidiSocket(lambda message, clock, port: heard.put(message), 0)
    server.start()
    yield server, heard
    server.stop()


def expect(heard: queue.Queue[mido.Message], **fields) -> mido.Message:
    while True:
        message = heard.get(timeout=20)
        if all(getattr(message, name, None) == value for name, value in fields.items()):
            return message


def test_midi_over_a_socket_arrives_and_nonsense_does_no_harm(listener):
    server, heard = listener
    rng = random.Random(3)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port)) as raw:
            raw.sendall(b"\xf6" + rng.randbytes(2_000))
    port = connect("127.0.0.1", server.port)
    port.send(mido.Message("program_change", program=77, channel=15))
    assert expect(heard, type="program_change", program=77, channel=15)
    port.close()


def test_every_byte_after_every_byte_leaves_the_socket_usable(listener):
    """Illegal status bytes, data without a status, broken-off messages, unended sysex: all 65,536 pairs over one connection,
    and the note behind them is heard."""
    server, heard = listener
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(bytes([0xF6]))  # a stream begins with a status byte
        for first in range(256):
            raw.sendall(b"".join(bytes([first, second]) for second in range(256)))
        raw.sendall(bytes([0xF7, 0x9F, 61, 99]))
        assert expect(heard, type="note_on", channel=15, note=61, velocity=99)


@pytest.mark.parametrize("first", [b"POST / HTTP/1.1\r\n\r\n", b"GET / ", b"\x16\x03\x01", b"\0", b"\x7f"])
def test_a_stream_that_begins_with_no_status_byte_is_closed(listener, first):
    """A web page's request, with MIDI in its body, plays nothing."""
    server, heard = listener
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.settimeout(20)
        with contextlib.suppress(ConnectionError):
            raw.sendall(first + bytes([0x90, 60, 100] * 100))
            assert raw.recv(1) == b""
    with connect("127.0.0.1", server.port) as port:
        port.send(mido.Message("note_on", note=61))
        assert heard.get(timeout=20).note == 61


def test_silent_programs_lock_nobody_out(listener):
    """Twice as many as may be connect and say nothing; one that has played keeps its place, and the next one is heard."""
    server, heard = listener
    with connect("127.0.0.1", server.port) as player, contextlib.ExitStack() as silent:
        player.send(mido.Message("note_on", note=60))
        assert expect(heard, note=60)
        for _ in range(2 * CONNECTIONS):
            silent.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        with connect("127.0.0.1", server.port) as late:
            late.send(mido.Message("note_on", note=62))
            assert expect(heard, note=62)
        player.send(mido.Message("note_on", note=61))
        assert expect(heard, note=61)


def test_a_taken_socket_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unavailable):
        MidiSocket(lambda *a: None, taken.getsockname()[1])


class Receivers(Ports):
    """The outputs of a machine, as a mido backend gives them."""

    def get_output_names(self):
        return self.names

    def open_output(self, name, **options):
        return types.SimpleNamespace(name=name, closed=False, options=options)


@pytest.fixture
def receivers(monkeypatch):
    ports = Receivers([])
    monkeypatch.setattr("bridge.performance.ports._backend", lambda name: ports)
    return ports


def test_an_output_is_found_by_the_beginning_of_its_name_as_soon_as_it_is_there(receivers):
    outputs = MidiOutputs("launchpad")
    assert outputs.open() is None
    receivers.names += ["Midi Through", "Launchpad Mini:0"]
    port = outputs.open()
    assert port.name == "Launchpad Mini:0"
    assert outputs.present(port)
    receivers.names.remove("Launchpad Mini:0")
    assert not outputs.present(port)


def test_our_own_name_is_a_virtual_output(receivers):
    assert MidiOutputs("acestep-bridge").open().options["virtual"] is True


@pytest.mark.parametrize("failure", [ImportError("no rtmidi"), SystemError("no ALSA"), OSError("no JACK")])
def test_an_output_without_a_midi_system_is_looked_for_and_named_once(receivers, monkeypatch, caplog, failure):
    monkeypatch.setattr(receivers, "get_output_names", lambda: (_ for _ in ()).throw(failure))
    outputs = MidiOutputs("Launchpad")
    assert [outputs.open(), outputs.open()] == [None, None]
    assert caplog.text.count(str(failure)) == 1
