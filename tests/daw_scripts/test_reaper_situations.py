"""What is wrong or unusual, in the stand-in for REAPER: each situation has one answer. Nothing here ran inside the real REAPER."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from bridge.launch import DaemonProcess
from bridge.paths import Paths
from bridge.settings import Settings

from .conftest import RATE, Desk, done, finish, loop_item, no_daemon_left, set_environment
from .fake_reaper import Item, Project, read_rpp, write_rpp

REPAINT = "Repaint selection"


def message(desk: Desk) -> str:
    desk.until(lambda: desk.reaper.messages, 10)
    assert desk.waiting() == []
    return desk.reaper.messages[0]


def test_no_selection(desk: Desk) -> None:
    """Nothing is selected."""
    assert "Nothing is selected" in (desk.run(REPAINT) or message(desk))


def test_an_empty_selection(desk: Desk) -> None:
    """An item without length is no selection to work on."""
    item = loop_item(desk, length=0.0)
    item.selected, desk.project.loop = True, (0.0, 0.0)
    desk.run(REPAINT)
    assert "has no length" in message(desk)


def test_unsaved_project(desk: Desk) -> None:
    """A project without a file has no folder for audio."""
    loop_item(desk)
    desk.project.rpp = None
    assert "Save the project first" in (desk.run(REPAINT) or message(desk))


def test_midi_only(desk: Desk) -> None:
    """An item that holds only MIDI."""
    track = desk.project.add_track("Keys")
    desk.project.add_item(track, None, 0.0, 8.0).selected = True
    assert "only MIDI" in (desk.run(REPAINT) or message(desk))


def test_midi_among_audio_is_left_out(desk: Desk, running: DaemonProcess) -> None:
    """An item of MIDI and an empty one are selected beside an audio item: the audio is repainted."""
    item = loop_item(desk)
    keys = desk.project.add_item(desk.project.add_track("Keys"), None, 0.0, 30.0)
    empty = desk.project.add_item(keys.track, None, 0.0, 30.0)
    empty.takes, empty.selected, keys.selected = [], True, True
    desk.project.tracks.reverse()  # MIDI comes first
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert desk.reaper.messages == [] and len(keys.takes) == 1


@pytest.mark.parametrize(
    "title", [REPAINT, "Re-roll the selected take", "Keep the playing take, delete the other variants"]
)
def test_the_transport_records(desk: Desk, title: str) -> None:
    """Nothing is rendered or changed then: a sentence."""
    item = loop_item(desk)
    item.takes[0].values["D_PLAYRATE"] = 1.25
    desk.project.play_state = 5
    assert "Stop recording first" in (desk.run(title) or message(desk))
    assert desk.reaper.rendered == []


def test_recording_begins_while_the_form_is_open(desk: Desk, running: DaemonProcess) -> None:
    """Nothing is rendered then either."""
    item = loop_item(desk)
    item.takes[0].values["D_PLAYRATE"] = 1.25

    def record(defaults: str) -> str:
        desk.project.play_state = 5
        return defaults

    desk.reaper.inputs = [record]
    desk.run(REPAINT)
    assert "Stop recording first" in message(desk) and desk.reaper.rendered == []


def test_a_cancelled_job_says_so(desk: Desk, running: DaemonProcess) -> None:
    """At the bottom line, and later in the list of jobs."""
    loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "fake: steps=200 delay=0.1|1|-1"]
    desk.run(REPAINT)
    desk.until(desk.waiting)
    desk.run("Cancel the newest job")
    desk.until(lambda: not desk.waiting())
    assert desk.reaper.help_line == "ACE-Step Repaint selection: cancelled." and desk.reaper.messages == []
    desk.reaper.Help_Set("another line", False)
    desk.run("Show jobs")
    assert desk.reaper.messages == ["ACE-Step Repaint selection: cancelled."]


def test_the_track_is_gone(desk: Desk, running: DaemonProcess) -> None:
    """The user deletes the track while the job runs: a new one, and a sentence."""
    item = loop_item(desk)
    desk.run(REPAINT)
    desk.until(desk.waiting)
    desk.project.tracks.remove(item.track)
    desk.until(lambda: desk.project.tracks and done(desk))
    assert "no longer exists" in desk.reaper.help_line and len(desk.project.tracks[0].items) == 1


def test_too_long(desk: Desk) -> None:
    """More than ten minutes."""
    loop_item(desk)
    desk.project.loop = (0.0, 601.0)
    assert "601 s; the model's limit is 600 s" in (desk.run(REPAINT) or message(desk))


def test_read_only_media_folder(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The media folder takes no files (here: it is gone, which root cannot circumvent)."""
    loop_item(desk)
    desk.project.media = desk.folder / "gone"
    assert "media folder cannot be written" in (desk.run(REPAINT) or message(desk))


