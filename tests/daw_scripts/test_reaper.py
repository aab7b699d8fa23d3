"""REAPER scripts in real Lua 5.3 and 5.4 against a stand-in for REAPER, whole round trips through the real daemon's spool.

The stand-in checks every call's arguments; nothing here has run inside the real REAPER.
"""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.launch import DaemonProcess

from .conftest import RATE, Desk, done, finish, loop_item
from .fake_reaper import FakeReaper, Item, Project, Track, WrongArguments, read_rpp, write_rpp

REPAINT = "Repaint selection"
EXTEND = "Extend audio into selection"
KEEP = "Keep the playing take, delete the other variants"
LISTEN = "Preview the next variant"
PLACE = "Place the previewed variant, drop the others"


def test_repaint_becomes_a_take_that_spans_the_item(desk: Desk, running: DaemonProcess) -> None:
    """The file is the item's own, the region exact, the new take as long as the item, in the media folder, undoable once."""
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    old, new = item.takes
    info = soundfile.info(new.source.path)
    assert (info.samplerate, info.frames) == (RATE, 30 * RATE)
    assert new.values["D_STARTOFFS"] == 0.0 and old.values["D_STARTOFFS"] == 0.5
    assert new.source.path.parent == desk.project.media
    assert item.active == 1 and item.values["D_POSITION"] == 1.0 and item.values["D_LENGTH"] == 30.0
    assert desk.project.undo == ["ACE-Step: Repaint selection"]
    assert desk.reaper.messages == [] and desk.reaper.rendered == []


def test_the_request_is_exact_to_the_sample(desk: Desk, running: DaemonProcess) -> None:
    """Region and span are the file's own samples; tempo, metre and bars are those at the place."""
    item = loop_item(desk)
    desk.project.tempo = [
        {"time": 0.0, "bpm": 100.0, "num": 3, "den": 4, "linear": False},
        {"time": 8.0, "bpm": 96.5, "num": 4, "den": 4, "linear": False},
    ]
    desk.run(REPAINT)
    finish(desk, 2, item)
    request = json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]
    assert request["source"]["path"] == str(item.takes[0].source.path)
    assert request["source"]["start"] == 8.5 * RATE and request["source"]["length"] == 8 * RATE
    assert (request["output"]["span_start"], request["output"]["span_end"]) == (RATE // 2, 30.5 * RATE)
    assert request["conditioning"]["bpm"] == pytest.approx(96.5) and request["conditioning"]["time_signature"] == "4"
    assert request["output"]["name"] == "Loop, bars 6-9"


@pytest.mark.parametrize("rate", [44_100, 96_000])
def test_a_file_of_another_rate_keeps_its_rate(desk: Desk, running: DaemonProcess, rate: int) -> None:
    """The take is cut in the file's samples, not in the project's."""
    item = loop_item(desk, rate=rate)
    desk.run(REPAINT)
    finish(desk, 2, item)
    info = soundfile.info(item.takes[1].source.path)
    assert (info.samplerate, info.frames) == (rate, 30 * rate)


def test_variants_are_takes_and_the_rest_is_one_command_away(desk: Desk, running: DaemonProcess) -> None:
    """Three variants: three takes, the first one plays; keep deletes the others and nothing else."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "warm|3|7"]
    desk.run(REPAINT)
    finish(desk, 4, item)
    assert [take.strings["P_NAME"].split(" (")[0] for take in item.takes[1:]] == ["repaint 1", "repaint 2", "repaint 3"]
    assert item.active == 1
    keep = item.takes[1]
    desk.run(KEEP)
    assert item.takes[1:] == [keep] and len(item.takes) == 2 and item.takes[item.active] is keep


def test_a_trimmed_item_still_fits(desk: Desk, running: DaemonProcess) -> None:
    """The user trims the item while the job runs: the take follows the old take's offset."""
    item = loop_item(desk)
    desk.run(REPAINT)
    desk.until(desk.waiting)
    item.values.update(D_POSITION=3.0, D_LENGTH=28.0)
    item.takes[0].values["D_STARTOFFS"] = 2.5
    finish(desk, 2, item)
    assert item.takes[1].values["D_STARTOFFS"] == 2.0


def test_volume_pan_and_effects_go_along(desk: Desk, running: DaemonProcess) -> None:
    """The new take sounds through the same take effects, volume and pan."""
    item = loop_item(desk)
    item.takes[0].values.update(D_VOL=0.5, D_PAN=-0.25)
    item.takes[0].effects = ["ReaEQ"]
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert item.takes[1].effects == ["ReaEQ"]
    assert (item.takes[1].values["D_VOL"], item.takes[1].values["D_PAN"]) == (0.5, -0.25)


TOUCHED = {
    "play rate": lambda item: item.takes[0].values.update(D_PLAYRATE=1.25),
    "pitch": lambda item: item.takes[0].values.update(D_PITCH=2.0),
    "stretch markers": lambda item: setattr(item.takes[0], "stretch_markers", 2),
    "mono": lambda item: item.takes[0].values.update(I_CHANMODE=2.0),
    "an envelope": lambda item: setattr(item.takes[0], "envelopes", 1),
    "reversed": lambda item: setattr(item.takes[0].source, "section", True),
    "looped": lambda item: item.values.update(D_LENGTH=60.0),
}


@pytest.mark.parametrize("touch", TOUCHED)
def test_processed_items_are_rendered_as_they_sound(desk: Desk, running: DaemonProcess, touch: str) -> None:
    """What is no longer the file itself is rendered; every render setting, the item and the selection are as before."""
    item = loop_item(desk)
    TOUCHED[touch](item)
    item.values.update(D_VOL=0.7, D_FADEINLEN=0.2)
    before = (dict(desk.project.numbers), dict(desk.project.strings), dict(item.values))
    desk.run(REPAINT)
    finish(desk, 2, item)
    (render,) = desk.reaper.rendered
    assert (render["RENDER_SETTINGS"], render["RENDER_BOUNDSFLAG"], render["RENDER_NORMALIZE"]) == (32, 4, 0)
    assert (dict(desk.project.numbers), dict(desk.project.strings), dict(item.values)) == before
    assert item.selected and desk.reaper.refresh == 0
    assert soundfile.info(item.takes[1].source.path).frames == item.values["D_LENGTH"] * RATE
    assert len(list(desk.project.media.glob("acestep-*.wav"))) == 1


def test_a_failed_render_restores_everything(desk: Desk, running: DaemonProcess) -> None:
    """REAPER rendered nothing: a sentence, no job, no setting left changed."""
    item = loop_item(desk)
    item.takes[0].values["D_PLAYRATE"] = 0.5
    desk.reaper.break_render = True
    before = (dict(desk.project.numbers), dict(desk.project.strings), dict(item.values))
    desk.run(REPAINT)
    desk.until(lambda: desk.reaper.messages)
    assert "rendered nothing" in desk.reaper.messages[0]
    assert (dict(desk.project.numbers), dict(desk.project.strings), dict(item.values)) == before
    assert desk.waiting() == [] and desk.reaper.refresh == 0


def test_stems_are_named_tracks_in_a_folder(desk: Desk, running: DaemonProcess) -> None:
    """Two picked stems: one folder below the source, a track each; positions and lengths stand in the project file."""
    loop_item(desk)
    desk.project.add_track("Below")
    desk.reaper.inputs = [lambda defaults: "drums, bass"]
    desk.run("Extract stems from selection")
    desk.until(lambda: len(desk.project.tracks) == 5 and done(desk))
    path = desk.folder / "state.rpp"
    write_rpp(desk.project, path)
    tracks = read_rpp(path)
    assert [track["name"] for track in tracks[:2]] == ["Loop", "Extract stems from selection"]
    assert {track["name"] for track in tracks[2:4]} == {"drums", "bass"} and tracks[4]["name"] == "Below"
    assert [track["depth"] for track in tracks] == [0, 1, 0, -1, 0]
    for track in tracks[2:4]:
        (item,) = track["items"]
        assert (item["position"], item["length"]) == (9.0, 8.0)
        assert item["takes"][0]["soffs"] == 0.0 and Path(item["takes"][0]["file"]).parent == desk.project.media


def test_a_silent_stem_says_that_nothing_was_found(desk: Desk, running: DaemonProcess) -> None:
    """The line at the bottom names the track and says what to do."""
    item = loop_item(desk)
    soundfile.write(item.takes[0].source.path, np.zeros((32 * RATE, 2)), RATE)
    desk.reaper.inputs = [lambda defaults: "drums"]
    desk.run("Extract stems from selection")
    desk.until(lambda: len(desk.project.tracks) == 3 and done(desk))
    assert "drums: nothing was found here" in desk.reaper.help_line and "try another track" in desk.reaper.help_line


def test_generate_fills_the_selection_on_a_new_track(desk: Desk, running: DaemonProcess) -> None:
    """Length and place come from the time selection, at the project's rate."""
    desk.project.loop = (2.0, 4.5)
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: desk.project.tracks and done(desk))
    (item,) = desk.project.tracks[0].items
    assert (item.values["D_POSITION"], item.values["D_LENGTH"]) == (2.0, 2.5)
    assert soundfile.info(item.takes[0].source.path).frames == 2.5 * RATE
    assert item.values["C_BEATATTACHMODE"] == 0 and item.values["B_LOOPSRC"] == 0


