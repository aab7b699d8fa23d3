"""Where REAPER's bars and beats lie, in what the daemon is told. Nothing here ran inside the real REAPER."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from acestep.api.tempo_map import TempoMap, TempoPoint
from bridge.launch import DaemonProcess

from .conftest import RATE, Desk, done, finish, loop_item
from .fake_reaper import Item

REPAINT = "Repaint selection"
PICK_UP = [
    {"time": 0.0, "bpm": 120.0, "num": 1, "den": 4, "linear": False},
    {"time": 0.5, "bpm": 120.0, "num": 4, "den": 4, "linear": False},
    {"time": 10.5, "bpm": 96.0, "num": 4, "den": 4, "linear": True},
    {"time": 15.5, "bpm": 132.0, "num": 3, "den": 4, "linear": False},
]
"""A beat before bar 2, five bars of 4/4, a ramp of five seconds from 96 to 132 bpm, then 3/4."""


def conditioning(item: Item) -> dict[str, Any]:
    """What the daemon took of the newest take's wish."""
    memory = json.loads(item.takes[-1].strings["P_EXT:acestep"])
    found: dict[str, Any] = memory["request"]["request"]["conditioning"]
    return found


def told(wish: dict[str, Any], rate: int) -> TempoMap:
    return TempoMap.of(msgspec.convert(wish["tempo_map"], list[TempoPoint]), rate)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_beats_lie_where_reaper_has_them(desk: Desk, running: DaemonProcess, rate: int) -> None:
    """Every beat from before the region to behind it, in a file that is trimmed, moved and of its own rate: to the sample."""
    item = loop_item(desk, position=1.0, offset=0.5, rate=rate)
    desk.project.tempo = PICK_UP
    desk.run(REPAINT)
    finish(desk, 2, item)
    tempo = told(conditioning(item), rate)
    ramp = tempo.quarter((10.5 - 0.5) * rate)  # sample 0 of the file lies at 0.5 s of the project
    first = desk.reaper.TimeMap2_timeToQN(desk.project, 10.5)
    for beat in range(16):
        assert abs(tempo.sample(ramp + beat) - (time_of(desk, first + beat) - 0.5) * rate) <= 1.0, beat
    for number in range(2, 12):
        begin = bar_time(desk, number)
        assert abs(tempo.bar_sample(number) - (begin - 0.5) * rate) <= 1.0, number


def time_of(desk: Desk, quarter: float) -> float:
    """The time of a quarter note, found by halving: the stand-in's own map is the only source."""
    low, high = 0.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if desk.reaper.TimeMap2_timeToQN(desk.project, middle) < quarter else (low, middle)
    return high


def bar_time(desk: Desk, number: int) -> float:
    """The time at which a bar begins, found by halving."""
    low, high = 0.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        before = desk.reaper.TimeMap2_timeToBeats(desk.project, middle)[1] + 1 < number
        low, high = (middle, high) if before else (low, middle)
    return high


def test_a_new_part_counts_from_its_own_beginning(desk: Desk, running: DaemonProcess) -> None:
    """Generate for a selection that begins between two bar lines: sample 0 is the selection's first."""
    desk.project.tempo = PICK_UP
    desk.project.loop = (2.0, 6.0)
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: desk.project.tracks and done(desk))
    tempo = told(conditioning(desk.project.tracks[0].items[0]), RATE)
    assert tempo.bar_sample(3) == pytest.approx((2.5 - 2.0) * RATE, abs=1)


def test_a_metre_the_model_lacks_is_still_where_the_bars_are(desk: Desk, running: DaemonProcess) -> None:
    """7/8: the map holds it, and the daemon says what the model was told instead."""
    item = loop_item(desk)
    desk.project.tempo = [{"time": 0.0, "bpm": 100.0, "num": 7, "den": 8, "linear": False}]
    desk.run(REPAINT)
    finish(desk, 2, item)
    tempo = told(conditioning(item), RATE)
    assert str(tempo.metre(3)) == "7/8" and tempo.bar_sample(2) == pytest.approx((3.5 * 0.6 - 0.5) * RATE, abs=1)
    assert "7/8" in desk.reaper.help_line and "no metre is sent" not in desk.reaper.help_line