def test_a_media_folder_that_becomes_read_only_delays_the_result(desk: Desk, running: DaemonProcess) -> None:
    """The job ends while nothing can be written (here: a folder stands in the draft's place): said once, placed afterwards."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "fake: steps=4 delay=0.2|1|-1"]
    desk.run(REPAINT)
    desk.until(desk.waiting)
    obstacle = desk.project.media / "Söng.acestep-pending.json.tmp"
    obstacle.mkdir()
    desk.until(lambda: desk.reaper.messages)
    for _ in range(20):
        desk.reaper.tick()
    assert len(item.takes) == 1 and len(desk.reaper.messages) == 1 and "cannot be written" in desk.reaper.messages[0]
    obstacle.rmdir()
    finish(desk, 2, item)


def test_offline_media(desk: Desk, running: DaemonProcess) -> None:
    """The file of the item is gone."""
    item = loop_item(desk)
    item.takes[0].source.path.unlink()
    desk.run(REPAINT)
    assert "offline or missing" in message(desk) and "loop.wav" in desk.reaper.messages[0]


def test_nothing_there(desk: Desk, running: DaemonProcess) -> None:
    """The selection lies beside every item."""
    loop_item(desk)
    desk.project.loop = (40.0, 44.0)
    desk.run(REPAINT)
    assert "no audio in the selection" in message(desk)


def test_daemon_not_running_and_not_wanted(desk: Desk) -> None:
    """The script offers to start it; the user says no; nothing is left in the spool."""
    loop_item(desk)
    desk.reaper.answers = {"not running": 7}
    desk.run(REPAINT)
    assert "Start it now?" in message(desk)
    assert desk.reaper.started == [] and not list((desk.home / "spool/requests").iterdir())


def test_daemon_not_running_and_started(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script offers to start it; the user says yes; the command is run, and the action goes on with the new daemon."""
    item = loop_item(desk)
    desk.reaper.answers = {"not running": 6}
    desk.run(REPAINT)
    desk.until(lambda: desk.reaper.started)
    assert "-m bridge.cli serve" in desk.reaper.messages[0]
    set_environment(monkeypatch, desk.folder)
    with no_daemon_left(Paths.of(Settings(home=desk.home))):
        subprocess.run(shlex.split(desk.reaper.started[0]), capture_output=True, timeout=60, check=True)
        finish(desk, 2, item)
    assert len(desk.reaper.messages) == 1


def test_daemon_not_running_and_not_coming(desk: Desk) -> None:
    """The user lets the script start it, but nothing comes up: one more sentence, nothing is left in the spool."""
    loop_item(desk)
    desk.reaper.answers = {"not running": 6}
    desk.run(REPAINT)
    for _ in range(30):
        desk.reaper.tick(seconds=1.0)
    assert len(desk.reaper.messages) == 2 and "did not answer within 15 s" in desk.reaper.messages[1]
    assert desk.waiting() == [] and not list((desk.home / "spool/requests").iterdir())


@pytest.mark.parametrize(("level", "word"), [(0, "Update acestep-bridge"), (2, "install-scripts reaper")])
def test_daemon_of_another_protocol(desk: Desk, level: int, word: str) -> None:
    """An older or newer daemon: told which side to update, nothing sent."""
    loop_item(desk)
    requests = desk.home / "spool/requests"

    def answer() -> bool:
        for path in requests.glob("*.json"):
            path.unlink()
            status = desk.home / "spool/status" / path.name
            facts = {"format": "acestep-bridge/spool-status", "version": 1, "name": path.stem}
            status.write_text(json.dumps({**facts, "answer": {"protocol": level}, "error": None, "job": None}))
        return bool(desk.reaper.messages)

    desk.run(REPAINT)
    desk.until(answer)
    assert word in desk.reaper.messages[0] and desk.waiting() == []