def test_generate_at_the_cursor_takes_its_length_from_the_form(desk: Desk, running: DaemonProcess) -> None:
    """Without a selection the cursor says where and the form how long."""
    desk.project.cursor = 5.0
    desk.reaper.inputs = [lambda defaults: "|12|1|-1"]
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: desk.project.tracks and done(desk))
    (item,) = desk.project.tracks[0].items
    assert item.values["D_POSITION"] == 5.0 and item.values["D_LENGTH"] > 0


def test_a_new_instrument_hears_everything_but_its_own_track(desk: Desk, running: DaemonProcess) -> None:
    """Lego: the mix around the selection is rendered with the selected track muted; the mute is taken back."""
    loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "guitar||1|-1"]
    desk.run("Add an instrument to the mix")
    desk.until(lambda: len(desk.project.tracks) == 2 and done(desk))
    (render,) = desk.reaper.rendered
    assert render["muted"] == ["Loop"] and (render["RENDER_STARTPOS"], render["RENDER_ENDPOS"]) == (0.0, 27.0)
    assert desk.project.tracks[0].values["B_MUTE"] == 0
    (item,) = desk.project.tracks[1].items
    assert (item.values["D_POSITION"], item.values["D_LENGTH"]) == (9.0, 8.0)


def test_a_cover_is_a_take_over_the_old_sound(desk: Desk, running: DaemonProcess) -> None:
    """The selected bars go along as they are and come back as a take; the old one stays."""
    item = loop_item(desk)
    desk.run("Cover selection")
    finish(desk, 2, item)
    request = json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]
    assert [stage["type"] for stage in request["stages"]] == ["cover"]
    assert item.active == 1 and soundfile.info(item.takes[1].source.path).frames == 30 * RATE
    assert desk.project.undo == ["ACE-Step: Cover selection"]


def test_a_completed_arrangement_is_a_new_track(desk: Desk, running: DaemonProcess) -> None:
    """It stands at the selection, as long as it; the track it was made from is untouched."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "drums, bass||1|-1"]
    desk.run("Complete the arrangement around selection")
    desk.until(lambda: len(desk.project.tracks) == 2 and done(desk))
    (made,) = desk.project.tracks[1].items
    assert (made.values["D_POSITION"], made.values["D_LENGTH"]) == (9.0, 8.0)
    assert len(item.takes) == 1


def test_a_sentence_becomes_a_song_on_a_new_track(desk: Desk, running: DaemonProcess) -> None:
    """At the cursor, as long as its plan says, or as long as the selection; tempo and metre are the project's."""
    desk.reaper.inputs = [lambda defaults: "dark techno in F minor||1|7"]
    desk.project.loop, desk.project.cursor = (0.0, 0.0), 3.0
    desk.run("Make a song from one sentence")
    desk.until(lambda: len(desk.project.tracks) == 1 and done(desk))
    (item,) = desk.project.tracks[0].items
    assert item.values["D_POSITION"] == 3.0
    request = json.loads(item.takes[0].strings["P_EXT:acestep"])["request"]["request"]
    assert request["conditioning"]["query"] == "dark techno in F minor" and request["conditioning"]["thinking"] is True
    assert request["conditioning"]["bpm"] == 120 and request["output"].get("length") is None
    desk.project.loop = (2.0, 4.0)
    desk.reaper.inputs = [lambda defaults: "warm folk||1|7"]
    desk.run("Make a song from one sentence")
    desk.until(lambda: len(desk.project.tracks) == 2 and done(desk))
    (item,) = desk.project.tracks[1].items
    assert (item.values["D_POSITION"], item.values["D_LENGTH"]) == (2.0, 2.0)


