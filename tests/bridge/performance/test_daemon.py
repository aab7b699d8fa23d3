"""Playing through the real daemon: a MIDI hit becomes a job, and slots answer over RPC and OSC."""

from __future__ import annotations

import socket
import time

import mido
import numpy as np
import pytest
import soundfile
from mido.sockets import connect
from pythonosc import osc_message, osc_message_builder

from acestep.api.errors import NotAllowed, Unavailable
from bridge import Client


@pytest.fixture
def stage(daemon, tmp_path):
    """A daemon that plays: null sound card with its own output as input, MIDI over a socket, one mapped pad."""
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        '[[trigger]]\non = "note"\nlow = 36\nhigh = 36\naction = "submit"\noperation = "generate"\nslot = 3\n'
        '[trigger.params]\nduration = 1.0\ncaption = "pad"\n'
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    running = daemon(
        performance=True,
        performance_mapping=str(mapping),
        performance_output="null",
        performance_input="null",
        midi=False,
        midi_socket=port,
    )
    with Client(str(running.paths.home)) as client:
        yield running, client, port


def until(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def test_a_hit_fills_a_slot_that_plays_and_is_captured(stage):
    _, client, port = stage
    midi = connect("127.0.0.1", port)
    midi.send(mido.Message("note_on", note=36))
    slot = until(lambda: next((s for s in client.call("slot.list") if s["state"] == "ready"), None))
    assert (slot["slot"], len(slot["variants"])) == (3, 1)
    client.call("tempo.host", {"bpm": 300.0})
    client.call("slot.launch", {"slot": 3, "quantise": "bar"})
    until(lambda: 3 in client.call("status")["performance"]["sound"]["playing"])
    time.sleep(2.5)  # the bar before the launch, and a whole bar of sound
    taken = client.call("capture.take", {"bars": 1})
    audio, rate = soundfile.read(taken["path"])
    assert (len(audio), rate) == (taken["frames"], 48_000)
    assert np.abs(audio).max() > 0
    midi.close()


def test_slots_answer_over_osc(stage):
    running, _, _ = stage
    address = running.connection["osc"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(20)
        for path, arguments in [("/ace/tempo/tap", []), ("/ace/slot/launch", [7, "bar"])]:
            builder = osc_message_builder.OscMessageBuilder(path)
            for argument in arguments:
                builder.add_arg(argument)
            udp.sendto(builder.build().dgram, (address["host"], address["udp"]))
        answers = [osc_message.OscMessage(udp.recv(2000)) for _ in range(2)]
    assert answers[0].address == "/ace/tempo/tap"
    assert "empty" in " ".join(map(str, answers[1].params))


def test_a_slot_takes_no_file_outside_the_readable_folders(stage):
    _, client, _ = stage
    with pytest.raises(NotAllowed):
        client.call("slot.load", {"slot": 0, "path": "/etc/hostname"})


def test_without_performance_the_verbs_say_how_to_switch_it_on(daemon):
    with Client(str(daemon().paths.home)) as client, pytest.raises(Unavailable, match="--performance"):
        client.call("slot.list")
