"""The player process keeps time to the sample and survives what it is sent."""

from __future__ import annotations

import time

import numpy as np
import soundfile

from bridge.performance.player.messages import Launch, Launched, Levels, Load, Open, Refused, Stop, Take, Taken

LOOPBACK = {"output": "null", "input": "null", "capture_seconds": 20.0}
"""The card without sound; what it plays is its own input, block for block."""


def test_a_launch_is_heard_at_its_time_and_a_take_is_aligned_to_it(player, click, tmp_path):
    player.open(**LOOPBACK)
    player.send(Load(slot=1, path=str(click)))
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
    player.send(Load(slot=0, path=str(click)))
    player.send(Launch(slot=0, at=time.monotonic() - 1.0))
    assert player.expect(Launched).late > 0.9


def test_stop_ends_the_sound(player, click):
    player.open(**LOOPBACK)
    player.send(Load(slot=0, path=str(click)))
    player.send(Launch(slot=0, at=time.monotonic()))
    player.expect(Launched)
    player.send(Stop())
    while player.expect(Levels).playing:
        pass


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