def test_a_region_is_the_selection(desk: Desk, running: DaemonProcess) -> None:
    """Without any other selection: the project region around the edit cursor, with the items on the selected tracks."""
    item = loop_item(desk)
    item.selected, desk.project.loop, desk.project.cursor = False, (0.0, 0.0), 11.0
    desk.project.markers = [
        {"start": 2.0, "end": 8.0},
        {"start": 10.0, "end": None},
        {"start": 10.0, "end": 14.0},
    ]
    desk.run(REPAINT)
    finish(desk, 2, item)
    source = json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]["source"]
    assert (source["start"], source["length"]) == (9.5 * RATE, 4 * RATE)


def test_a_time_selection_and_selected_items_win_over_a_region(desk: Desk, running: DaemonProcess) -> None:
    """A region is what is left when nothing else is selected."""
    item = loop_item(desk)
    desk.project.cursor, desk.project.markers = 11.0, [{"start": 10.0, "end": 14.0}]
    desk.run(REPAINT)
    finish(desk, 2, item)
    desk.project.loop = (0.0, 0.0)
    desk.run(REPAINT)
    finish(desk, 3, item)
    sources = [json.loads(take.strings["P_EXT:acestep"])["request"]["request"]["source"] for take in item.takes[1:]]
    assert [source["length"] for source in sources] == [8 * RATE, 30 * RATE]


def test_razor_areas_of_one_stretch_take_every_track_once(desk: Desk, running: DaemonProcess) -> None:
    """Two tracks, one of them with the area twice (two lanes): a job each."""
    items = [loop_item(desk), loop_item(desk)]
    area = '4 6 "" '
    items[0].track.strings["P_RAZOREDITS"], items[1].track.strings["P_RAZOREDITS"] = area + area, area
    desk.run(REPAINT)
    desk.until(lambda: all(len(item.takes) == 2 for item in items) and done(desk))
    for _ in range(10):
        desk.reaper.tick()
    assert [len(item.takes) for item in items] == [2, 2]


def test_a_razor_edit_is_the_selection(desk: Desk, running: DaemonProcess) -> None:
    """Razor edits win over the time selection."""
    item = loop_item(desk)
    item.track.strings["P_RAZOREDITS"] = '4.0 6.0 "" 7.0 8.0 "{envelope}"'
    desk.run(REPAINT)
    finish(desk, 2, item)
    source = json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]["source"]
    assert (source["start"], source["length"]) == (3.5 * RATE, 2 * RATE)


def test_a_reroll_is_the_same_request_with_another_seed(desk: Desk, running: DaemonProcess) -> None:
    """Vary: the recipe in the take is enough."""
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    desk.run("Re-roll the selected take")
    finish(desk, 3, item)
    first, second = (json.loads(take.strings["P_EXT:acestep"])["request"]["request"] for take in item.takes[1:])
    assert first["source"] == second["source"] and first["conditioning"] == second["conditioning"]
    assert first["stages"][0]["seeds"] != second["stages"][0]["seeds"]


def test_a_reroll_is_the_old_job_once_more(desk: Desk, running: DaemonProcess) -> None:
    """The daemon is asked for its own job again: a take that names another job than its recipe shows which of the two counts."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "warm|1|7", lambda defaults: "cold|1|9"]
    for takes in (2, 3):
        desk.run(REPAINT)
        finish(desk, takes, item)
    warm, cold = (json.loads(take.strings["P_EXT:acestep"]) for take in item.takes[1:])
    cold["pending"]["id"], item.active = warm["pending"]["id"], 2
    item.takes[2].strings["P_EXT:acestep"] = json.dumps(cold)
    desk.run("Re-roll the selected take")
    finish(desk, 4, item)
    made = json.loads(item.takes[3].strings["P_EXT:acestep"])
    assert made["request"]["request"]["conditioning"]["caption"] == "warm"
    assert made["request"]["request"]["stages"][0]["seeds"] != [7] and "instead" not in made["pending"]


def test_a_reroll_of_a_job_that_the_daemon_forgot(desk: Desk, running: DaemonProcess) -> None:
    """The recipe in the take is enough, also for another daemon."""
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    memory = json.loads(item.takes[1].strings["P_EXT:acestep"])
    memory["pending"]["id"] = "long-gone"
    item.takes[1].strings["P_EXT:acestep"] = json.dumps(memory)
    desk.run("Re-roll the selected take")
    finish(desk, 3, item)
    assert desk.reaper.messages == []


def test_a_reroll_needs_only_the_selected_item(desk: Desk, running: DaemonProcess) -> None:
    """A time selection and a razor edit elsewhere do not matter."""
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    desk.project.loop = (40.0, 44.0)
    desk.project.add_track("Other").strings["P_RAZOREDITS"] = '50 51 ""'
    desk.run("Re-roll the selected take")
    finish(desk, 3, item)
    assert desk.reaper.messages == []


def copy_of(desk: Desk, item: Item, position: float) -> Item:
    """A copy of the item further on, as the user makes one; it is selected, and the item no longer."""
    copy = desk.project.add_item(item.track, item.takes[0].source, position, item.values["D_LENGTH"])
    copy.takes = [FakeReaper._take_from(take, copy, 0.0) for take in item.takes]
    copy.active, item.selected, copy.selected = item.active, False, True
    return copy


def test_a_reroll_of_a_copy_lands_on_the_copy(desk: Desk, running: DaemonProcess) -> None:
    """The copy was trimmed: the new take is cut like its playing one; the original stays as it is, and keep sees one choice."""
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    copy = copy_of(desk, item, 50.0)
    copy.values.update(D_POSITION=53.0, D_LENGTH=27.0)
    for take in copy.takes:
        take.values["D_STARTOFFS"] += 3.0
    desk.run("Re-roll the selected take")
    finish(desk, 3, copy)
    assert len(item.takes) == 2 and copy.takes[2].values["D_STARTOFFS"] == 3.0
    desk.run(KEEP)
    assert len(copy.takes) == 2 and len(item.takes) == 2


def test_restore_follows_a_moved_item(desk: Desk, running: DaemonProcess) -> None:
    """The item lies 20 s later: so does what is selected, also for a re-roll of it."""
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    item.values["D_POSITION"] += 20.0
    desk.run("Re-roll the selected take")
    finish(desk, 3, item)
    desk.reaper.inputs = [lambda defaults: None]
    desk.run("Restore settings from the selected take")
    assert desk.project.loop == (29.0, 37.0)


def test_a_reroll_of_a_moved_part_lands_beside_it(desk: Desk, running: DaemonProcess) -> None:
    """A generated item was moved: the next one stands at its new place."""
    desk.project.loop = (2.0, 4.0)
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: desk.project.tracks and done(desk))
    (item,) = desk.project.tracks[0].items
    item.values["D_POSITION"], item.selected = 12.0, True
    desk.run("Re-roll the selected take")
    desk.until(lambda: len(desk.project.tracks) == 2 and done(desk))
    assert desk.project.tracks[1].items[0].values["D_POSITION"] == 12.0


def test_the_last_values_are_remembered(desk: Desk, running: DaemonProcess) -> None:
    """The second form begins where the first one ended; without a form the values are used again."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "warm tape|2|9"]
    desk.run(REPAINT)
    finish(desk, 3, item)
    desk.run(REPAINT)
    finish(desk, 5, item)
    assert desk.reaper.asked[1][1].startswith("warm tape|2|9|no||")
    desk.run("Repaint selection with the last settings")
    finish(desk, 7, item)
    assert len(desk.reaper.asked) == 2


