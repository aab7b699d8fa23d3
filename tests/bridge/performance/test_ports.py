"""MIDI comes in from whatever is there, and its absence is a sentence, not a crash."""

from __future__ import annotations

import queue
import random
import socket
import time
import types

import mido
import pytest
from mido.sockets import connect

from acestep.api.errors import Unavailable
from bridge.performance.ports import MidiInputs, MidiOutput, MidiSocket


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
    midi = MidiInputs(lambda message, clock, port: heard.append((message, port)), prefixes)
    midi._backend = ports
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


@pytest.mark.parametrize("failure", [ImportError("no rtmidi"), SystemError("no ALSA"), OSError("no JACK")])
def test_no_midi_system_is_a_sentence(failure):
    ports = Ports([])
    ports.get_input_names = lambda: (_ for _ in ()).throw(failure)
    midi, _ = inputs(ports)
    midi.scan()
    assert midi.state().available is False
    assert str(failure) in midi.state().reason


def test_midi_over_a_socket_arrives_and_nonsense_does_no_harm():
    heard: queue.Queue[mido.Message] = queue.Queue()
    server = MidiSocket(lambda message, clock, port: heard.put(message), 0)
    server.start()
    try:
        rng = random.Random(3)
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port)) as raw:
                raw.sendall(rng.randbytes(2_000))
        port = connect("127.0.0.1", server.port)
        port.send(mido.Message("program_change", program=77, channel=15))
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            message = heard.get(timeout=20)
            if message.type == "program_change" and (message.program, message.channel) == (77, 15):
                break
        else:
            pytest.fail("the message did not arrive")
        port.close()
    finally:
        server.stop()


def test_every_illegal_byte_sequence_of_two_bytes_leaves_the_parser_usable():
    parser = mido.Parser()
    for first in range(256):
        for second in range(0, 256, 5):
            parser.feed([first, second])
    parser.feed([0xF7, 0x90, 60, 100])
    *_, last = list(parser)
    assert (last.type, last.note) == ("note_on", 60)


def test_a_taken_socket_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(Unavailable):
        MidiSocket(lambda *a: None, taken.getsockname()[1])


def test_feedback_without_a_midi_system_is_refused(monkeypatch):
    def missing():
        raise SystemError("no ALSA")

    monkeypatch.setattr(mido.backend, "get_output_names", missing, raising=False)
    with pytest.raises(Unavailable, match="no ALSA"):
        MidiOutput("Launchpad")