@pytest.mark.parametrize(("choice", "jobs"), [("average", 1), ("split", 2), ("refuse", 0)])
def test_a_tempo_change_inside(desk: Desk, running: DaemonProcess, choice: str, jobs: int) -> None:
    """One average, one job per segment, or a sentence: as the user chose."""
    item = loop_item(desk)
    desk.project.tempo.append({"time": 12.0, "bpm": 90.0, "num": 4, "den": 4, "linear": False})
    desk.reaper.inputs = [lambda defaults: f"warm|1|-1|no|{choice}"]
    desk.run(REPAINT)
    if jobs:
        finish(desk, 1 + jobs, item)
    else:
        assert "tempo or metre changes" in message(desk)
    assert len(item.takes) == 1 + jobs


def test_a_tempo_change_behind_the_cursor(desk: Desk, running: DaemonProcess) -> None:
    """A place without length is one job as long as typed, whatever was chosen for selections, at the mean tempo of that length."""
    item = loop_item(desk)
    desk.project.tempo.append({"time": 12.0, "bpm": 90.0, "num": 4, "den": 4, "linear": False})
    desk.project.loop = (9.0, 17.0)
    desk.reaper.inputs = [lambda defaults: "||1|-1|no|split"]
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: len(desk.project.tracks) == 3 and done(desk))
    desk.project.loop, item.selected, desk.project.cursor = (0.0, 0.0), False, 8.0
    desk.reaper.inputs = [lambda defaults: "|16|1|-1|no"]
    desk.run("Generate for selection or at cursor")
    desk.until(lambda: len(desk.project.tracks) == 4 and done(desk))
    request = json.loads(desk.project.tracks[3].items[0].takes[0].strings["P_EXT:acestep"])["request"]["request"]
    assert request["conditioning"]["bpm"] == pytest.approx((4 * 120 + 12 * 90) / 16)
    assert desk.project.tracks[3].items[0].values["D_LENGTH"] == 16.0


def test_the_choice_for_tempo_changes_is_remembered(desk: Desk, running: DaemonProcess) -> None:
    """The next form begins with what was chosen; an action without a form does it again."""
    item = loop_item(desk)
    desk.project.tempo.append({"time": 12.0, "bpm": 90.0, "num": 4, "den": 4, "linear": False})
    desk.reaper.inputs = [lambda defaults: "warm|1|-1|no|split", lambda defaults: None]
    desk.run(REPAINT)
    finish(desk, 3, item)
    desk.run(REPAINT)
    desk.until(lambda: len(desk.reaper.asked) == 2)
    assert desk.reaper.asked[1][1].startswith("warm|1||no|split||")
    desk.run("Repaint selection with the last settings")
    finish(desk, 5, item)


@pytest.mark.parametrize(("num", "den"), [(5, 4), (7, 8)])
def test_a_metre_the_model_does_not_know(desk: Desk, running: DaemonProcess, num: int, den: int) -> None:
    """5/4 and 7/8 go along in the map; the model is told the nearest, and the line at the bottom and *Show jobs* say so."""
    item = loop_item(desk)
    desk.project.tempo = [{"time": 0.0, "bpm": 100.0, "num": num, "den": den, "linear": False}]
    desk.run(REPAINT)
    finish(desk, 2, item)
    passage = json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]["conditioning"]
    assert passage["tempo_map"][0]["metre"] == f"{num}/{den}" and passage["bpm"] == pytest.approx(100.0)
    assert f"{num}/{den}" in desk.reaper.help_line and "no metre is sent" not in desk.reaper.help_line
    desk.reaper.Help_Set("the next job's progress", False)
    desk.run("Show jobs")
    assert f"{num}/{den}" in desk.reaper.messages[-1]


RAMP = [
    {"time": 0.0, "bpm": 100.0, "num": 4, "den": 4, "linear": False},
    {"time": 11.0, "bpm": 100.0, "num": 4, "den": 4, "linear": True},
    {"time": 15.0, "bpm": 132.0, "num": 4, "den": 4, "linear": False},
]
"""Two seconds of the selection at 100 bpm, four on the way to 132 bpm, two at 132 bpm."""


def passages(item: Item) -> list[tuple[float, float, float]]:
    """First and last second and tempo of what was asked for our takes, in the order of the song."""
    memories = [json.loads(take.strings["P_EXT:acestep"]) for take in item.takes[1:]]
    asked = [(memory["pending"], memory["request"]["request"]["conditioning"]["bpm"]) for memory in memories]
    return sorted((pending["first"] / RATE, pending["last"] / RATE, bpm) for pending, bpm in asked)