def test_progress_is_shown_and_taken_away(desk: Desk, running: DaemonProcess) -> None:
    """A running job has a line with its percent; a finished one leaves no line."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "fake: steps=4 delay=0.2|1|-1"]
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert any("repaint: repaint" in line and line.endswith("%") for line in desk.reaper.lines)
    assert "%" not in desk.reaper.help_line


def test_cancel(desk: Desk, running: DaemonProcess) -> None:
    """The newest job stops, nothing lands, nothing waits, no complaint."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "fake: steps=200 delay=0.1|1|-1"]
    desk.run(REPAINT)
    desk.until(lambda: any("%" in line for line in desk.reaper.lines))
    desk.run("Cancel the newest job")
    desk.until(lambda: not desk.waiting())
    assert len(item.takes) == 1 and desk.reaper.messages == []


def test_one_of_several_jobs_is_cancelled(desk: Desk, running: DaemonProcess) -> None:
    """Show jobs: a numbered line each, then the number to cancel; the other job goes on and lands."""
    item = loop_item(desk)
    slow = "fake: steps=20 delay=0.1|1|-1"
    desk.reaper.inputs = [lambda defaults: slow, lambda defaults: slow, lambda defaults: "2"]
    for count in (1, 2):
        desk.run(REPAINT)
        desk.until(lambda count=count: len(desk.waiting()) == count)
    first, _ = desk.waiting()
    desk.run("Show jobs")
    desk.until(lambda: len(desk.reaper.asked) == 3)
    assert [line.split()[0] for line in desk.reaper.messages[0].splitlines()] == ["1", "2"]
    finish(desk, 2, item)
    assert json.loads(item.takes[1].strings["P_EXT:acestep"])["pending"]["id"] == first["id"] and len(item.takes) == 2


def test_a_failed_job_says_why(desk: Desk, running: DaemonProcess) -> None:
    """One sentence, nothing on the timeline."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "fake: fail=out_of_memory fail_at=1|1|-1"]
    desk.run(REPAINT)
    desk.until(lambda: desk.reaper.messages)
    assert "out_of_memory" in desk.reaper.messages[0] and desk.reaper.messages[0].startswith(REPAINT)
    assert len(item.takes) == 1 and desk.waiting() == []


def test_one_resident_at_a_time(desk: Desk, running: DaemonProcess) -> None:
    """Two actions in a row: one loop watches both jobs, each result lands once."""
    item = loop_item(desk)
    desk.run(REPAINT)
    desk.until(lambda: desk.reaper.asked)
    desk.reaper.tick()
    desk.run(REPAINT)
    finish(desk, 3, item)
    for _ in range(20):
        desk.reaper.tick()
    assert len(item.takes) == 3 and len(desk.reaper.at_exit) == 1


def test_a_render_makes_no_second_resident(desk: Desk, running: DaemonProcess) -> None:
    """While REAPER renders or a form is open no script runs: the resident's sign grows old, and yet it is the only one.

    A script that still runs when its key is pressed again ends and starts anew, without REAPER's question.
    """
    desk.resident()
    item = loop_item(desk)
    item.takes[0].values["D_PLAYRATE"] = 1.25
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert len(desk.reaper.at_exit) == 1 and desk.reaper.action_options == [3]


def test_set_up_is_enough_for_results_to_arrive(desk: Desk, running: DaemonProcess) -> None:
    """The script that registers the actions stays as the resident; REAPER need not be started again."""
    desk.run("Set up")
    assert len(desk.reaper.at_exit) == 1, "it stays"
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert len(desk.reaper.at_exit) == 1


def test_the_stand_in_refuses_wrong_arguments(desk: Desk) -> None:
    """A fake that accepts anything proves nothing: wrong type, wrong count and unknown functions fail."""
    lua = desk.lua()
    assert lua.eval("reaper.is_a_fake")
    for code in ("reaper.GetMediaItemInfo_Value('x', 'D_VOL')", "reaper.CountTracks()", "reaper.GetTrack(0, 0.5)"):
        with pytest.raises(WrongArguments):
            lua.execute(code)
    assert lua.eval("reaper.ThereIsNoSuchFunction") is None


def test_an_operation_without_an_action_appears_by_itself(desk: Desk, running: DaemonProcess) -> None:
    """Presets and plug-in operations: chosen from the daemon's describe, with a form made from it."""
    item = loop_item(desk)
    chosen: list[str] = []

    def choose(defaults: str) -> str:
        chosen.append(desk.reaper.asked[0][0])
        return "refine"

    desk.reaper.inputs = [choose]
    desk.run("Other operation, preset or plug-in")
    desk.until(lambda: (len(item.takes) > 1 or len(desk.project.tracks) > 1) and done(desk))
    assert "refine" in chosen[0] and "repaint" not in chosen[0].replace("Operation", "")
    assert len(desk.reaper.asked) == 2
    captions = desk.reaper.asked[1][0].split(",")
    assert {"Description", "Variants"} <= set(captions), "the operation's own main fields"


