"""Several at once in the Max device, takes made again, and what is said of a silent stem. Max and Live are stand-ins."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import soundfile

from .conftest import RATE
from .test_max_device import REPAINTED, SETTLED, SLOW, Set, device, entries, lanes, live, said, saved, waiting

__all__ = ["device", "live"]  # the fixtures

pytestmark = pytest.mark.foreign
FAKE = "made by the fake backend: tones for testing, no music"


def takes(found: dict[str, Any]) -> list[int]:
    """How many takes each track has got."""
    return [sum(len(lane["arrangement_clips"]) for lane in track["take_lanes"]) for track in found["tracks"]]


@pytest.fixture
def band(live: Set) -> Set:
    """Two selected tracks with a clip each, the loop brace over both, and a third track that is not selected."""
    live.tracks[0]["selected"] = 1
    live.tracks.append({"name": "Bass", "clips": [dict(live.clip)], "selected": 1})
    live.tracks.append({"name": "Pads", "clips": [dict(live.clip)]})
    return live


def test_the_clips_of_all_selected_tracks_are_one_action(band: Set) -> None:
    """A take each, placed together, one *sent* and one *done*; the progress says how many are ready, and the line what is sent."""
    found = band.play({"param": ["caption", "fake: steps=6 delay=0.1"]}, {"run": "repaint"}, {"wait": "done"}, SETTLED)
    assert takes(found) == [1, 1, 0]
    told = [entry[1] for entry in found["log"] if entry[0] == "status"]
    assert told.count("Repaint selection: sent") == 1 and told[-1] == f"Repaint selection: done. {FAKE}"
    assert any(text.startswith("Repaint selection: 1 of 2 ready, repaint ") for text in told)
    lines = [entry[2] for entry in found["log"] if entry[0] == "outlet 9"]
    assert any("Loop, Bass, 2 clips, bars 6 to 9, 16.0 s, sent as 120 bpm." in line for line in lines)


def test_all_clips_under_the_brace_are_sent(live: Set) -> None:
    """Two clips of a track share the stretch: each is worked on as far as it reaches."""
    live.clip["end_time"] = 28
    live.tracks[0]["clips"].append({**live.clip, "start_time": 28, "end_time": 68})
    found = live.play({"run": "repaint"}, {"wait": "done"})
    asked = [json.loads(path.read_text("utf-8")) for path in live.folder.rglob("*.recipe.json")]
    assert sorted((one["pending"]["beat"], one["request"]["request"]["source"]["length"]) for one in asked) == [
        (20, 4 * RATE),
        (28, 4 * RATE),
    ]
    assert takes(found) == [2]


def test_clips_of_notes_beside_audio_are_left_out(band: Set) -> None:
    """The other selected track holds MIDI there."""
    band.tracks[1]["clips"][0]["is_audio_clip"] = 0
    assert takes(band.play({"run": "repaint"}, {"wait": "done"})) == [1, 0, 0]


def test_only_one_track_is_recorded(band: Set) -> None:
    """After effects, and what is heard without the selected track: with two selected one of them would be left out."""
    told = {"wait": "Select a single track"}
    for press in (
        ({"after_effects": 1}, {"run": "repaint"}),
        ({"param": ["track", "guitar"]}, {"run": "add-instrument"}),
    ):
        found = band.play(*press, told)
        assert found["recorded"] == [] and len(found["tracks"]) == 3


def test_cancel_ends_all_of_a_key_press(band: Set) -> None:
    """The newest press with both its jobs; an earlier one is placed."""
    long = {"param": ["caption", "fake: steps=200 delay=0.1"]}
    second = (long, {"run": "cover"}, {"wait": "Cover selection: sent"}, {"run": "cancel"})
    found = band.play(SLOW, {"run": "repaint"}, {"wait": "Repaint selection: sent"}, *second, {"wait": "done"})
    assert takes(found) == [1, 1, 0] and said(found, "Cover selection: cancelled") == 2


def test_what_is_cancelled_does_not_take_the_others_along(band: Set) -> None:
    """The second of two jobs is chosen in the list, which cancels it: the first one is placed."""
    found = band.play(SLOW, {"run": "repaint"}, {"wait": "Repaint selection: sent"}, {"insert": 1}, {"wait": "done"})
    assert takes(found) == [1, 0, 0] and len(entries(found)) == 1


def test_a_press_that_is_half_ready_when_the_set_is_closed(band: Set) -> None:
    """One job is done, the other runs: opened again, both are placed, once."""
    media = saved(band)
    slow = {"param": ["caption", "fake: steps=10 delay=0.1"]}
    found = band.play(slow, {"run": "repaint"}, {"wait": "1 of 2 ready"})
    assert takes(found) == [0, 0, 0] and len(waiting(media)) == 2
    assert takes(band.play({"wait": "done"})) == [1, 1, 0] and waiting(media) == []
    assert takes(band.play()) == [0, 0, 0]


def test_a_silent_stem_is_not_called_done(live: Set) -> None:
    """It says that nothing was found, and what to do."""
    soundfile.write(live.loop, np.zeros((32 * RATE, 2)), RATE)
    found = live.play({"param": ["track", "drums"]}, {"run": "extract"}, {"wait": "nothing was found here"})
    (told,) = [entry[1] for entry in found["log"] if entry[0] == "status" and "nothing was found" in entry[1]]
    assert (
        told.startswith(f"Extract stems from selection: {FAKE} drums: nothing was found")
        and "try another track" in told
    )
    assert said(found, "done") == 0


def test_a_reroll_is_the_old_job_once_more(live: Set) -> None:
    """The daemon is asked for its own job again: a clip that names another job than its recipe shows which of the two counts."""
    live.play(*REPAINTED[:-1])
    (path,) = live.folder.rglob("*.recipe.json")
    memory = json.loads(path.read_text("utf-8"))
    memory["request"]["request"]["conditioning"]["caption"] = "cold"
    path.write_text(json.dumps(memory), "utf-8")
    clip = {"is_audio_clip": 1, "file_path": str(next(live.folder.rglob("repaint-*-1.wav"))), "is_arrangement_clip": 0}
    live.tracks[0]["slot"] = {**live.clip, **clip}
    found = live.play({"run": "vary"}, {"wait": "done"}, detail_slot=True)
    others = [one for one in live.folder.rglob("*.recipe.json") if one != path]
    made = json.loads(others[0].read_text("utf-8"))
    assert made["request"]["request"]["conditioning"]["caption"] == "warm" and len(lanes(found)) == 2


def test_a_reroll_of_a_job_that_the_daemon_forgot(live: Set) -> None:
    """What the clip remembers is enough, also for another daemon."""
    live.play(*REPAINTED[:-1])
    (path,) = live.folder.rglob("*.recipe.json")
    memory = json.loads(path.read_text("utf-8"))
    memory["pending"]["id"] = "long-gone"
    path.write_text(json.dumps(memory), "utf-8")
    clip = {"is_audio_clip": 1, "file_path": str(next(live.folder.rglob("repaint-*-1.wav"))), "is_arrangement_clip": 0}
    live.tracks[0]["slot"] = {**live.clip, **clip}
    assert len(lanes(live.play({"run": "vary"}, {"wait": "done"}, detail_slot=True))) == 2