def test_a_tempo_ramp_is_averaged(desk: Desk, running: DaemonProcess) -> None:
    """One job: quarter notes over time, and the user is told."""
    item = loop_item(desk)
    desk.project.tempo = RAMP
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert passages(item) == [(9.0, 17.0, pytest.approx(116.0))]
    assert "average of 116 bpm" in desk.reaper.help_line


def test_a_tempo_ramp_is_a_segment_of_its_own(desk: Desk, running: DaemonProcess) -> None:
    """Split: before, ramp and after are a job each, the ramp with its mean."""
    item = loop_item(desk)
    desk.project.tempo = RAMP
    desk.reaper.inputs = [lambda defaults: "warm|1|-1|no|split"]
    desk.run(REPAINT)
    finish(desk, 4, item)
    expected = [(9.0, 11.0, 100.0), (11.0, 15.0, 116.0), (15.0, 17.0, 132.0)]
    assert passages(item) == [tuple(pytest.approx(part) for part in passage) for passage in expected]


def test_a_tempo_ramp_is_refused(desk: Desk, running: DaemonProcess) -> None:
    """No job: a sentence, nothing is sent."""
    item = loop_item(desk)
    desk.project.tempo = RAMP
    desk.reaper.inputs = [lambda defaults: "warm|1|-1|no|refuse"]
    desk.run(REPAINT)
    assert "tempo or metre changes" in message(desk) and len(item.takes) == 1


def test_a_metre_change_inside_is_told(desk: Desk, running: DaemonProcess) -> None:
    """One job over 3/4 and 5/4 at one tempo: the first metre goes along, and nothing is said of an average."""
    item = loop_item(desk)
    desk.project.tempo = [
        {"time": 0.0, "bpm": 120.0, "num": 3, "den": 4, "linear": False},
        {"time": 12.0, "bpm": 120.0, "num": 5, "den": 4, "linear": False},
    ]
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert (
        json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]["conditioning"]["time_signature"]
        == "3"
    )
    assert "metre changes" in desk.reaper.help_line and "average" not in desk.reaper.help_line


def test_names_in_any_script(desk: Desk, running: DaemonProcess) -> None:
    """Blanks, quotes, accents and other alphabets in the names of project, media and track: nothing is lost on the way."""
    media = desk.folder / "Ünï 'çødé' & 歌 🎵" / "Аудио"
    media.mkdir(parents=True)
    desk.project.rpp, desk.project.media = media.parent / "ρεμίξ ½.rpp", media
    item = loop_item(desk)
    item.takes[0].values["D_PLAYRATE"] = 1.25  # so that REAPER renders into that folder, too
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert item.takes[1].source.path.parent == media
    assert json.loads(item.takes[1].strings["P_EXT:acestep"])["request"]["request"]["source"]["path"].startswith(
        str(media)
    )


def test_wrong_values_come_back_with_a_sentence(desk: Desk, running: DaemonProcess) -> None:
    """A typing error costs one message, then the form is there again with what was typed."""
    item = loop_item(desk)
    desk.reaper.inputs = [lambda defaults: "warm|ninety|-1", lambda defaults: defaults.replace("ninety", "1")]
    desk.run(REPAINT)
    finish(desk, 2, item)
    assert desk.reaper.messages == ["Variants: is not a whole number."] or "Variants" in desk.reaper.messages[0]


def test_a_take_that_is_not_ours_has_no_recipe(desk: Desk) -> None:
    """Re-roll, keep and restore on somebody else's take: one sentence."""
    loop_item(desk)
    for title in ("Re-roll the selected take", "Restore settings from the selected take"):
        desk.run(title)
    desk.run("Keep the playing take, delete the other variants")
    assert len(desk.reaper.messages) == 3 and all("not made by acestep-bridge" in text for text in desk.reaper.messages)


def test_an_operation_on_audio_needs_a_selection(desk: Desk, running: DaemonProcess) -> None:
    """A plug-in's operation with nothing selected: the same sentence as everywhere."""
    desk.reaper.inputs = [lambda defaults: "refine"]
    desk.run("Other operation, preset or plug-in")
    assert "Nothing is selected" in message(desk)