def test_the_form_is_that_of_the_chosen_model(desk: Desk, running: DaemonProcess, v1: str) -> None:
    """A v1 is chosen on a page: the form is made again with its fields and defaults, remembered, and the job goes to it. The form
    of what it cannot do says so."""

    def filling(**texts: str) -> Any:
        def answer(defaults: str) -> str:
            names = desk.reaper.asked[-1][0].split(",")
            return "|".join(
                texts.get(name.split()[0], text) for name, text in zip(names, defaults.split("|"), strict=False)
            )

        return answer

    item = loop_item(desk)
    desk.reaper.inputs = [
        filling(More="Model"), filling(Model=v1), filling(More="Sampling"), filling(), filling(Description="warm")
    ]  # fmt: skip
    desk.run("Cover selection")
    finish(desk, 2, item)
    captions = [[name.split()[0] for name in asked[0].split(",")] for asked in desk.reaper.asked]
    assert "Strength" in captions[0] and "Strength" not in captions[2]
    page = dict(zip(captions[3], desk.reaper.asked[3][1].split("|"), strict=False))
    assert page["Steps"] == "60"
    request = json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]
    (stage,) = request["stages"]
    assert (stage["type"], stage["model"], request["conditioning"]["caption"]) == ("cover", v1, "warm")
    desk.reaper.inputs = [filling(More="Model"), filling(Model=v1), lambda defaults: None]
    desk.run("Extract stems from selection")
    desk.until(lambda: not desk.reaper.inputs)
    note = desk.reaper.asked[-1][1].split("|")[-1]
    assert v1 in note and "extract" in note, note


IMGUI = """
return function(version)
  assert(version == "0.9")
  local imgui = { is_a_fake = true }
  function imgui.CreateContext(title) return { title = title } end
  function imgui.Begin(context, title, open) frames = frames + 1 return true, open end
  function imgui.End(context) end
  function imgui.Text(context, text) shown = text end
  function imgui.SameLine(context) end
  function imgui.InputText(context, label, text)
    if frames == 1 and label == "Variants" then return true, "nine" end
    if frames == 3 and label == "Variants" then return true, "2" end
    return false, text
  end
  function imgui.TextWrapped(context, text) end
  function imgui.IsItemHovered(context) return true end
  function imgui.SetTooltip(context, text) tips[#tips + 1] = text end
  function imgui.BeginCombo(context, label, preview) return true end
  function imgui.Selectable(context, label, selected) offered[#offered + 1] = label return false end
  function imgui.EndCombo(context) end
  function imgui.IsKeyPressed(context, key, again) assert(key == 525 or key == 615) return frames == 4 and key == enter end
  imgui.Key_Enter, imgui.Key_KeypadEnter = 525, function() return 615 end
  function imgui.Checkbox(context, label, value) return false, value end
  function imgui.Button(context, label) return label == "OK" and frames == 2 end
  return imgui
end
"""


@pytest.mark.parametrize("enter", [525, 615])
def test_the_form_of_reaimgui(desk: Desk, running: DaemonProcess, enter: int) -> None:
    """With ReaImGui the form is a window that stays open until the values are right; REAPER's input box is not asked.

    Either Enter key confirms, whose number is a value in some releases and a function in others.
    """
    item = loop_item(desk)
    (desk.folder / "imgui.lua").write_text(IMGUI)
    make = desk.lua

    def with_imgui() -> Any:
        lua = make()
        lua.globals().frames, lua.globals().offered, lua.globals().enter = 0, lua.table(), enter
        lua.globals().tips = lua.table()
        lua.globals().reaper.APIExists = lambda name: name == "ImGui_GetBuiltinPath" or desk.reaper.APIExists(name)
        lua.globals().reaper.ImGui_GetBuiltinPath = lambda: str(desk.folder)
        desk.last = lua
        return lua

    desk.lua = with_imgui  # type: ignore[method-assign]
    desk.run(REPAINT)
    finish(desk, 3, item)
    assert desk.reaper.asked == []
    assert desk.last.globals().shown == "Variants: enter a number." and desk.last.globals().frames == 4
    assert "Number of results with different seeds." in desk.last.globals().tips.values(), "what a field is, over it"


PICKING = IMGUI.replace(
    "offered[#offered + 1] = label return false",
    'return frames <= 2 and (label == "backing vocals" or label == "bass")',
).replace("if frames", "labels[label] = text if frames")


def test_several_instruments_are_picked_from_a_list(desk: Desk, running: DaemonProcess) -> None:
    """In ReaImGui's window: names without underscores, each added to the field once; its label is not lengthened."""
    loop_item(desk)
    (desk.folder / "imgui.lua").write_text(PICKING)
    make = desk.lua

    def with_imgui() -> Any:
        lua = make()
        lua.globals().frames, lua.globals().labels, lua.globals().enter = 0, lua.table(), 0
        lua.globals().tips = lua.table()
        lua.globals().reaper.APIExists = lambda name: name == "ImGui_GetBuiltinPath" or desk.reaper.APIExists(name)
        lua.globals().reaper.ImGui_GetBuiltinPath = lambda: str(desk.folder)
        desk.last = lua
        return lua

    desk.lua = with_imgui  # type: ignore[method-assign]
    desk.run("Extract stems from selection")
    desk.until(lambda: len(desk.project.tracks) > 2 and done(desk))
    assert "Instrument" in list(desk.last.globals().labels.keys())
    assert sorted(track.strings["P_NAME"] for track in desk.project.tracks[2:]) == ["backing_vocals", "bass"]


