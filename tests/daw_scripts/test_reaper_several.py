"""Several at once in REAPER: one key press is one action, one line, one undo step. Nothing here ran inside the real REAPER."""

from __future__ import annotations

import json
from typing import Any

import pytest
import soundfile

from bridge.launch import DaemonProcess

from .conftest import RATE, Desk, done, finish, loop_item
from .fake_reaper import Item, Project

REPAINT = "Repaint selection"
SLOW = "fake: steps=6 delay=0.05|1|-1"


def memory(item: Item, take: int = -1) -> dict[str, Any]:
    """What a take remembers of its making."""
    found: dict[str, Any] = json.loads(item.takes[take].strings["P_EXT:acestep"])
    return found


def sources(item: Item, take: int = -1) -> list[tuple[int, int]]:
    """Start and length of every region that a take was made of, in samples of its file."""
    request = memory(item, take)["request"]["request"]
    own = [stage.get("source") or request["source"] for stage in request["stages"]]
    return [(source["start"], source["length"]) for source in own]


def select(desk: Desk, *items: Item) -> None:
    """The user selects just these items."""
    for track in desk.project.tracks:
        for item in track.items:
            item.selected = item in items


def test_several_items_are_one_undo_step(desk: Desk, running: DaemonProcess) -> None:
    """Three selected items: nothing is placed before all are there; one step back takes all of it back."""
    items = [loop_item(desk) for _ in range(3)]
    desk.reaper.inputs = [lambda defaults: SLOW]
    desk.run(REPAINT)
    seen: set[tuple[int, ...]] = set()

    def placed() -> bool:
        seen.add(tuple(len(item.takes) for item in items))
        return all(len(item.takes) == 2 for item in items) and done(desk)

    desk.until(placed)
    assert seen == {(1, 1, 1), (2, 2, 2)} and desk.project.undo == [f"ACE-Step: {REPAINT}"]
    desk.reaper.undo(desk.project)
    assert [len(item.takes) for item in items] == [1, 1, 1]


def test_several_items_have_one_line_of_progress(desk: Desk, running: DaemonProcess) -> None:
    """How many of them are ready, and how far the running one is; the line goes with the last of them."""
    items = [loop_item(desk) for _ in range(2)]
    desk.reaper.inputs = [lambda defaults: SLOW]
    desk.run(REPAINT)
    desk.until(lambda: all(len(item.takes) == 2 for item in items) and done(desk))
    lines = [line for line in desk.reaper.lines if line]
    assert all(line.startswith(f"ACE-Step {REPAINT}: ") for line in lines)
    assert any(" of 2 ready, " in line and line.endswith("%") for line in lines) and "%" not in desk.reaper.help_line


def test_cancel_ends_all_that_one_key_press_asked_for(desk: Desk, running: DaemonProcess) -> None:
    """Not the last item alone; an earlier key press goes on."""
    first, *others = [loop_item(desk) for _ in range(3)]
    select(desk, first)
    desk.reaper.inputs = [lambda defaults, steps=steps: f"fake: steps={steps} delay=0.1|1|-1" for steps in (30, 200)]
    desk.run(REPAINT)
    desk.until(lambda: len(desk.waiting()) == 1)
    select(desk, *others)
    desk.run(REPAINT)
    desk.until(lambda: len(desk.waiting()) == 3)
    desk.run("Cancel the newest job")
    finish(desk, 2, first)
    assert [len(item.takes) for item in others] == [1, 1] and desk.reaper.messages == []
    assert desk.project.undo == [f"ACE-Step: {REPAINT}"]


def test_one_that_fails_does_not_take_the_others_along(desk: Desk, running: DaemonProcess) -> None:
    """Two stems, one of which the daemon refuses: the other lands, and one box says what was wrong with the first."""
    item, other = loop_item(desk), loop_item(desk)
    select(desk, item)
    desk.run(REPAINT)
    finish(desk, 2, item)
    broken = memory(item)
    broken["pending"]["id"], broken["request"] = "long-gone", {"caption": 5}
    select(desk, item, other)
    other.takes[0].strings["P_EXT:acestep"] = json.dumps(broken)
    desk.run("Re-roll the selected take")
    finish(desk, 3, item)
    assert len(desk.reaper.messages) == 1 and desk.reaper.messages[0].startswith(f"{REPAINT}: ")
    assert len(other.takes) == 1 and desk.project.undo == [f"ACE-Step: {REPAINT}"] * 2