def test_the_host_quits_and_the_result_lands_at_the_next_start(desk: Desk, running: DaemonProcess) -> None:
    """REAPER is closed while the job runs; the resident of the next start places the result, once."""
    item = loop_item(desk)
    desk.run(REPAINT)
    desk.until(desk.waiting)
    desk.reaper.quit()
    desk.resident()
    finish(desk, 2, item)
    for _ in range(20):
        desk.reaper.tick()
    assert len(item.takes) == 2


def test_the_status_file_is_gone_and_the_daemon_is_asked(desk: Desk, running: DaemonProcess) -> None:
    """Long after the job the status file was cleaned up: the job is asked for by its id."""
    item = loop_item(desk)
    desk.run(REPAINT)
    desk.until(desk.waiting)
    desk.reaper.quit()
    (job,) = desk.waiting()
    status = desk.home / "spool" / "status" / f"{job['id']}.json"
    desk.until(lambda: status.exists() and '"done"' in status.read_text())
    status.unlink()
    desk.resident()
    finish(desk, 2, item)


def twin(desk: Desk, media: Path | None = None) -> Project:
    """A project of the same name in another folder, with its own media folder unless one is given."""
    folder = desk.folder / "other"
    own = media or folder / "Media"
    for path in (folder, own):
        path.mkdir(parents=True, exist_ok=True)
    return Project(folder / "Söng.rpp", own)


def test_another_tab_is_in_front_when_the_result_comes(desk: Desk, running: DaemonProcess) -> None:
    """Two projects of the same name in two folders: the result lands in the one that asked."""
    item = loop_item(desk)
    other = twin(desk)
    desk.run(REPAINT)
    desk.until(desk.waiting)
    desk.reaper.projects.append(other)
    desk.reaper.front = other
    finish(desk, 2, item)
    assert other.tracks == [] and other.undo == [] and list(other.media.iterdir()) == []


@pytest.mark.parametrize("shared", [False, True])
def test_two_projects_of_one_name_wait_each_for_its_own_job(desk: Desk, running: DaemonProcess, shared: bool) -> None:
    """Both are closed while their jobs run, also with one media folder for all projects: each result lands in its own."""
    if shared:
        desk.project.media = desk.folder / "Recordings"
        desk.project.media.mkdir()
    own, other = desk.project, twin(desk, desk.project.media if shared else None)
    desk.reaper.projects.append(other)
    items = {}
    for name, project in (("own", own), ("other", other)):
        desk.project = desk.reaper.front = project
        items[name] = loop_item(desk)
        desk.reaper.inputs = [lambda defaults, name=name: f"{name}|1|7"]
        desk.run(REPAINT)
        desk.until(lambda name=name: name in [job["values"]["caption"] for job in desk.waiting()])
    desk.reaper.quit()
    for name, project in (("other", other), ("own", own)):
        desk.project = desk.reaper.front = project
        desk.reaper.projects = [project]
        desk.resident()
        desk.until(lambda item=items[name]: len(item.takes) == 2)
        desk.reaper.quit()
    for name, item in items.items():
        (made,) = item.takes[1:]
        assert json.loads(made.strings["P_EXT:acestep"])["pending"]["values"]["caption"] == name
    assert desk.waiting() == []


def test_a_closed_project_gets_its_result_when_it_is_open_again(desk: Desk, running: DaemonProcess) -> None:
    """The tab is closed while the job runs and another project is open; opened again, the result is placed, once."""
    item = loop_item(desk)
    media = desk.folder / "other" / "Media"
    media.mkdir(parents=True)
    other = Project(media.parent / "other.rpp", media)
    desk.run(REPAINT)
    desk.until(desk.waiting)
    desk.reaper.projects = [other]
    desk.reaper.front = other
    (job,) = desk.waiting()
    status = desk.home / "spool" / "status" / f"{job['id']}.json"
    desk.until(lambda: status.exists() and '"done"' in status.read_text())
    for _ in range(10):
        desk.reaper.tick()
    assert len(item.takes) == 1 and other.tracks == []
    desk.reaper.projects.append(desk.project)
    finish(desk, 2, item)
    path = desk.folder / "state.rpp"
    write_rpp(desk.project, path)
    (track,) = read_rpp(path)
    assert [take["soffs"] for take in track["items"][0]["takes"]] == [0.5, 0.0]
    assert track["items"][0]["takes"][1] == {
        "selected": True,
        "name": item.takes[1].strings["P_NAME"],
        "soffs": 0.0,
        "file": str(item.takes[1].source.path),
    }
