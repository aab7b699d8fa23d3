"""The player process keeps time to the sample and survives what it is sent."""

from __future__ import annotations

import time

import numpy as np
import soundfile

from bridge.performance.player.messages import Launch, Launched, Load, Loaded, Open, Refused, Stop, Take, Taken

LOOPBACK = {"output": "null", "input": "null", "capture_seconds": 20.0}
"""The card without sound; what it plays is its own input, block for block."""


def test_a_launch_is_heard_at_its_time_and_a_take_is_aligned_to_it(player, click, tmp_path):
    player.open(**LOOPBACK)
    player.load(1, click)
    at = time.monotonic() + 0.5
    player.send(Launch(slot=1, at=at, request="go"))
    assert player.expect(Launched).late == 0
    player.send(Take(start=at, frames=60_000, path=str(tmp_path / "take.wav"), request="t"))
    player.expect(Taken)
    taken, rate = soundfile.read(tmp_path / "take.wav", dtype="float32")
    part, _ = soundfile.read(click, dtype="float32")
    assert rate == 48_000
    assert np.array_equal(taken, np.resize(part, (60_000, 2)))


def test_a_launch_in_the_past_starts_at_once_and_says_how_late(player, click):
    player.open(**LOOPBACK)
    player.load(0, click)
    player.send(Launch(slot=0, at=time.monotonic() - 1.0))
    assert player.expect(Launched).late > 0.9


def test_stop_ends_the_sound(player, click):
    player.open(**LOOPBACK)
    player.load(0, click)
    player.send(Launch(slot=0, at=time.monotonic()))
    player.expect(Launched)
    player.send(Stop())
    player.until(lambda levels: not levels.playing)


def test_what_cannot_be_done_is_reported_and_the_player_goes_on(player, click, tmp_path):
    (tmp_path / "no.wav").write_bytes(b"no audio")
    wrong = [
        Launch(slot=0, at=0.0, request="closed"),
        Load(slot=0, path=str(tmp_path / "no.wav")),
        Open(output="a card that is not there"),
        Take(start=0.0, frames=10, path=str(tmp_path / "t.wav"), request="no input"),
    ]
    for command in wrong:
        player.send(command)
        assert player.expect(Refused).error["code"] in {"unavailable", "corrupt_audio"}
    player.open(**LOOPBACK)
    player.send(Load(slot=99, path=str(click)))
    assert player.expect(Refused).error["field"] == "slot"
    player.send(Take(start=time.monotonic() - 100, frames=10, path=str(tmp_path / "t.wav")))
    assert player.expect(Refused).error["code"] == "region_outside"


def test_the_player_ends_when_its_parent_lets_go(player):
    player.open(**LOOPBACK)
    assert player.close() == 0


def test_a_file_that_is_read_later_but_asked_for_earlier_does_not_win(player, click, tmp_path):
    """Files are read beside the other commands; the last one that was asked for is the one that stays."""
    player.open(**LOOPBACK)
    long = np.zeros((48_000 * 60, 2), np.float32)
    soundfile.write(tmp_path / "long.wav", long, 44_100, subtype="FLOAT")
    player.send(Load(slot=0, path=str(tmp_path / "long.wav"), request="long"))
    player.send(Load(slot=0, path=str(click), request="short"))
    assert {player.expect(Loaded).request, player.expect(Loaded).request} == {"long", "short"}
    at = time.monotonic() + 0.3
    player.send(Launch(slot=0, at=at))
    player.expect(Launched)
    player.send(Take(start=at, frames=100, path=str(tmp_path / "take.wav")))
    player.expect(Taken)
    assert soundfile.read(tmp_path / "take.wav")[0][0, 0] == 1.0


def test_a_launch_waits_for_the_first_file_of_its_slot(player, tmp_path):
    """As after a restart of the player, when all slots are read anew; a slot that cannot be read is then empty."""
    player.open(**LOOPBACK)
    soundfile.write(tmp_path / "long.wav", np.full((48_000 * 60, 2), 0.5, np.float32), 44_100, subtype="FLOAT")
    player.send(Load(slot=0, path=str(tmp_path / "long.wav")))
    player.send(Launch(slot=0, at=time.monotonic()))
    player.expect(Loaded)
    player.expect(Launched)
    player.until(lambda levels: levels.playing == (0,))
    player.send(Load(slot=1, path=str(tmp_path / "none.wav"), request="load"))
    player.send(Launch(slot=1, at=time.monotonic(), request="launch"))
    assert [player.expect(Refused).request for _ in range(2)] == ["load", "launch"]


def test_what_waits_for_its_file_can_be_stopped(player, tmp_path):
    player.open(**LOOPBACK)
    soundfile.write(tmp_path / "long.wav", np.full((48_000 * 60, 2), 0.5, np.float32), 44_100, subtype="FLOAT")
    player.send(Load(slot=0, path=str(tmp_path / "long.wav")))
    player.send(Launch(slot=0, at=time.monotonic()))
    player.send(Stop())
    player.expect(Launched)
    player.until(lambda levels: not levels.playing)
