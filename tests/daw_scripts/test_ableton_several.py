"""Several at once in Live's control surface, and takes made again. Live is a stand-in, the daemon a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge.launch import DaemonProcess

from .conftest import RATE
from .fake_live import Clip, Track
from .test_ableton_surface import FIRST_BEAT, Stage, names, repainted, stage

__all__ = ["stage"]  # the fixture


FAKE = "made by the fake backend: tones for testing, no music"


def memories(stage: Stage) -> list[dict[str, Any]]:
    """How the results of the set were made, the oldest first."""
    paths = sorted(Path(stage.song.file_path).parent.rglob("*.recipe.json"))
    return [json.loads(path.read_text("utf-8")) for path in paths]


@pytest.fixture
def band(stage: Stage) -> Stage:
    """Two selected tracks with a clip each, the loop brace over both, and a third track that is not selected."""
    stage.track.name = "Loop"
    for index, name in enumerate(("Bass", "Pads"), 1):
        track = stage.song.create_audio_track(index)
        track.name = name
        track.arrangement_clips.append(Clip(Path(stage.clip.file_path), 4.0, stage.song.tempo))
    stage.song.view.selected_track = stage.track
    stage.song.tracks[1].is_part_of_selection = True
    stage.loop()
    return stage


def takes(track: Track) -> list[Clip]:
    return [clip for lane in track.take_lanes for clip in lane.arrangement_clips]


def test_the_clips_of_all_selected_tracks_are_one_action(band: Stage, running: DaemonProcess) -> None:
    """A take each, placed together: one undo step, one *done*; the progress says how many are ready."""
    seen = set()
    band.run("repaint", caption="fake: steps=6 delay=0.1")

    def placed() -> bool:
        seen.add(tuple(len(takes(track)) for track in band.song.tracks))
        return not band.surface.jobs.pending and any("done" in text for text in band.live.messages)

    band.until(placed)
    assert seen == {(0, 0, 0), (1, 1, 0)} and band.song.undo_steps == ["closed"]
    assert [text for text in band.live.messages if "done" in text] == [f"Repaint selection: done. {FAKE}"]
    assert any(text.startswith("Repaint selection: 1 of 2 ready, repaint ") for text in band.live.messages)
    assert {memory["pending"]["track"] for memory in memories(band)} == {"Loop", "Bass"}


def test_all_clips_under_the_brace_are_sent(stage: Stage, running: DaemonProcess) -> None:
    """Two clips of a track share the stretch: each is worked on as far as it reaches."""
    stage.clip.end_time = 28.0
    stage.track.arrangement_clips.append(Clip(Path(stage.clip.file_path), 28.0, stage.song.tempo))
    stage.loop()
    stage.run("repaint")
    stage.said("done")
    assert len(takes(stage.track)) == 2 and stage.song.undo_steps == ["closed"]
    asked = sorted(
        (memory["pending"]["beat"], memory["request"]["request"]["source"]["length"]) for memory in memories(stage)
    )
    assert asked == [(FIRST_BEAT, 4 * RATE), (28.0, 4 * RATE)]


def test_clips_of_notes_beside_audio_are_left_out(band: Stage, running: DaemonProcess) -> None:
    """The other selected track holds MIDI there: the audio is repainted. Only MIDI is told."""
    band.song.tracks[1].arrangement_clips[0].is_audio_clip = False
    band.run("repaint")
    band.said("done")
    assert [len(takes(track)) for track in band.song.tracks] == [1, 0, 0]
    band.clip.is_audio_clip = False
    band.run("repaint")
    band.said("only MIDI")


def test_only_one_track_is_recorded(band: Stage, running: DaemonProcess) -> None:
    """After effects, and what is heard without the selected track: with two selected one of them would be left out."""
    for action, values in (("repaint", {"after_effects": 1}), ("add-instrument", {"track": "guitar"})):
        band.live.messages.clear()
        band.run(action, **values)
        band.said("Select a single track")
    assert band.song.recorded == [] and len(band.song.tracks) == 3


def test_cancel_ends_all_of_a_key_press(band: Stage, running: DaemonProcess) -> None:
    """The newest press with both its jobs; an earlier one is placed."""
    band.song.tracks[1].is_part_of_selection = False
    band.run("repaint", caption="fake: steps=20 delay=0.1")
    band.song.tracks[1].is_part_of_selection = True
    band.send("/ace/live/run", "repaint", "caption", "fake: steps=200 delay=0.1")
    band.until(lambda: len(band.surface.jobs.pending) == 3)
    band.run("cancel")
    band.until(lambda: not band.surface.jobs.pending)
    band.said("done")
    assert [len(takes(track)) for track in band.song.tracks] == [1, 0, 0]


def test_what_fails_does_not_take_the_others_along(band: Stage, running: DaemonProcess) -> None:
    """One of two jobs is cancelled by its number: the other is placed."""
    band.run("repaint", caption="fake: steps=10 delay=0.1")
    band.until(lambda: len(band.surface.jobs.pending) == 2)
    band.send("/ace/live/cancel", 2)
    band.said("done")
    assert [len(takes(track)) for track in band.song.tracks] == [1, 0, 0] and band.song.undo_steps == ["closed"]


def test_stems_are_one_undo_step(stage: Stage, running: DaemonProcess) -> None:
    """Three picks: three tracks at once."""
    stage.loop()
    stage.run("extract", track="drums, bass, vocals")
    stage.said("done")
    assert len(stage.song.tracks) == 4 and stage.song.undo_steps == ["closed"]


def test_a_press_that_is_half_ready_when_the_set_is_closed(band: Stage, running: DaemonProcess) -> None:
    """One job is done, the other runs: opened again, both are placed, once."""
    band.run("repaint", caption="fake: steps=10 delay=0.2")
    band.until(lambda: band.surface.jobs._ready)
    band.reopen()
    assert len(band.surface.jobs.pending) == 2
    band.until(lambda: [len(takes(track)) for track in band.song.tracks] == [1, 1, 0])
    band.reopen()
    assert band.surface.jobs.pending == {}


def test_a_silent_stem_is_not_called_done(stage: Stage, running: DaemonProcess) -> None:
    """It says that nothing was found, and what to do; beside a stem that sounds, the action is done."""
    silent = Path(stage.clip.file_path)
    soundfile.write(silent, [[0.0, 0.0]] * (32 * RATE), RATE)
    stage.loop()
    stage.run("extract", track="drums")
    stage.said("nothing was found here")
    (told,) = [text for text in stage.live.messages if "nothing was found" in text]
    assert (
        told.startswith(f"Extract stems from selection: {FAKE} drums: nothing was found")
        and "try another track" in told
    )


def test_a_reroll_is_the_old_job_once_more(stage: Stage, running: DaemonProcess) -> None:
    """The daemon is asked for its own job again: a clip that names another job than its recipe shows which of the two counts."""
    clip = repainted(stage)
    (memory,) = memories(stage)
    memory["request"]["request"]["conditioning"]["caption"] = "cold"
    (path,) = Path(stage.song.file_path).parent.rglob("*.recipe.json")
    path.write_text(json.dumps(memory), "utf-8")
    stage.song.view.detail_clip = clip
    stage.run("vary")
    stage.until(lambda: len(names(stage)) == 4)
    made = memories(stage)[1]
    assert made["request"]["request"]["conditioning"]["caption"] == "warm" and "instead" not in made["pending"]


def test_a_reroll_of_a_job_that_the_daemon_forgot(stage: Stage, running: DaemonProcess) -> None:
    """What the clip remembers is enough, also for another daemon."""
    clip = repainted(stage)
    (path,) = Path(stage.song.file_path).parent.rglob("*.recipe.json")
    memory = json.loads(path.read_text("utf-8"))
    memory["pending"]["id"] = "long-gone"
    path.write_text(json.dumps(memory), "utf-8")
    stage.song.view.detail_clip = clip
    stage.run("vary")
    stage.until(lambda: len(names(stage)) == 4)