def test_several_stems_are_one_undo_step(desk: Desk, running: DaemonProcess) -> None:
    """Also when another project is in front by then."""
    loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "drums, bass, vocals"]
    desk.run("Extract stems from selection")
    desk.until(desk.waiting)
    media = desk.folder / "other" / "Media"
    media.mkdir(parents=True)
    other = Project(media.parent / "other.rpp", media)
    desk.reaper.projects, desk.reaper.front = [desk.project, other], other
    desk.until(lambda: len(desk.project.tracks) == 5 and done(desk))
    assert desk.project.undo == ["ACE-Step: Extract stems from selection"] and other.tracks == []
    desk.reaper.undo(desk.project)
    assert [track.strings["P_NAME"] for track in desk.project.tracks] == ["Loop"]


def test_several_takes_are_made_again_at_once(desk: Desk, running: DaemonProcess) -> None:
    """Two selected items with takes of ours: a new take each, one undo step; an item of other origin is left alone."""
    *items, foreign = [loop_item(desk) for _ in range(3)]
    select(desk, *items)
    desk.run(REPAINT)
    desk.until(lambda: all(len(item.takes) == 2 for item in items) and done(desk))
    select(desk, *items, foreign)
    desk.run("Re-roll the selected take")
    desk.until(lambda: all(len(item.takes) == 3 for item in items) and done(desk))
    assert len(foreign.takes) == 1 and len(desk.project.undo) == 2 and desk.reaper.messages == []