def test_without_an_answer_nothing_is_sent(desk: Desk, running: DaemonProcess) -> None:
    """The user cancels the form."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: None]
    desk.run(REPAINT)
    desk.until(lambda: desk.reaper.asked)
    for _ in range(20):
        desk.reaper.tick()
    assert desk.waiting() == [] and len(item.takes) == 1


def test_variants_on_tracks_are_one_undo_step(desk: Desk, running: DaemonProcess) -> None:
    """Two new tracks go with one undo, also where another project was in front when they came."""
    item = loop_item(desk)
    media = desk.folder / "other" / "Media"
    media.mkdir(parents=True)
    other = Project(media.parent / "other.rpp", media)
    for count, front in enumerate((desk.project, other)):
        desk.project.loop = (2.0 + count, 4.0)
        desk.reaper.inputs = [lambda defaults: "||2|-1"]
        desk.run("Generate for selection or at cursor")
        desk.until(desk.waiting)
        desk.reaper.projects, desk.reaper.front = [desk.project, other], front
        desk.until(lambda: len(desk.project.tracks) == 3 and done(desk))
        assert desk.project.undo == ["ACE-Step: Generate for selection or at cursor"] and desk.reaper.front is front
        desk.reaper.undo(desk.project)
        assert desk.project.tracks == [item.track] and item.track.items == [item] and other.tracks == []
        desk.reaper.front = desk.project


def test_keep_deletes_the_variants_on_other_tracks(desk: Desk, running: DaemonProcess) -> None:
    """Three generated variants: the selected one stays; the others go with the tracks that were made for them, one undo step.

    A variant that the user put elsewhere stays, and so does a track of the user's.
    """
    desk.project.loop = (2.0, 4.0)
    desk.reaper.inputs = [lambda defaults: "||4|-1"]
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: len(desk.project.tracks) == 4 and done(desk))
    first, second, third, fourth = (track.items[0] for track in desk.project.tracks)
    own = desk.project.add_track("Mine")
    third.track.items.remove(third)
    own.items.append(third)
    third.track = own
    fourth.values["D_POSITION"] = 20.0
    second.selected = True
    empty = desk.project.tracks[2]
    desk.run(KEEP)
    assert desk.project.tracks == [second.track, empty, fourth.track, own] and own.items == []
    assert second.track.items == [second] and fourth.track.items == [fourth]
    assert first.track not in desk.project.tracks and desk.project.undo[-1] == "ACE-Step: keep the playing take"


def test_keep_among_stems_leaves_the_folder_whole(desk: Desk, running: DaemonProcess) -> None:
    """The first stem of a folder was made again: the old one, last in the folder, goes; the folder still ends there."""
    loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "drums"]
    desk.run("Extract stems from selection")
    desk.until(lambda: len(desk.project.tracks) == 3 and done(desk))
    (old,) = desk.project.tracks[2].items
    desk.project.tracks[0].items[0].selected, old.selected = False, True
    desk.run("Re-roll the selected take")
    desk.until(lambda: len(desk.project.tracks) == 4 and done(desk))
    (new,) = desk.project.tracks[2].items
    old.selected, new.selected = False, True
    desk.run(KEEP)
    assert [track.values["I_FOLDERDEPTH"] for track in desk.project.tracks] == [0, 1, -1]
    assert desk.project.tracks[2].items == [new]


def test_extend_reaches_past_the_item(desk: Desk, running: DaemonProcess) -> None:
    """The selection begins in the item and ends beyond its file: a patch of its own on the same track, as long as asked."""
    item = loop_item(desk, position=1.0, length=32.0, offset=0.0)
    desk.project.loop = (29.0, 37.0)
    desk.run(EXTEND)
    desk.until(lambda: len(item.track.items) == 3 and done(desk))
    new = item.track.items[-1]
    source = json.loads(new.takes[0].strings["P_EXT:acestep"])["request"]["request"]["source"]
    assert (source["start"], source["length"]) == (28 * RATE, 8 * RATE)
    assert len(item.takes) == 1
    handle = 29.0 - new.values["D_POSITION"]
    assert 0 <= handle < 0.1 and new.values["D_LENGTH"] >= 8.0 + handle
    assert desk.project.undo == ["ACE-Step: Extend audio into selection"]


def sounding(track: Track) -> list[tuple[float, float]]:
    """Begin and end of every item that is heard, in order."""
    spans = [(item.values["D_POSITION"], item.values["D_LENGTH"]) for item in track.items if not item.values["B_MUTE"]]
    return sorted((begin, begin + length) for begin, length in spans)


@pytest.mark.parametrize("loop", [(29.0, 37.0), (1.0, 5.0)])
def test_an_extension_sounds_alone(desk: Desk, running: DaemonProcess, loop: tuple[float, float]) -> None:
    """Past the end or from before the beginning: the old item is cut and muted there, so that nothing is heard twice."""
    item = loop_item(desk, position=3.0, length=30.0, offset=0.0)
    item.values.update(D_VOL=0.5, D_FADEOUTLEN=1.0)
    desk.project.loop = loop
    desk.run(EXTEND)
    desk.until(lambda: any("P_EXT:acestep" in other.takes[0].strings for other in item.track.items) and done(desk))
    spans = sounding(item.track)
    assert all(before[1] == pytest.approx(after[0], abs=1e-6) for before, after in itertools.pairwise(spans))
    assert spans[0][0] <= min(3.0, loop[0]) and spans[-1][1] >= max(33.0, loop[1])
    muted = [other for other in item.track.items if other.values["B_MUTE"]]
    assert len(muted) == 1 and muted[0].takes[0].source is item.takes[0].source
    assert not muted[0].selected, "the next action does not send it"
    (new,) = [other for other in item.track.items if "P_EXT:acestep" in other.takes[0].strings]
    assert new.values["D_VOL"] == 0.5


def test_variants_of_an_extension_are_takes_of_one_item(desk: Desk, running: DaemonProcess) -> None:
    """One of them sounds; a re-roll is a further take of that item, and keep leaves the active one."""
    item = loop_item(desk, length=32.0, offset=0.0)
    desk.project.loop = (29.0, 37.0)
    desk.reaper.inputs = [lambda defaults: "warm|2|7"]
    desk.run(EXTEND)
    desk.until(lambda: len(item.track.items) == 3 and done(desk))
    new = item.track.items[-1]
    assert len(new.takes) == 2 and new.active == 0
    item.selected, new.selected, item.track.items[1].selected = False, True, False
    desk.run("Re-roll the selected take")
    finish(desk, 3, new)
    assert len(item.track.items) == 3 and new.takes[2].values["D_STARTOFFS"] == 0.0
    desk.run(KEEP)
    assert len(new.takes) == 1


def test_the_same_extension_twice_sounds_once(desk: Desk, running: DaemonProcess) -> None:
    """Two jobs for one place: the second result is a take of the first one's item."""
    item = loop_item(desk, length=32.0, offset=0.0)
    desk.project.loop = (29.0, 37.0)
    desk.reaper.inputs = [lambda defaults: "fake: steps=20 delay=0.1|1|-1"]
    desk.run(EXTEND)
    desk.until(desk.waiting)
    desk.run(EXTEND)
    desk.until(lambda: len(desk.project.undo) == 2 and done(desk))
    assert len(item.track.items) == 3 and len(item.track.items[-1].takes) == 2 and len(sounding(item.track)) == 2


