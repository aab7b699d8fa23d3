"""Playing through the real daemon: a MIDI hit becomes a job, and slots answer over RPC and OSC."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from mido.sockets import connect
from pythonosc import osc_message, osc_message_builder

from acestep.api.errors import CorruptAudio, NotAllowed, Unavailable
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
    running.mapping = mapping
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


@pytest.fixture
def ask(stage):
    """``ask(address, *arguments)``: the arguments of the answer that comes back over OSC."""
    address = stage[0].connection["osc"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(20)

        def send(path, *arguments):
            builder = osc_message_builder.OscMessageBuilder(path)
            for argument in arguments:
                builder.add_arg(argument)
            udp.sendto(builder.build().dgram, (address["host"], address["udp"]))
            while True:
                answer = osc_message.OscMessage(udp.recv(2000))
                if answer.address in (path, "/ace/error"):
                    return answer.params

        yield send


def test_slots_answer_over_osc(ask):
    assert ask("/ace/tempo/tap")
    assert "empty" in " ".join(map(str, ask("/ace/slot/launch", 7, "bar")))


def test_a_slot_is_filled_and_played_by_osc_alone(stage, ask):
    """As a touch screen does it: parameters as JSON text, everything else in order."""
    _, client, _ = stage
    job = ask("/ace/slot/fill", 5, "generate", '{"caption": "touched"}', 1)[0]
    until(lambda: any(slot["state"] == "ready" for slot in client.call("slot.list")))
    assert client.job(job)["request"]["conditioning"]["caption"] == "touched"
    assert ask("/ace/slot/launch", 5, "now")[0] == 5


def test_a_recording_by_osc_becomes_the_source_of_a_part(stage, ask):
    _, client, _ = stage
    client.call("tempo.host", {"bpm": 240.0})
    assert ask("/ace/capture/record", 1, "beat", "riff", "complete", '{"tracks": ["drums"]}', 6)[0] == "waiting"
    outcome = ask("/ace/capture/wait", 20.0)
    assert outcome[0] == "done"
    recorded = client.call("capture.wait")
    assert recorded["path"] in map(str, outcome)
    frames = soundfile.info(recorded["path"]).frames
    assert frames == 48_000
    client.result(recorded["job"])
    slot = until(lambda: next((s for s in client.call("slot.list") if s["state"] == "ready"), None))
    assert (slot["slot"], soundfile.info(slot["variants"][0]).duration) == (6, 1.0)


def test_the_last_bar_is_a_source_for_every_operation_that_takes_one(stage):
    """Complete, lego, cover, extend and extract all accept it and end well (what they play is the fake backend's)."""
    _, client, _ = stage
    client.call("tempo.host", {"bpm": 240.0})
    until(lambda: client.call("performance")["sound"]["state"] == "running")
    time.sleep(2.2)
    wishes = {
        "complete": {"tracks": ["drums"]},
        "lego": {"track": "drums"},
        "cover": {"strength": 0.5},
        "extend": {"start": "1 bar", "end": "2 bars"},
        "extract": {"track": "vocals"},
    }
    for operation, params in wishes.items():
        taken = client.call("capture.take", {"bars": 1, "operation": operation, "params": params})
        assert client.result(taken["job"])["files"], operation


def test_a_recording_is_cancelled_by_osc(ask):
    assert ask("/ace/capture/record", 4, "4 bars")[0] == "waiting"
    assert ask("/ace/capture/cancel")[0] == "cancelled"


def test_what_was_just_played_is_completed_by_a_hit(stage):
    """Record-free: the pad takes the last bar, and the part that is made of it waits in a slot."""
    running, client, port = stage
    Path(running.mapping).write_text(
        '[[trigger]]\non = "note"\naction = "capture"\nbars = 1\noperation = "complete"\nslot = 2\n'
        '[trigger.params]\ntracks = ["drums"]\n'
    )
    client.call("tempo.host", {"bpm": 300.0})
    until(lambda: client.call("performance")["sound"]["state"] == "running")
    time.sleep(2.0)
    midi = connect("127.0.0.1", port)
    midi.send(mido.Message("note_on", note=90))
    slot = until(lambda: next((s for s in client.call("slot.list") if s["state"] == "ready"), None))
    assert (slot["slot"], soundfile.info(slot["variants"][0]).frames) == (2, 38_400)
    request = client.job(slot["job"])["request"]
    assert request["conditioning"]["bpm"] == 300.0
    midi.close()


def test_a_thousand_random_messages_and_every_byte_after_every_byte_do_no_harm(stage):
    """Illegal status bytes, data without status, broken-off messages, unended sysex; afterwards the daemon answers, and a hit
    becomes a job as before."""
    _, client, port = stage
    rng = random.Random(11)
    with socket.create_connection(("127.0.0.1", port)) as raw:
        for _ in range(1000):
            raw.sendall(bytes([rng.randrange(128, 256), *(rng.randrange(128) for _ in range(rng.randrange(4)))]))
        for first in range(256):
            raw.sendall(b"".join(bytes([first, second]) for second in range(256)))
    client.call("queue.clear")
    before = client.call("performance")["hits"]
    midi = connect("127.0.0.1", port)
    time.sleep(0.1)  # longer than the debounce time of the mapped pad
    midi.send(mido.Message("note_on", note=36))
    until(lambda: client.call("performance")["hits"] > before)
    until(lambda: any(slot["slot"] == 3 and slot["state"] == "ready" for slot in client.call("slot.list")))
    assert client.call("performance")["sound"]["deaths"] == 0
    midi.close()


def test_a_slot_takes_no_file_outside_the_readable_folders(stage):
    """Over the network; the local socket is this user's own, and whatever it names is opened."""
    daemon, client, _ = stage
    rpc = daemon.connection["rpc"]
    with Client(host=rpc["host"], port=rpc["port"]) as far, pytest.raises(NotAllowed, match="--read-roots"):
        far.call("slot.load", {"slot": 0, "path": "/etc/hostname"})
    with pytest.raises(CorruptAudio):
        client.call("slot.load", {"slot": 0, "path": "/etc/hostname"})


def test_without_performance_the_verbs_say_how_to_switch_it_on(daemon):
    with Client(str(daemon().paths.home)) as client, pytest.raises(Unavailable, match="--performance"):
        client.call("slot.list")
