"""Where REAPER's bars and beats lie, in what the daemon is told. Nothing here ran inside the real REAPER."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from acestep.analysis.beat import BeatFinder
from acestep.api.tempo_map import TempoMap, TempoPoint
from bridge.hosts import install
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon

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
    """What the daemon took of the newest take's request."""
    memory = json.loads(item.takes[-1].strings["P_EXT:acestep"])
    found: dict[str, Any] = memory["request"]["request"]["conditioning"]
    return found


def told(request: dict[str, Any], rate: int) -> TempoMap:
    return TempoMap.of(msgspec.convert(request["tempo_map"], list[TempoPoint]), rate)


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


# -- what the real engine plays behind REAPER's tempo map

SLOW, FAST, CHANGE = 97.0, 112.0, 0.3 + 6 * 4 * 60 / 97.0
CUT = [
    {"time": 0.0, "bpm": SLOW, "num": 3, "den": 4, "linear": False},
    {"time": 0.3, "bpm": SLOW, "num": 4, "den": 4, "linear": False},
    {"time": CHANGE, "bpm": FAST, "num": 4, "den": 4, "linear": False},
]
"""A pick-up of 0.3 s, which is not a whole beat, six bars at 97 bpm, then 112 bpm."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of a daemon with the real engine and the embedded model."""
    home = tmp_path_factory.mktemp("engine")
    settings = {**FREE_PORTS, "home": home, "backend": "torch", "read_roots": [tmp_path_factory.getbasetemp()]}
    with start_daemon(settings):
        yield home


@pytest.fixture
def studio(engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """REAPER's stand-in with that daemon; a bass drum on every beat of the project's grid lies on its track."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(engine))
    install("reaper", tmp_path / "REAPER")
    desk = Desk(tmp_path, engine, "54")
    item = loop_item(desk, position=1.0, offset=0.5)
    desk.project.tempo = CUT
    line, time = np.zeros(32 * RATE), np.arange(RATE // 5) / RATE
    hit = np.sin(2 * np.pi * 55 * time) * np.exp(-20 * time)
    for beat in range(1, 48):
        begin = round((time_of(desk, first_beat(desk) + beat) - 0.5) * RATE)
        if begin + len(hit) <= len(line):
            line[begin : begin + len(hit)] += hit
    soundfile.write(item.takes[0].source.path, np.stack([line, line], 1) * 0.5, RATE, subtype="PCM_24")
    return desk


def first_beat(desk: Desk) -> float:
    """The quarter on which bar 2 begins, behind the pick-up."""
    return float(desk.reaper.TimeMap2_timeToQN(desk.project, 0.3))


def fill_in(desk: Desk, short: str) -> None:
    """The short form, in *More* the page Music, on it a beat as the guide, then the short form again."""

    def music(defaults: str) -> str:
        captions, texts = desk.reaper.asked[-1][0].split(","), defaults.split("|")
        (place,) = [index for index, caption in enumerate(captions) if caption.startswith("Chords")]
        return "|".join([*texts[:place], "beat", *texts[place + 1 :]])

    desk.reaper.inputs = [lambda defaults: f"{short}|Music", music, lambda defaults: defaults]


def late(desk: Desk, sound: np.ndarray, begin: float, bpm: float) -> float:
    """Seconds by which the beat of a sound, which begins at a time of the project, lies behind the project's grid."""
    finder = BeatFinder(sound.T, RATE)
    assert finder.clarity(bpm) > 0.3, "it has a beat"
    quarter = desk.reaper.TimeMap2_timeToQN(desk.project, begin + finder.bar(bpm)) - first_beat(desk)
    return float((quarter - round(quarter)) * 60 / bpm)


@pytest.mark.parametrize(("loop", "bpm"), [((3.2, 12.2), SLOW), ((17.1, 26.1), FAST)])
def test_a_rendered_beat_lies_on_the_projects_grid(studio: Desk, loop: tuple[float, float], bpm: float) -> None:
    """Repainted with the guide *beat*: what the engine plays is on REAPER's grid, before the change of tempo and behind it."""
    (item,) = studio.project.tracks[0].items
    studio.project.loop = loop
    fill_in(studio, "drums|1|7|no")
    studio.run(REPAINT)
    studio.until(lambda: len(item.takes) == 2, 240)
    assert conditioning(item)["guide"]
    sound, rate = soundfile.read(item.takes[1].source.path)
    assert rate == RATE and item.takes[1].values["D_STARTOFFS"] == 0.0
    made = sound[round((loop[0] - 1.0) * RATE) : round((loop[1] - 1.0) * RATE)]
    assert abs(late(studio, made, loop[0], bpm)) < 0.02


def test_a_new_part_lies_on_the_projects_grid(studio: Desk) -> None:
    """Generated for a selection that begins between two beats: its own first sample is on none of them."""
    studio.project.loop = (17.1, 26.1)
    fill_in(studio, "drums||1|7|no")
    studio.run("Generate for selection or at cursor")
    studio.until(lambda: len(studio.project.tracks) == 2, 240)
    (made,) = studio.project.tracks[1].items
    sound, rate = soundfile.read(made.takes[0].source.path)
    assert rate == RATE and made.values["D_POSITION"] == pytest.approx(17.1)
    assert abs(late(studio, sound, made.values["D_POSITION"], FAST)) < 0.02