def test_an_extension_is_heard_alone_before_it_is_placed(desk: Desk, running: DaemonProcess) -> None:
    """While it sounds the old item ends where it begins; afterwards the item is as it was."""
    item = loop_item(desk, length=32.0, offset=0.0)
    item.values.update(D_FADEOUTLEN=0.5)
    before = dict(item.values)
    desk.project.loop = (29.0, 37.0)
    desk.reaper.inputs = [lambda defaults: "warm|1|7|yes"]
    desk.run(EXTEND)
    desk.until(lambda: "ready" in desk.reaper.help_line)
    desk.run(LISTEN)
    first, second = sounding(item.track)
    assert first[1] == pytest.approx(second[0], abs=1e-6) and second[1] >= 37.0
    desk.run(LISTEN)
    assert item.track.items == [item] and item.values == before
    desk.run(LISTEN)
    desk.run(PLACE)
    assert len(item.track.items) == 3 and len(sounding(item.track)) == 2


def test_new_tracks_land_in_the_project_that_asked(desk: Desk, running: DaemonProcess) -> None:
    """Tracks can be inserted only into the project in front: it is changed for a moment and put back."""
    desk.project.loop = (2.0, 4.0)
    media = desk.folder / "other" / "Media"
    media.mkdir(parents=True)
    other = Project(media.parent / "other.rpp", media)
    desk.run("Generate for selection or at cursor")
    desk.until(desk.waiting)
    desk.reaper.projects.append(other)
    desk.reaper.front = other
    desk.until(lambda: desk.project.tracks and done(desk))
    assert len(desk.project.tracks[0].items) == 1 and other.tracks == [] and desk.reaper.front is other


def test_without_a_project_rate_the_device_decides(desk: Desk, running: DaemonProcess) -> None:
    """A project that follows the device: new parts have the device's rate."""
    desk.project.numbers.update(PROJECT_SRATE=0.0, PROJECT_SRATE_USE=0.0)
    desk.project.loop = (2.0, 4.0)
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: desk.project.tracks and done(desk))
    assert soundfile.info(desk.project.tracks[0].items[0].takes[0].source.path).samplerate == 48_000


# -- fixed lanes, listening, restoring


def with_lanes(item: Item) -> Item:
    """A REAPER 7 track with fixed lanes, of which the first one plays."""
    item.track.values["I_FREEMODE"] = 2.0
    return item


def test_on_a_track_with_fixed_lanes_variants_are_lanes(desk: Desk, running: DaemonProcess) -> None:
    """Two variants: two new named lanes, each with an item as long as the old one; the first plays, the old item is untouched."""
    item = with_lanes(loop_item(desk))
    desk.reaper.inputs = [lambda defaults: "warm|2|7"]
    desk.run(REPAINT)
    desk.until(lambda: len(item.track.items) == 3 and done(desk))
    first, second = item.track.items[1:]
    assert [new.values["I_FIXEDLANE"] for new in (first, second)] == [1.0, 2.0]
    for new in (first, second):
        assert (new.values["D_POSITION"], new.values["D_LENGTH"]) == (1.0, 30.0)
        assert soundfile.info(new.takes[0].source.path).frames == 30 * RATE
    assert item.track.strings["P_LANENAME:1"].startswith("repaint 1") and item.track.playing_lanes == {1}
    assert len(item.takes) == 1 and item.track.values["I_NUMFIXEDLANES"] == 3
    assert desk.project.undo == ["ACE-Step: Repaint selection"]


def test_a_new_lane_does_not_silence_a_neighbour(desk: Desk, running: DaemonProcess) -> None:
    """Another item sounds in the old lane: it goes on sounding, the new lane waits to be comped."""
    item = with_lanes(loop_item(desk))
    desk.project.add_item(item.track, item.takes[0].source, 40.0, 8.0)
    desk.run(REPAINT)
    desk.until(lambda: len(item.track.items) == 3 and done(desk))
    assert item.track.playing_lanes == {0}


def test_only_the_lane_that_plays_is_sent(desk: Desk, running: DaemonProcess) -> None:
    """A selected track with two lanes: the item that is heard is repainted, not the one below."""
    item = with_lanes(loop_item(desk))
    hidden = desk.project.add_item(item.track, item.takes[0].source, 1.0, 30.0)
    hidden.values["I_FIXEDLANE"] = 1.0
    item.selected = False
    desk.run(REPAINT)
    desk.until(lambda: len(item.track.items) == 3 and done(desk))
    assert item.track.items[2].takes[0].values["D_STARTOFFS"] == 0.0
    request = json.loads(item.track.items[2].takes[0].strings["P_EXT:acestep"])["request"]["request"]
    assert request["output"]["span_start"] == RATE // 2


def test_keep_deletes_the_other_lanes(desk: Desk, running: DaemonProcess) -> None:
    """The selected variant stays, the other variant's item goes; the old item stays."""
    item = with_lanes(loop_item(desk))
    desk.reaper.inputs = [lambda defaults: "warm|3|7"]
    desk.run(REPAINT)
    desk.until(lambda: len(item.track.items) == 4 and done(desk))
    kept = item.track.items[2]
    item.selected, kept.selected = False, True
    desk.run(KEEP)
    assert item.track.items == [item, kept]


def test_keep_also_deletes_what_a_reroll_brought(desk: Desk, running: DaemonProcess) -> None:
    """A take and its re-rolls are one choice."""
    item = loop_item(desk)
    desk.run(REPAINT)
    finish(desk, 2, item)
    desk.run("Re-roll the selected take")
    finish(desk, 3, item)
    active = item.takes[item.active]
    desk.run(KEEP)
    assert item.takes[1:] == [active]


def held(desk: Desk, item: Item, variants: int) -> None:
    """A finished job that waits to be listened to."""
    desk.reaper.inputs = [lambda defaults: f"warm|{variants}|7|yes"]
    desk.run(REPAINT)
    desk.until(lambda: "ready" in desk.reaper.help_line)
    assert len(item.takes) == 1 and len(item.track.items) == 1