def test_several_stretches_of_an_item_are_one_take(desk: Desk, running: DaemonProcess) -> None:
    """Two razor areas on one item: one job with two regions, one take in which both are new, one undo step."""
    item = loop_item(desk)
    item.track.strings["P_RAZOREDITS"] = '4 6 "" 20 22 ""'
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert sources(item) == [(int(3.5 * RATE), 2 * RATE), (int(19.5 * RATE), 2 * RATE)]
    assert soundfile.info(item.takes[1].source.path).frames == 30 * RATE
    old, _ = soundfile.read(item.takes[0].source.path)
    new, _ = soundfile.read(item.takes[1].source.path)
    changed = [
        second for second in range(30) if (old[second * RATE + RATE // 2 :][:RATE] != new[second * RATE :][:RATE]).any()
    ]
    assert {3, 4, 19, 20} <= set(changed) <= {2, 3, 4, 5, 18, 19, 20, 21}
    assert desk.project.undo == [f"ACE-Step: {REPAINT}"] and desk.reaper.messages == []


def test_what_the_form_says_of_several_stretches(desk: Desk, running: DaemonProcess) -> None:
    """How many, from where to where, and how long they are together."""
    item = loop_item(desk)
    item.track.strings["P_RAZOREDITS"] = '4 6 "" 20 22 ""'
    desk.reaper.inputs = [lambda defaults: None]
    desk.run(REPAINT)
    desk.until(lambda: desk.reaper.asked)
    (captions, texts), (title,) = desk.reaper.asked[0], desk.reaper.titles
    assert captions.split(",")[5] == "(what will happen)" and title == "ACE-Step: Repaint selection"
    told = "Loop, 2 ranges, bars 3 to 11, 4.0 s, sent as 120 bpm. Sends the audio of the selected tracks"
    assert texts.split("|")[5].startswith(told)


def test_stretches_on_different_tracks_are_each_their_own(desk: Desk, running: DaemonProcess) -> None:
    """One area on each of two tracks, at different times: every item is changed where its own area lies."""
    one, two = loop_item(desk), loop_item(desk)
    one.track.strings["P_RAZOREDITS"], two.track.strings["P_RAZOREDITS"] = '4 6 ""', '20 22 ""'
    desk.run(REPAINT)
    desk.until(lambda: len(one.takes) == len(two.takes) == 2 and done(desk))
    assert sources(one) == [(int(3.5 * RATE), 2 * RATE)] and sources(two) == [(int(19.5 * RATE), 2 * RATE)]
    assert len(desk.project.undo) == 1


def test_stretches_of_other_tempos_are_takes_of_their_own(desk: Desk, running: DaemonProcess) -> None:
    """A job has one tempo: two areas at 120 and 90 bpm are two takes, each told its own."""
    item = loop_item(desk)
    item.track.strings["P_RAZOREDITS"] = '4 6 "" 20 22 ""'
    desk.project.tempo.append({"time": 12.0, "bpm": 90.0, "num": 4, "den": 4, "linear": False})
    desk.run(REPAINT)
    finish(desk, 3, item)
    told = [memory(item, take)["request"]["request"]["conditioning"]["bpm"] for take in (1, 2)]
    assert told == pytest.approx([120.0, 90.0]) and len(desk.project.undo) == 1


def test_a_processed_item_is_rendered_once_for_all_its_stretches(desk: Desk, running: DaemonProcess) -> None:
    """Two areas, one render, one take."""
    item = loop_item(desk)
    item.takes[0].values["D_PLAYRATE"] = 1.25
    item.track.strings["P_RAZOREDITS"] = '4 6 "" 20 22 ""'
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert len(desk.reaper.rendered) == 1 and sources(item) == [(3 * RATE, 2 * RATE), (19 * RATE, 2 * RATE)]


def test_stems_of_several_stretches(desk: Desk, running: DaemonProcess) -> None:
    """A job for each stretch, all on tracks of one folder, one undo step."""
    item = loop_item(desk)
    item.track.strings["P_RAZOREDITS"] = '4 6 "" 20 22 ""'
    desk.reaper.inputs = [lambda defaults: "drums"]
    desk.run("Extract stems from selection")
    desk.until(lambda: len(desk.project.tracks) == 4 and done(desk))
    places = sorted(track.items[0].values["D_POSITION"] for track in desk.project.tracks[2:])
    assert places == [4.0, 20.0] and len(desk.project.undo) == 1


def test_generate_for_several_stretches(desk: Desk, running: DaemonProcess) -> None:
    """Each stretch gets a part as long as itself."""
    item = loop_item(desk)
    item.track.strings["P_RAZOREDITS"] = '4 6 "" 20 23 ""'
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: len(desk.project.tracks) == 3 and done(desk))
    parts = [track.items[0].values for track in desk.project.tracks[1:]]
    assert sorted((part["D_POSITION"], part["D_LENGTH"]) for part in parts) == [(4.0, 2.0), (20.0, 3.0)]


def test_selected_regions_are_one_take(desk: Desk, running: DaemonProcess) -> None:
    """Regions selected in the ruler, with the items on the selected tracks; those that overlap are one stretch."""
    item = loop_item(desk)
    item.selected, desk.project.loop, desk.project.cursor = False, (0.0, 0.0), 25.0
    desk.project.markers = [
        {"start": 20.0, "end": 22.0, "selected": True},
        {"start": 20.0, "end": None, "selected": True},
        {"start": 5.0, "end": 7.0, "selected": True},
        {"start": 4.0, "end": 6.0, "selected": True},
        {"start": 24.0, "end": 26.0},
    ]
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert sources(item) == [(int(3.5 * RATE), 3 * RATE), (int(19.5 * RATE), 2 * RATE)]
    assert desk.reaper.messages == [] and len(desk.project.undo) == 1


def test_items_far_apart_are_not_too_long(desk: Desk, running: DaemonProcess) -> None:
    """Two selected items, twenty minutes apart: each is as long as itself, not as the time from the first to the last."""
    near, far = loop_item(desk), loop_item(desk, position=1200.0)
    desk.project.loop = (0.0, 0.0)
    desk.run(REPAINT)
    desk.until(lambda: len(near.takes) == len(far.takes) == 2 and done(desk))
    assert sources(near) == sources(far) == [(RATE // 2, 30 * RATE)] and desk.reaper.messages == []


def test_restore_brings_every_stretch_back(desk: Desk, running: DaemonProcess) -> None:
    """The take of two areas: both are marked again, where the item lies now."""
    item = loop_item(desk)
    item.track.strings["P_RAZOREDITS"] = '4 6 "" 20 22 ""'
    desk.run(REPAINT)
    finish(desk, 2, item)
    item.track.strings["P_RAZOREDITS"] = ""
    item.values["D_POSITION"] += 10.0
    desk.reaper.inputs = [lambda defaults: None]
    desk.run("Restore settings from the selected take")
    assert [float(part) for part in item.track.strings["P_RAZOREDITS"].replace('""', "").split()] == [14, 16, 30, 32]