def test_variants_are_heard_at_their_place_before_they_are_placed(desk: Desk, running: DaemonProcess) -> None:
    """Each press: the next variant sounds instead of the item, from the region's start; after the last one the item itself."""
    item = loop_item(desk)
    held(desk, item, 2)
    for variant in (1, 2):
        desk.run(LISTEN)
        (heard,) = item.track.items[1:]
        assert (heard.values["D_POSITION"], heard.values["D_LENGTH"]) == (1.0, 30.0)
        assert heard.takes[0].strings["P_NAME"].startswith(f"repaint {variant}")
        assert item.values["B_MUTE"] == 1 and desk.project.cursor == 9.0 and desk.project.play_state == 1
    desk.run(LISTEN)
    assert item.track.items == [item] and item.values["B_MUTE"] == 0
    assert desk.project.undo == [] and desk.reaper.refresh == 0


def test_what_is_heard_is_as_loud_as_what_it_replaces(desk: Desk, running: DaemonProcess) -> None:
    """Over the region, gain times level of the variant equals the level of the item."""
    item = loop_item(desk)
    held(desk, item, 1)
    desk.run(LISTEN)
    heard = item.track.items[1].takes[0]
    new, _ = soundfile.read(heard.source.path)
    old, _ = soundfile.read(item.takes[0].source.path)
    level = float((new[8 * RATE : 16 * RATE] ** 2).mean() ** 0.5) * heard.values["D_VOL"]
    wanted = float((old[int(8.5 * RATE) : int(16.5 * RATE)] ** 2).mean() ** 0.5)
    assert level == pytest.approx(wanted, rel=1e-6) and heard.values["D_VOL"] != 1.0


def test_the_heard_variant_is_placed_and_the_others_are_dropped(desk: Desk, running: DaemonProcess) -> None:
    """One new take at its own level, one undo step; the other variant's file is gone, and nothing waits any more."""
    item = loop_item(desk)
    held(desk, item, 2)
    desk.run(LISTEN)
    desk.run(LISTEN)
    desk.run(PLACE)
    assert len(item.track.items) == 1 and item.values["B_MUTE"] == 0
    assert [take.strings["P_NAME"].split(" (")[0] for take in item.takes[1:]] == ["repaint 2"]
    assert item.takes[1].values["D_VOL"] == 1.0 and desk.project.undo == ["ACE-Step: Repaint selection"]
    assert [path.name for path in desk.project.media.glob("repaint-*.wav")] == [item.takes[1].source.path.name]
    desk.run(PLACE)
    assert "No variant is waiting" in desk.reaper.messages[-1]


def test_nothing_is_placed_when_the_old_sound_was_chosen(desk: Desk, running: DaemonProcess) -> None:
    """Place while the item itself sounds: all variants are dropped."""
    item = loop_item(desk)
    held(desk, item, 2)
    desk.run(PLACE)
    assert len(item.takes) == 1 and desk.project.undo == [] and list(desk.project.media.glob("repaint-*.wav")) == []


def test_a_new_part_is_heard_on_a_track_for_the_moment(desk: Desk, running: DaemonProcess) -> None:
    """Generate: a track that goes when the next one is heard; the chosen one stays."""
    desk.project.loop = (2.0, 4.0)
    desk.reaper.inputs = [lambda defaults: "||2|-1|yes"]
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: "ready" in desk.reaper.help_line)
    assert desk.project.tracks == []
    for _ in range(2):
        desk.run(LISTEN)
        assert [track.items[0].values["D_POSITION"] for track in desk.project.tracks] == [2.0]
    desk.run(PLACE)
    assert [track.strings["P_NAME"] for track in desk.project.tracks] == ["generate"]


def test_restore_brings_back_values_and_selection(desk: Desk, running: DaemonProcess) -> None:
    """The take's form with the take's values, over the take's stretch of the song."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "warm tape|1|9", lambda defaults: "other|1|3", lambda defaults: None]
    desk.run(REPAINT)
    finish(desk, 2, item)
    desk.project.loop = (20.0, 24.0)
    desk.run(REPAINT)
    finish(desk, 3, item)
    item.active = 1
    desk.run("Restore settings from the selected take")
    desk.until(lambda: len(desk.reaper.asked) == 3)
    assert desk.reaper.asked[2][1].startswith("warm tape|1|9|no||") and desk.project.loop == (9.0, 17.0)


def test_restore_of_a_take_made_without_a_form_opens_the_form(desk: Desk, running: DaemonProcess) -> None:
    """Repaint with the last settings asks nothing; its restored settings are shown, and nothing is sent without an answer."""
    item = loop_item(desk)
    desk.run("Repaint selection with the last settings")
    finish(desk, 2, item)
    desk.reaper.inputs = [lambda defaults: None]
    desk.run("Restore settings from the selected take")
    desk.until(lambda: desk.reaper.asked)
    for _ in range(20):
        desk.reaper.tick()
    assert desk.waiting() == [] and len(item.takes) == 2


def test_the_items_of_a_project_become_a_dataset(desk: Desk, running: DaemonProcess) -> None:
    """All items where none is selected: each file's own samples, once, one song for the project; it says how to train on it."""
    shutil.rmtree(desk.home / "datasets", ignore_errors=True)
    item = loop_item(desk)
    item.selected = item.track.selected = False
    desk.project.add_item(item.track, item.takes[0].source, 40.0, 30.0, 0.5)  # the same piece again
    desk.project.add_item(item.track, item.takes[0].source, 80.0, 4.0, 10.0)
    desk.run("Make a dataset for training")
    desk.until(lambda: desk.reaper.messages)
    (message,) = desk.reaper.messages
    assert "Söng has 2 pieces, 34 s in all" in message and 'train --dataset "Söng"' in message
    saved = json.loads((desk.home / "datasets" / "Söng" / "dataset.json").read_text("utf-8"))
    windows = [sample["acestep_bridge"]["window"] for sample in saved["samples"]]
    assert windows == [{"start": RATE // 2, "length": 30 * RATE}, {"start": 10 * RATE, "length": 4 * RATE}]
    assert {sample["audio_path"] for sample in saved["samples"]} == {str(item.takes[0].source.path)}
    assert {sample["acestep_bridge"]["song"] for sample in saved["samples"]} == {"Söng"}
    assert saved["samples"][0]["filename"] == "Loop"


def test_a_project_without_audio_makes_no_dataset(desk: Desk, running: DaemonProcess) -> None:
    desk.run("Make a dataset for training")
    assert "no audio to learn from" in desk.reaper.messages[0]
