"""The Remote Script, installed and imported as Live would, against a stand-in for Live and the real daemon over OSC."""

from __future__ import annotations

import errno
import importlib
import json
import math
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import soundfile
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.client import Client
from bridge.hosts import install
from bridge.launch import FREE_PORTS, DaemonProcess, start_daemon
from bridge.paths import Paths
from bridge.settings import Settings

from .conftest import RATE, no_daemon_left, set_environment, sound
from .fake_live import Clip, Instance, OldTrack, Song, WarpMarker, WarpMode

FIRST_BEAT, LAST_BEAT = 20.0, 36.0


class Stage:
    """A Live set with a loop on a track, and the surface."""

    def __init__(self, folder: Path) -> None:
        project = folder / "Söng Project"
        project.mkdir()
        self.song = Song(project / "Söng.als")
        self.track = self.song.tracks[0]
        self.clip = Clip(sound(folder / "loop.wav"), 4.0, self.song.tempo)
        self.track.arrangement_clips.append(self.clip)
        self.live = Instance(self.song)
        package = importlib.import_module("AceStepBridge")
        self.surface = package.create_instance(self.live)

    def reopen(self) -> None:
        """Live closes the set and opens it again: a new surface, and of the set what was saved in it."""
        self.surface.disconnect()
        self.live.messages.clear()
        self.surface = importlib.import_module("AceStepBridge").create_instance(self.live)

    def loop(self, first: float = FIRST_BEAT, last: float = LAST_BEAT) -> None:
        self.song.loop, self.song.loop_start, self.song.loop_length = True, first, last - first

    def run(self, action: str, **values: Any) -> None:
        """What a controller sends: int32, float32 and strings only, as udpsend does."""
        self.send("/ace/live/run", action, *(part for pair in values.items() for part in pair))
        self.until(lambda: self.live.messages or self.surface.jobs.pending)

    def send(self, address: str, *values: Any) -> None:
        message = OscMessageBuilder(address)
        for value in values:
            message.add_arg(value, {int: "i", float: "f", str: "s"}[type(value)])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(message.build().dgram, ("127.0.0.1", self.surface.link.port))

    def until(self, condition: Callable[[], Any], seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"it did not happen: {self.live.messages}"
            self.song.tick()
            self.surface.update_display()
            time.sleep(0.02)

    def said(self, text: str) -> None:
        self.until(lambda: any(text in message for message in self.live.messages))


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    home = tmp_path / "home"
    if "running" in request.fixturenames:
        home = request.getfixturevalue("running").paths.home
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(home))
    install("ableton", tmp_path / "Library")
    settings = tmp_path / "Library" / "Remote Scripts" / "AceStepBridge" / "settings.json"
    settings.write_text(settings.read_text().replace("9703", "0"))
    monkeypatch.syspath_prepend(str(tmp_path / "Library" / "Remote Scripts"))
    monkeypatch.setitem(
        sys.modules, "Live", SimpleNamespace(Clip=SimpleNamespace(WarpMarker=WarpMarker, WarpMode=WarpMode))
    )
    for name in [name for name in sys.modules if name.partition(".")[0] == "AceStepBridge"]:
        monkeypatch.delitem(sys.modules, name)
    found = Stage(tmp_path)
    yield found
    found.surface.disconnect()
    for name in [name for name in sys.modules if name.partition(".")[0] == "AceStepBridge"]:
        del sys.modules[name]


def test_repaint_lands_in_a_take_lane_at_the_exact_place(stage: Stage, running: DaemonProcess) -> None:
    """The patch is a clip in a new take lane, its handle before the region; the old clip stays; one undo step."""
    stage.loop()
    stage.run("repaint", caption="warm")
    stage.said("done")
    (lane,) = stage.track.take_lanes
    (clip,) = lane.arrangement_clips
    info = soundfile.info(clip.file_path)
    handle = (info.frames - 8 * RATE) / 2 / RATE
    assert clip.start_time == pytest.approx(FIRST_BEAT - handle * 2, abs=1e-9)
    assert Path(clip.file_path).parent == Path(stage.song.file_path).parent / "Samples" / "acestep-bridge"
    assert clip.warping is False and stage.track.arrangement_clips == [stage.clip]
    assert stage.song.undo_steps == ["closed"]


def test_stems_become_named_tracks_below(stage: Stage, running: DaemonProcess) -> None:
    """Two picks over OSC: two tracks, named, aligned."""
    stage.loop()
    stage.run("extract", track="drums, bass")
    stage.until(lambda: len(stage.song.tracks) == 3)
    assert {track.name for track in stage.song.tracks[1:]} == {"drums", "bass"}
    for track in stage.song.tracks[1:]:
        assert track.arrangement_clips[0].start_time == FIRST_BEAT
        assert soundfile.info(track.arrangement_clips[0].file_path).frames == 8 * RATE


def test_generate_has_the_length_of_the_loop(stage: Stage, running: DaemonProcess) -> None:
    """The loop brace is the selection; tempo, metre and key are those of the set."""
    stage.loop(0.0, 8.0)
    stage.run("generate", caption="house")
    stage.until(lambda: len(stage.song.tracks) == 2)
    assert soundfile.info(stage.song.tracks[1].arrangement_clips[0].file_path).frames == 4 * 48_000


def test_a_sentence_becomes_a_song_over_the_loop(stage: Stage, running: DaemonProcess) -> None:
    """On a track of its own, in the tempo of the set; the sentence comes with the call."""
    stage.loop(0.0, 8.0)
    stage.run("song", query="dark techno in F minor")
    stage.until(lambda: len(stage.song.tracks) == 2)
    (clip,) = stage.song.tracks[1].arrangement_clips
    assert (clip.start_time, soundfile.info(clip.file_path).frames) == (0.0, 4 * 48_000)
    words = request_of(stage)["conditioning"]
    assert (words["query"], words["thinking"], words["bpm"]) == ("dark techno in F minor", True, 120)


def request_of(stage: Stage) -> dict[str, Any]:
    """What the daemon was asked for, as the set remembers it."""
    (memory,) = Path(stage.song.file_path).parent.rglob("*.recipe.json")
    request: dict[str, Any] = json.loads(memory.read_text("utf-8"))["request"]["request"]
    return request


def test_what_is_sent_is_told(stage: Stage, running: DaemonProcess) -> None:
    """In the status line, before anything else: track, bars, seconds, tempo, and what is read."""
    stage.track.name = "Loop"
    stage.loop()
    stage.run("repaint")
    stage.said("done")
    told = "Loop, bars 6 to 9, 8.0 s, sent as 120 bpm. Sends the clip's file, with some seconds around it."
    assert stage.live.messages[0] == f"Repaint selection: {told}"
    stage.live.messages.clear()
    stage.run("generate")
    stage.said("done")
    assert stage.live.messages[0].endswith(": bars 6 to 9, 8.0 s, sent as 120 bpm. Sends no audio.")


@pytest.mark.parametrize(("first", "last", "beat"), [(FIRST_BEAT, LAST_BEAT, FIRST_BEAT), (0.0, 20.0, 4.0)])
def test_a_result_lands_on_its_beat_at_any_tempo(
    stage: Stage, running: DaemonProcess, first: float, last: float, beat: float
) -> None:
    """The song becomes half as fast while the job runs; a selection that begins before its clip begins with it."""
    stage.loop(first, last)
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    stage.song.tempo = 60.0
    stage.said("done")
    (clip,) = stage.track.take_lanes[0].arrangement_clips
    assert clip.start_time == pytest.approx(beat, abs=0.1)


@pytest.mark.parametrize(("scale_mode", "key"), [(True, "A minor"), (False, "")])
def test_the_key_of_the_set_is_sent(stage: Stage, running: DaemonProcess, scale_mode: bool, key: str) -> None:
    """With scale mode off the set is in no key, whatever scale Live shows."""
    stage.song.scale_mode = scale_mode
    stage.loop()
    stage.run("repaint")
    stage.said("done")
    assert request_of(stage)["conditioning"]["key"] == key


@pytest.mark.parametrize("taken_for", [None, 60.0, 171.3])
def test_new_tracks_follow_the_tempo(stage: Stage, running: DaemonProcess, taken_for: float | None) -> None:
    """A clip on a track of its own is warped from the tempo it was made for, whatever Live took it for: it plays untouched, its
    last beat on its last sample, until the song gets another tempo."""
    stage.song.tempo, stage.song.taken_for = 97.5, taken_for
    stage.loop(0.0, 8.0)
    stage.run("generate", caption="house")
    stage.said("done")
    (clip,) = stage.song.tracks[1].arrangement_clips
    beats = clip.sample_length / clip.sample_rate * 97.5 / 60
    assert clip.warping and clip.warp_mode is WarpMode.beats and clip.loop_end == pytest.approx(beats)
    for beat in (0.0, 1.0, 7.5, beats):
        assert clip.beat_to_sample_time(beat) == pytest.approx(beat * 60 / 97.5 * clip.sample_rate, abs=1)


def plays_whole(clip: Clip, unit: float) -> bool:
    """Whether all markers of a clip stand around its whole file; ``unit`` is how many of their units a second has."""
    end = clip.sample_length / clip.sample_rate * unit
    starts, ends = (clip.start_marker, clip.loop_start), (clip.end_marker, clip.loop_end)
    return starts == (0.0, 0.0) and ends == pytest.approx((end, end))


@pytest.mark.parametrize("auto_warp_start", [0.0, 1.3, -0.4])
def test_a_clip_plays_its_whole_file(stage: Stage, running: DaemonProcess, auto_warp_start: float) -> None:
    """Live unwarps between ticks, then takes beats for seconds, and Auto-Warp moves the start: unwarped or warped, the markers
    of a clip are those of its file when *done* is told, and all of it is one undo step."""
    stage.song.auto_warp_start = auto_warp_start
    stage.loop()
    stage.run("repaint")
    stage.said("done")
    (take,) = stage.track.take_lanes[0].arrangement_clips
    assert not take.warping and plays_whole(take, 1.0)
    stage.live.messages.clear()
    stage.run("generate")
    stage.said("done")
    (part,) = stage.song.tracks[1].arrangement_clips
    assert part.warping and plays_whole(part, stage.song.tempo / 60)
    assert stage.song.undo_steps == ["closed", "closed"]


def test_a_session_clip_plays_its_whole_file(stage: Stage, running: DaemonProcess) -> None:
    """The same in a Session slot."""
    stage.song.auto_warp_start = 0.7
    stage.track.clip_slots[0].clip = stage.song.view.detail_clip = Clip(
        Path(stage.clip.file_path), 0.0, stage.song.tempo
    )
    stage.song.view.detail_clip.is_arrangement_clip = False
    stage.run("repaint")
    stage.said("done")
    new = stage.track.clip_slots[1].clip
    assert new is not None and not new.warping and plays_whole(new, 1.0)


def test_markers_that_live_does_not_take_are_told(
    stage: Stage, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clip stays, the user learns what to set by hand."""
    monkeypatch.setattr(Clip, "start_marker", property(lambda clip: 3.0, lambda clip, value: None))
    stage.loop()
    stage.run("repaint")
    stage.said("set its start to 0 and its end to the end of the file")
    assert len(stage.track.take_lanes[0].arrangement_clips) == 1 and stage.song.undo_steps == ["closed"]


def test_a_clip_that_is_deleted_at_once_is_let_go(stage: Stage, running: DaemonProcess) -> None:
    """Live's object for it equals None then."""
    stage.loop()
    stage.run("repaint")
    stage.until(lambda: stage.track.take_lanes and stage.track.take_lanes[0].arrangement_clips)
    stage.track.take_lanes[0].arrangement_clips[0].is_gone = True
    stage.said("done")
    assert stage.song.undo_steps == ["closed"]


def test_closing_live_before_a_clip_is_settled_closes_the_undo_step(stage: Stage, running: DaemonProcess) -> None:
    """Nothing stays open."""
    stage.loop()
    stage.run("repaint")
    stage.until(lambda: stage.track.take_lanes and stage.track.take_lanes[0].arrangement_clips)
    stage.surface.jobs.close()
    assert stage.song.undo_steps == ["closed"]


def test_a_clip_that_live_lays_otherwise_stays_unwarped(
    stage: Stage, running: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live takes no marker: out of time would be worse than a clip that keeps its own tempo."""
    stage.song.taken_for = 60.0
    monkeypatch.setattr(Clip, "add_warp_marker", lambda *_: None)
    stage.loop(0.0, 8.0)
    stage.run("generate", caption="house")
    stage.said("done")
    (clip,) = stage.song.tracks[1].arrangement_clips
    assert clip.warping is False and plays_whole(clip, 1.0)


def test_an_unwarped_clip_counts_in_seconds(stage: Stage, running: DaemonProcess) -> None:
    """Markers of an unwarped clip are seconds; the region is exact all the same."""
    stage.clip.warping = False
    stage.song.tick()
    stage.clip.start_marker = 0.5
    stage.loop()
    stage.run("repaint")
    stage.said("done")
    clip = stage.track.take_lanes[0].arrangement_clips[0]
    assert clip.start_time == pytest.approx(FIRST_BEAT - 0.1, abs=1e-9)


def test_the_songs_time_is_sent(stage: Stage, running: DaemonProcess) -> None:
    """The selection begins on the third beat of bar 6, its clip elsewhere: the file is told where its beats lie in the song."""
    stage.song.tempo = stage.clip.clip_tempo = 120.5
    stage.loop(22.0, 38.0)
    stage.run("repaint")
    stage.said("done")
    (point,) = request_of(stage)["conditioning"]["tempo_map"]
    assert point["sample"] == pytest.approx((22.0 - stage.clip.start_time) * 60 / 120.5 * RATE, abs=1)
    assert (point["bpm"], point["metre"], point["bar"]) == (120.5, "4/4", 6.5)


def test_a_tempo_of_the_users_own_counts(stage: Stage, running: DaemonProcess) -> None:
    """Beside it the set's time would contradict."""
    stage.loop()
    stage.run("repaint", bpm=90)
    stage.said("done")
    asked = request_of(stage)["conditioning"]
    assert asked["bpm"] == 90 and not asked.get("tempo_map")


@pytest.mark.parametrize(("num", "den"), [(5, 4), (7, 8)])
def test_a_metre_the_model_does_not_know_is_told(stage: Stage, running: DaemonProcess, num: int, den: int) -> None:
    """5/4 and 7/8 are not sent, and the user is told with the result. Bars count in any."""
    stage.track.name = "Loop"
    stage.song.signature_numerator, stage.song.signature_denominator = num, den
    stage.loop()
    stage.run("repaint")
    stage.said(f"does not know {num}/{den}")
    assert len(stage.track.take_lanes) == 1
    (memory,) = Path(stage.song.file_path).parent.rglob("*.recipe.json")
    bar = num * 4 / den
    bars = f"{int(FIRST_BEAT // bar) + 1}-{math.ceil(LAST_BEAT / bar)}"
    assert json.loads(memory.read_text("utf-8"))["request"]["request"]["output"]["name"] == f"Loop, bars {bars}"


def test_progress_and_cancel(stage: Stage, running: DaemonProcess) -> None:
    """A running job shows its percent; cancel ends it and nothing lands."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=200 delay=0.1")
    stage.said("%")
    stage.run("cancel")
    stage.said("cancelled")
    assert stage.track.take_lanes == [] and stage.surface.jobs.pending == {}


def test_any_job_can_be_cancelled_by_its_number(stage: Stage, running: DaemonProcess) -> None:
    """As *Show jobs* counts them: the first one ends, the second one is placed; a number that there is not ends none."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=200 delay=0.1")
    stage.said("%")
    stage.send("/ace/live/run", "cover")
    stage.until(lambda: len(stage.surface.jobs.pending) == 2)
    stage.run("queue")
    stage.said("| 2 Cover selection: ")
    stage.send("/ace/live/cancel", 3)
    stage.said("There is no job 3; 2 are waiting or running.")
    stage.send("/ace/live/cancel", 1)
    stage.said("Repaint selection: cancelled")
    stage.said("Cover selection: done")
    assert len(names(stage)) == 1


def test_a_preview_is_not_placed(stage: Stage, running: DaemonProcess) -> None:
    """The sound of a stage on the way is a file of the result like any other; its message says what it is."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=200 delay=0.1")
    (job,) = stage.surface.jobs.pending
    for index in (0, 1):
        file = ["part", stage.clip.file_path, 0, 8 * RATE, RATE, 2, 0, "", 1 - index]
        stage.surface.jobs.hear("/ace/result", [job, 1, index, *file])
    stage.surface.jobs.hear("/ace/done", [job, 2, 1.0, 2])
    stage.said("done")
    assert len(names(stage)) == 1
    stage.surface.link.send("/ace/job/cancel", job)


def test_a_failed_job_says_why(stage: Stage, running: DaemonProcess) -> None:
    """The daemon's sentence, nothing placed."""
    stage.loop()
    stage.run("repaint", caption="fake: fail=out_of_memory fail_at=1")
    stage.said("out_of_memory")
    assert stage.track.take_lanes == []


def test_a_rejected_job_says_why(stage: Stage, running: DaemonProcess) -> None:
    """A value that the daemon refuses."""
    stage.loop()
    stage.run("repaint", variants=99)
    stage.said("variants")
    assert stage.surface.jobs.pending == {}


def test_an_old_live_gets_the_path(stage: Stage, running: DaemonProcess) -> None:
    """Before Live 12.0.5 no script can make a clip: the user is told where the file lies."""
    stage.song.track_kind = OldTrack
    old = OldTrack(stage.song, "old")
    old.arrangement_clips.append(stage.clip)
    stage.song.tracks[0] = stage.song.view.selected_track = old
    stage.loop()
    stage.run("repaint")
    stage.said("drag the file in")


def test_nothing_selected(stage: Stage, running: DaemonProcess) -> None:
    """No loop brace, no clip in the detail view."""
    stage.run("repaint")
    stage.said("Nothing is selected")


def test_a_warped_clip_of_another_tempo_is_refused(stage: Stage, running: DaemonProcess) -> None:
    """Its file is not what sounds."""
    stage.clip.clip_tempo = 100.0
    stage.loop()
    stage.run("repaint")
    stage.said("warped to another tempo")


def test_offline_media_and_midi(stage: Stage, running: DaemonProcess) -> None:
    """A file that is gone, a clip of notes."""
    stage.loop()
    Path(stage.clip.file_path).unlink()
    stage.run("repaint")
    stage.said("offline or missing")
    stage.clip.is_audio_clip = False
    stage.run("repaint")
    stage.said("only MIDI")


def test_no_daemon(stage: Stage) -> None:
    """No connection file: told how to start it."""
    stage.loop()
    stage.run("repaint")
    stage.said(
        f"Start it with: /ace/live/start to UDP port {stage.surface.link.port} (in a terminal: acestep-bridge serve)"
    )


def test_a_daemon_that_died_is_noticed(stage: Stage) -> None:
    """Its connection file is still there, but nobody answers: told once, and seen among the jobs."""
    runtime = Path(stage.surface.link.home) / "runtime"
    runtime.mkdir(parents=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        facts = {"protocol": 1, "osc": {"host": "127.0.0.1", "udp": closed.getsockname()[1]}}
    (runtime / "connection.json").write_text(json.dumps(facts))
    stage.loop()
    stage.run("repaint")
    for minute in (1, 2):
        stage.surface.jobs.clock = lambda minute=minute: time.monotonic() + 60 * minute
        stage.surface.update_display()
    stage.run("queue")
    stage.said("1 Repaint selection: no answer")
    told = "The daemon did not answer within 5 s. To find out why, run: acestep-bridge doctor"
    assert stage.live.messages[1:] == [told, "1 Repaint selection: no answer"]


@pytest.fixture
def alone(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """No daemon runs. Only the surface knows the home: Live, started from the desktop, has no such variable."""
    monkeypatch.delenv("ACESTEP_BRIDGE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    set_environment(monkeypatch, tmp_path)
    with no_daemon_left(Paths.of(Settings(home=tmp_path / "home"))):
        yield stage


def test_a_daemon_that_is_not_running_is_started(alone: Stage) -> None:
    """By a message, also sent twice, which nobody waits for; it does what is asked for, and outlives the surface."""
    for _ in range(2):
        alone.send("/ace/live/start")
    alone.until(lambda: alone.live.messages == ["starting the daemon"] * 2 + ["The daemon is running."], 60.0)
    alone.reopen()
    alone.loop()
    alone.run("repaint", caption="warm")
    alone.said("done")


def test_a_note_starts_the_daemon_too(alone: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """`start` is a word for notes. Another program has its port: the daemon's own last words are told."""
    alone.surface._midi = {"channel": 16, "notes": {"60": "start"}}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("ACESTEP_BRIDGE_RPC_PORT", str(port))
        alone.surface.receive_midi((0x9F, 60, 100))
        alone.said(f"the rpc door cannot open on 127.0.0.1 port {port}")


def test_a_program_that_is_gone_is_said(alone: Stage, tmp_path: Path) -> None:
    """The bridge was moved after the installation."""
    settings = tmp_path / "Library" / "Remote Scripts" / "AceStepBridge" / "settings.json"
    settings.write_text(settings.read_text("utf-8").replace(json.dumps(sys.executable), '"/gone/python"'))
    alone.reopen()
    alone.send("/ace/live/start")
    alone.said("The daemon did not start: [Errno 2] No such file or directory: '/gone/python'")


@pytest.mark.parametrize(("level", "word"), [(0, "Update acestep-bridge"), (2, "install-scripts ableton")])
def test_a_daemon_of_another_protocol(stage: Stage, level: int, word: str) -> None:
    """An older or newer daemon: told which side to update, nothing sent."""
    runtime = Path(stage.surface.link.home) / "runtime"
    runtime.mkdir(parents=True)
    facts = {"protocol": level, "osc": {"host": "127.0.0.1", "udp": 9}}
    (runtime / "connection.json").write_text(json.dumps(facts))
    stage.loop()
    stage.run("repaint")
    stage.said(word)
    assert stage.surface.jobs.pending == {}


def test_a_note_starts_an_action(stage: Stage, running: DaemonProcess) -> None:
    """Settings map notes of a channel to actions; other notes and note-offs do nothing."""
    stage.surface._midi = {"channel": 16, "notes": {"60": "repaint"}}
    stage.loop()
    for message in ((0x9F, 60, 0), (0x90, 60, 100), (0x9F, 61, 100)):
        stage.surface.receive_midi(message)
    assert stage.surface.jobs.pending == {}
    stage.surface.receive_midi((0x9F, 60, 100))
    assert len(stage.surface.jobs.pending) == 1
    stage.said("done")


def test_packets_are_those_of_a_known_implementation(stage: Stage) -> None:
    """Our encoder and decoder agree with python-osc, umlauts and negative numbers included."""
    osc = importlib.import_module("AceStepBridge.osc")
    values = ["söng", -7, 0.5, "", 2**31 - 1]
    packet = osc.encode("/ace/op/repaint", values)
    known = OscMessage(packet)
    assert known.address == "/ace/op/repaint" and list(known.params) == values
    assert osc.decode(packet) == ("/ace/op/repaint", values)


@pytest.mark.parametrize("packet", [b"", b"/a", b"/a\0\0", b"/a\0\0,i\0\0", b"x\0\0\0,\0\0\0", b"/a\0\0,b\0\0\0\0\0\0"])
def test_damaged_packets_are_left_alone(stage: Stage, packet: bytes) -> None:
    """No packet stops the tick."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(packet, ("127.0.0.1", stage.surface.link.port))
    time.sleep(0.02)
    stage.surface.update_display()
    assert stage.live.messages == []


def test_a_closed_set_gets_its_result_when_it_is_open_again(stage: Stage, running: DaemonProcess) -> None:
    """The set is closed while the job runs; opened again, the clip lands where it belongs, once."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    (id,) = stage.surface.jobs.pending
    stage.reopen()
    assert list(stage.surface.jobs.pending) == [id]
    stage.said("done")
    (lane,) = stage.track.take_lanes
    assert len(lane.arrangement_clips) == 1 and lane.arrangement_clips[0].start_time < FIRST_BEAT
    stage.reopen()
    assert stage.surface.jobs.pending == {}


def test_another_set_does_not_take_the_result(stage: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """Two sets of the same name in two folders: the job waits for its own."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    own = stage.song.file_path
    (tmp_path / "other").mkdir()
    stage.song.file_path = str(tmp_path / "other" / Path(own).name)
    stage.reopen()
    assert stage.surface.jobs.pending == {}
    stage.song.file_path = own
    stage.reopen()
    stage.said("done")


def test_a_lost_answer_is_asked_for_again(stage: Stage, running: DaemonProcess) -> None:
    """Nothing was heard for some seconds, the last word got lost: the daemon repeats it."""
    stage.loop()
    stage.run("repaint")
    deaf = time.monotonic() + 1.5
    while time.monotonic() < deaf:
        stage.surface.link.receive()
        time.sleep(0.02)
    stage.surface.jobs.clock = lambda: time.monotonic() + 60
    stage.said("done")
    assert len(stage.track.take_lanes) == 1


def repainted(stage: Stage) -> Clip:
    """A repaint that has landed; its clip is in the detail view."""
    stage.loop()
    stage.run("repaint", caption="warm", variants=2)
    stage.until(lambda: len(stage.track.take_lanes) == 2)
    stage.live.messages.clear()
    stage.song.view.detail_clip = stage.track.take_lanes[0].arrangement_clips[0]
    found: Clip = stage.song.view.detail_clip
    return found


def test_a_reroll_is_the_same_request_at_the_same_place(stage: Stage, running: DaemonProcess) -> None:
    """The clip in the detail view is enough: two more variants, other seeds, the same beat."""
    clip = repainted(stage)
    stage.run("vary")
    stage.until(lambda: len(stage.track.take_lanes) == 4)
    assert {lane.arrangement_clips[0].start_time for lane in stage.track.take_lanes} == {clip.start_time}
    folder = Path(clip.file_path).parent
    first, second = [
        json.loads(path.read_text("utf-8"))["request"]["request"] for path in sorted(folder.glob("*.recipe.json"))
    ]
    assert first["conditioning"] == second["conditioning"] and first["source"]["path"] == second["source"]["path"]
    assert first["stages"][0]["seeds"] != second["stages"][0]["seeds"]


def test_keep_deletes_the_other_variants(stage: Stage, running: DaemonProcess) -> None:
    """The clip in the detail view and the old clip stay; one undo step."""
    clip = repainted(stage)
    steps = len(stage.song.undo_steps)
    stage.run("keep")
    assert [lane.arrangement_clips for lane in stage.track.take_lanes] == [[clip], []]
    assert stage.track.arrangement_clips == [stage.clip] and stage.song.undo_steps[steps:] == ["closed"]


def listened(stage: Stage, count: int = 2, first: float = FIRST_BEAT) -> None:
    """Two more variants wait to be chosen from."""
    stage.loop(first, first + 16.0)
    stage.run("repaint", caption="warm", variants=2, listen=1)
    stage.said(f"Waiting to be placed: {count}.")


def jobs_of(stage: Stage) -> Path:
    """The file in which the set's waiting jobs are written down."""
    song = Path(stage.song.file_path)
    return song.parent / "Samples" / "acestep-bridge" / "pending-surface" / f"{song.name}.json"


def draft_of_jobs(stage: Stage) -> Path:
    """Its draft: a folder in this place keeps it from being written."""
    return jobs_of(stage).with_name(jobs_of(stage).name + ".tmp")


def names(stage: Stage) -> list[str]:
    """What was placed, without the seeds."""
    return [clip.name.split(" (")[0] for lane in stage.track.take_lanes for clip in lane.arrangement_clips]


def test_results_wait_until_one_is_chosen(stage: Stage, running: DaemonProcess) -> None:
    """`listen 1`: nothing is placed, also after the set was opened again; the chosen variant is, and then no other waits."""
    listened(stage)
    stage.reopen()
    assert names(stage) == [] and stage.surface.jobs.pending == {}
    stage.send("/ace/live/place", 2)
    stage.said("done")
    assert names(stage) == ["repaint 2"] and stage.song.undo_steps == ["closed"]
    assert stage.track.take_lanes[0].arrangement_clips[0].start_time == pytest.approx(FIRST_BEAT, abs=0.2)
    stage.send("/ace/live/place")
    stage.said("Variant 1 is not waiting to be placed; 0 are.")
    stage.reopen()
    stage.run("queue")
    stage.said("No job is waiting")


def test_the_page_to_hear_results_is_told(stage: Stage, running: DaemonProcess) -> None:
    """The line leads to the real page, on which the waiting variants are listed; *Show jobs* tells it again."""
    listened(stage)
    address = stage.live.messages[-1].rpartition(" ")[2]
    page = httpx.get(address, follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html") and page.url.fragment == "library"
    with Client(str(running.paths.home)) as client:
        assert len(client.call("history.list", {})["rows"][0]["files"]) == 2
    stage.reopen()
    stage.run("queue")
    stage.said(f"Waiting to be placed: 2. {address}")


def test_waiting_variants_are_counted_from_the_newest_job(stage: Stage, running: DaemonProcess) -> None:
    """As the page shows them; the variants of the other job stay waiting. Numbers may come as floats."""
    listened(stage)
    listened(stage, 4, 44.0)
    stage.send("/ace/live/place", 3.0)
    stage.until(lambda: names(stage) == ["repaint 1"])
    stage.send("/ace/live/place", 2)
    stage.until(lambda: names(stage) == ["repaint 1", "repaint 2"])
    starts = [lane.arrangement_clips[0].start_time for lane in stage.track.take_lanes]
    assert starts == pytest.approx([FIRST_BEAT, 44.0], abs=0.2)


def test_a_number_that_does_not_wait_places_nothing(stage: Stage, running: DaemonProcess) -> None:
    """Too high, or no number at all: one sentence, and all keep waiting."""
    listened(stage)
    for number in (3, 0, "two"):
        stage.send("/ace/live/place", number)
        stage.said(f"Variant {number} is not waiting to be placed; 2 are.")
    assert names(stage) == []


def test_a_note_places_the_first_variant(stage: Stage, running: DaemonProcess) -> None:
    """`place` is a word for notes too."""
    stage.surface._midi = {"channel": 16, "notes": {"60": "place"}}
    listened(stage)
    stage.surface.receive_midi((0x9F, 60, 100))
    assert names(stage) == ["repaint 1"]


def test_what_waits_can_be_dropped(stage: Stage, running: DaemonProcess) -> None:
    """Nothing is placed, nothing waits, also after the set was opened again; the files stay."""
    listened(stage)
    stage.live.messages.clear()
    stage.send("/ace/live/drop")
    stage.said("Waiting to be placed: 0.")
    stage.reopen()
    stage.send("/ace/live/place")
    stage.said("Variant 1 is not waiting to be placed; 0 are.")
    assert names(stage) == [] and len(list(Path(stage.song.file_path).parent.rglob("repaint-*.wav"))) == 2


def test_a_waiting_file_that_is_gone_is_told(stage: Stage, running: DaemonProcess) -> None:
    """The user cleaned up: the sentence names the file, the other variant can be chosen."""
    listened(stage)
    first, _ = sorted(Path(stage.song.file_path).parent.rglob("repaint-*.wav"))
    first.unlink()
    stage.send("/ace/live/place", 1)
    stage.said(first.name)
    stage.send("/ace/live/place", 2)
    stage.until(lambda: names(stage) == ["repaint 2"])


def test_a_variant_is_placed_while_nothing_can_be_written(stage: Stage, running: DaemonProcess) -> None:
    """Its file is there already; that it waits no longer could not be written down, which is told."""
    listened(stage)
    draft_of_jobs(stage).mkdir()
    stage.send("/ace/live/place")
    stage.said("media folder cannot be written")
    assert names(stage) == ["repaint 1"]


def test_a_reroll_waits_only_when_it_is_asked_to(stage: Stage, running: DaemonProcess) -> None:
    """Of a variant that was chosen: with `listen 1` the new ones wait, without they are placed."""
    listened(stage)
    stage.send("/ace/live/place")
    stage.until(lambda: names(stage) == ["repaint 1"])
    stage.song.view.detail_clip = stage.track.take_lanes[0].arrangement_clips[0]
    stage.live.messages.clear()
    stage.run("vary", listen=1)
    stage.said("Waiting to be placed: 2.")
    assert names(stage) == ["repaint 1"]
    stage.run("vary")
    stage.until(lambda: names(stage) == ["repaint 1", "repaint 1", "repaint 2"])


def test_without_the_page_results_wait_all_the_same(stage: Stage, tmp_path: Path) -> None:
    """The daemon's HTTP door is off: the line says so, and a variant can be placed."""
    home = tmp_path / "home"
    with start_daemon({**FREE_PORTS, "home": home, "backend": "fake", "read_roots": [tmp_path], "http": False}):
        listened(stage)
    assert stage.live.messages[-1].endswith("set http = true for the daemon and restart it.")
    stage.send("/ace/live/place", 2)
    stage.until(lambda: names(stage) == ["repaint 2"])


@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]")])
def test_the_page_is_found_wherever_the_daemon_listens(stage: Stage, host: str, shown: str) -> None:
    """Loopback for a door that listens everywhere, brackets around IPv6."""
    runtime = Path(stage.surface.link.home) / "runtime"
    runtime.mkdir(parents=True)
    (runtime / "connection.json").write_text(json.dumps({"http": {"host": host, "port": 9}}))
    assert stage.surface.link.page() == f"http://{shown}:9/audition"


def test_restore_makes_the_values_of_a_clip_the_next_ones(stage: Stage, running: DaemonProcess) -> None:
    """A later repaint without values is asked with those of the clip, at its place."""
    repainted(stage)
    stage.run("repaint", caption="something else")
    stage.until(lambda: len(stage.track.take_lanes) == 3)
    stage.song.loop, stage.song.loop_start, stage.song.loop_length = False, 0.0, 4.0
    stage.run("restore")
    stage.until(lambda: stage.song.loop)
    assert stage.song.loop_start == FIRST_BEAT
    assert stage.song.loop_length == pytest.approx(LAST_BEAT - FIRST_BEAT)
    stage.run("repaint")
    stage.until(lambda: len(stage.track.take_lanes) == 5)
    stage.said("warm")


def test_restore_selects_the_bars_of_a_clip_at_any_tempo(stage: Stage, running: DaemonProcess) -> None:
    """The song is half as fast by now: the same beats are selected."""
    repainted(stage)
    stage.song.tempo = 60.0
    stage.loop(0.0, 4.0)
    stage.run("restore")
    stage.said("the next one is asked with")
    assert (stage.song.loop_start, stage.song.loop_length) == (FIRST_BEAT, LAST_BEAT - FIRST_BEAT)


def test_a_clip_of_somebody_else_has_no_recipe(stage: Stage, running: DaemonProcess) -> None:
    """Re-roll, keep and restore on a clip that is not ours: one sentence each."""
    stage.song.view.detail_clip = stage.clip
    for action in ("vary", "keep", "restore"):
        stage.live.messages.clear()
        stage.run(action)
        stage.said("not made by acestep-bridge")


def test_the_last_values_are_remembered_with_the_set(stage: Stage, running: DaemonProcess) -> None:
    """Without values an action uses those of its last run, also after the set was opened again."""
    stage.loop()
    stage.run("repaint", caption="fake: fail=out_of_memory fail_at=1")
    stage.said("out_of_memory")
    stage.reopen()
    stage.run("repaint")
    stage.said("out_of_memory")


def test_a_session_clip_is_painted_into_the_next_free_slot(stage: Stage, running: DaemonProcess) -> None:
    """The clip in the detail view lies in a slot: the result has its length and lies in the first empty slot below."""
    slots = stage.track.clip_slots
    clip = slots[0].create_audio_clip(stage.clip.file_path)
    clip.looping, clip.loop_start, clip.loop_end = True, 4.0, 20.0
    slots[1].create_audio_clip(stage.clip.file_path)
    stage.song.view.detail_clip = clip
    stage.run("repaint", variants=2)
    stage.said("done")
    assert len(stage.track.clip_slots) == 4 and stage.track.take_lanes == []
    new = stage.song.view.detail_clip = stage.track.clip_slots[2].clip
    assert soundfile.info(new.file_path).frames == 8 * RATE and new.warping is False
    stage.run("keep")
    stage.said("1 other variants deleted")
    assert [slot.clip for slot in slots] == [clip, slots[1].clip, new, None]


@pytest.mark.parametrize("warping", [True, False])
def test_a_session_clip_begins_with_bar_1(stage: Stage, running: DaemonProcess, warping: bool) -> None:
    """Warped, its loop begins a bar; of an unwarped one that is not known, and a guide begins with it all the same."""
    clip = stage.song.view.detail_clip = stage.track.clip_slots[0].create_audio_clip(stage.clip.file_path)
    clip.warping, clip.looping = warping, True
    stage.song.tick()
    clip.loop_start, clip.loop_end = (4.0, 20.0) if warping else (2.0, 10.0)
    stage.run("repaint")
    stage.said("done")
    asked = request_of(stage)["conditioning"]
    point = {"sample": 2 * RATE, "bpm": 120.0, "metre": "4/4", "bar": 1.0}
    assert asked.get("tempo_map") == ([point] if warping else None)
    assert asked.get("guide_from", "song") == ("song" if warping else "region")


def test_a_session_clip_of_another_tempo_is_refused(stage: Stage, running: DaemonProcess) -> None:
    """Its file is not what sounds."""
    clip = stage.song.view.detail_clip = stage.track.clip_slots[0].create_audio_clip(stage.clip.file_path)
    clip.clip_tempo, clip.looping, clip.loop_start, clip.loop_end = 100.0, True, 4.0, 20.0
    stage.run("repaint")
    stage.said("warped to another tempo")


def record(stage: Stage, folder: Path, beats: float = 18.0) -> None:
    """Live runs through the selection, and a little further."""
    stage.until(lambda: stage.song.is_playing and stage.song.record_mode)
    stage.song.run(beats, folder)


def as_before(stage: Stage) -> bool:
    """Whether nothing of a recording is left: one track, heard and selected, Live stopped where it was, its loop on."""
    song = stage.song
    transport = [(song.is_playing, song.record_mode) for _ in range(2)][-1]  # the first look may show the old state
    assert transport == (False, False) and song.tracks == [stage.track] and song.view.selected_track == stage.track
    return not stage.track.mute and stage.track.arm and song.loop and song.current_song_time == 3.0


@pytest.fixture
def at_rest(stage: Stage) -> Stage:
    """Live is stopped at beat 3, the loop brace on, the track armed."""
    stage.loop()
    stage.song.current_song_time = 3.0
    stage.track.arm = True
    return stage


def test_a_new_instrument_hears_a_recording_of_the_others(
    at_rest: Stage, running: DaemonProcess, tmp_path: Path
) -> None:
    """Lego: what is heard without the selected track is recorded in real time; then everything is as before, plus one new track."""
    at_rest.run("add-instrument", track="guitar")
    record(at_rest, tmp_path)
    at_rest.said("done")
    assert at_rest.song.recorded == [("Resampling", [at_rest.track.name])]
    new = at_rest.song.tracks.pop(1)
    assert new.name == "guitar" and new.arrangement_clips[0].start_time == FIRST_BEAT
    at_rest.song.view.selected_track = at_rest.track
    assert as_before(at_rest)


def test_the_sound_after_effects_is_recorded_on_request(stage: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """`after_effects 1`: the track's own output is recorded, and that file is repainted."""
    stage.track.name = "Keys"
    stage.loop()
    stage.run("repaint", after_effects=1)
    record(stage, tmp_path)
    stage.said("done")
    assert stage.song.recorded == [("Keys Post FX", [])]
    assert request_of(stage)["source"]["path"] == str(tmp_path / "recorded 1.wav")


def test_a_recording_that_is_stopped_early_sends_nothing(
    at_rest: Stage, running: DaemonProcess, tmp_path: Path
) -> None:
    """The user stops Live in the middle: one sentence, everything is as before."""
    at_rest.run("add-instrument", track="guitar")
    record(at_rest, tmp_path, 6.0)
    at_rest.song.stop_playing()
    at_rest.said("stopped before the end")
    assert as_before(at_rest) and at_rest.surface.jobs.pending == {}


def test_a_recording_can_be_cancelled(at_rest: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """Cancel means the recording while one runs."""
    at_rest.run("add-instrument", track="guitar")
    record(at_rest, tmp_path, 6.0)
    at_rest.run("cancel")
    at_rest.said("stopped before the end")
    assert as_before(at_rest)


def test_closing_live_in_the_middle_leaves_nothing(at_rest: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """Live takes the surface away while it records."""
    at_rest.run("add-instrument", track="guitar")
    record(at_rest, tmp_path, 6.0)
    at_rest.surface.disconnect()
    assert as_before(at_rest)


def test_a_recording_whose_track_is_deleted_is_over(at_rest: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """The user undoes the track for the moment: one sentence, everything is as before."""
    at_rest.run("add-instrument", track="guitar")
    record(at_rest, tmp_path, 6.0)
    at_rest.song.delete_track(1)
    at_rest.said("stopped before the end")
    assert as_before(at_rest)


def test_nothing_is_recorded_while_live_plays(at_rest: Stage, running: DaemonProcess) -> None:
    """Live runs already: told to stop it first."""
    at_rest.song.is_playing = True
    assert not at_rest.song.is_playing  # Live shows it one look later
    at_rest.run("add-instrument", track="guitar")
    at_rest.said("Stop Live first")
    assert at_rest.song.tracks == [at_rest.track]


def test_on_the_main_track_everything_is_heard(at_rest: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """It cannot be muted, so nothing is."""
    at_rest.song.view.selected_track = at_rest.song.master_track
    at_rest.run("add-instrument", track="guitar")
    record(at_rest, tmp_path)
    at_rest.said("done")
    assert at_rest.song.recorded == [("Resampling", [])]


def test_nothing_is_asked_for_while_a_recording_runs(at_rest: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """A recording moves the place and the loop brace, so what is selected is not known: the second press is refused."""
    at_rest.run("add-instrument", track="guitar")
    record(at_rest, tmp_path, 6.0)
    at_rest.run("repaint")
    at_rest.said("Stop Live first")
    assert len(at_rest.song.recorded) == 1


def test_a_live_that_makes_no_more_tracks_records_nothing(at_rest: Stage, running: DaemonProcess) -> None:
    """The smaller editions limit the number of tracks."""
    at_rest.song.most_tracks = 1
    at_rest.run("add-instrument", track="guitar")
    at_rest.said("Live cannot add one")
    assert as_before(at_rest)


def test_two_tracks_of_one_name_are_not_mixed_up(at_rest: Stage, running: DaemonProcess) -> None:
    """Inputs are known by name only: with two of the same, nothing is recorded."""
    at_rest.track.name = "Resampling"
    at_rest.run("repaint", after_effects=1)
    at_rest.said("Two inputs in Live have this track's name")
    assert as_before(at_rest)


def test_extend_reaches_past_the_clip(stage: Stage, running: DaemonProcess) -> None:
    """The selection begins in the clip and ends four seconds behind it: the patch is as long as the selection."""
    stage.loop(60.0, 76.0)
    stage.run("extend")
    stage.said("done")
    (clip,) = stage.track.take_lanes[0].arrangement_clips
    handle = (60.0 - clip.start_time) / 2
    assert 0 <= handle < 0.1
    assert soundfile.info(clip.file_path).frames >= round((8.0 + handle) * RATE)


def test_an_operation_without_an_action_runs_by_its_name(stage: Stage, running: DaemonProcess) -> None:
    """Presets and plug-in operations: `run operation operation <name>`."""
    stage.loop()
    stage.run("operation", operation="refine", caption="warm")
    stage.said("done")
    assert len(stage.song.tracks) == 2


def test_too_long_and_read_only(stage: Stage, running: DaemonProcess) -> None:
    """More than ten minutes; a media folder that cannot be made (a file stands in its place)."""
    stage.loop(0.0, 2.0 * 601)
    stage.run("repaint")
    stage.said("the model's limit is 600 s")
    (Path(stage.song.file_path).parent / "Samples").write_text("no folder")
    stage.loop()
    stage.run("repaint")
    stage.said("media folder cannot be written")


# -- unusual situations


def test_offline_media_are_named(stage: Stage, running: DaemonProcess) -> None:
    """The sentence holds the path, of a clip in the arrangement and of one in a slot."""
    stage.loop()
    path = stage.clip.file_path
    slot = stage.track.clip_slots[0].create_audio_clip(path)
    Path(path).unlink()
    stage.run("repaint")
    stage.said(f"offline or missing: {path}")
    stage.live.messages.clear()
    stage.song.loop, stage.song.view.detail_clip = False, slot
    stage.run("repaint")
    stage.said(f"offline or missing: {path}")


def test_a_brace_without_length_is_no_selection(stage: Stage, running: DaemonProcess) -> None:
    """Told as in every host; the clip in the detail view is not taken instead."""
    stage.loop(FIRST_BEAT, FIRST_BEAT)
    stage.song.view.detail_clip = stage.clip
    stage.run("repaint")
    stage.said("has no length")
    assert stage.surface.jobs.pending == {}


def test_an_unsaved_set_uses_the_music_folder_and_forgets(
    stage: Stage, running: DaemonProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files go to the user's music; what still runs when the set is closed belongs to no set any more."""
    monkeypatch.setenv("HOME", str(tmp_path / "home of söng"))
    stage.song.file_path = ""
    stage.loop()
    stage.run("repaint")
    stage.said("done")
    (clip,) = stage.track.take_lanes[0].arrangement_clips
    assert Path(clip.file_path).parent == tmp_path / "home of söng" / "Music" / "acestep-bridge"
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    stage.until(lambda: stage.surface.jobs.pending)
    stage.reopen()
    assert stage.surface.jobs.pending == {}


def test_two_sets_of_one_name_wait_each_for_its_own_job(stage: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    """Both are closed while their jobs run; each result is placed in the set that asked for it."""
    (tmp_path / "other").mkdir()
    own = stage.song.file_path
    other = str(tmp_path / "other" / Path(own).name)
    stage.loop()
    asked = {}
    for name, path in (("own", own), ("other", other)):
        stage.song.file_path = path
        stage.reopen()
        stage.run("repaint", caption=name)
        stage.until(lambda: stage.surface.jobs.pending)
        (asked[path],) = stage.surface.jobs.pending
    for path in (own, other):
        stage.song.file_path = path
        stage.reopen()
        assert set(stage.surface.jobs.pending) <= {asked[path]}
        stage.until(lambda path=path: list(Path(path).parent.rglob(f"{asked[path]}.recipe.json")))
    made = [Path(clip.file_path) for lane in stage.track.take_lanes for clip in lane.arrangement_clips]
    assert sorted(path.parent for path in made) == sorted(
        Path(path).parent / "Samples" / "acestep-bridge" for path in (own, other)
    )


def test_two_sets_in_one_folder_wait_each_for_its_own_job(stage: Stage, running: DaemonProcess) -> None:
    """Two versions of a song: each is closed while its job runs, and waits for that one only when it is open again."""
    asked = {}
    stage.loop()
    for name in ("v1.als", "v2.als"):
        stage.song.file_path = str(Path(stage.song.file_path).with_name(name))
        stage.reopen()
        stage.run("repaint", caption="fake: steps=5 delay=0.1")
        (asked[name],) = stage.surface.jobs.pending
    for placed, (name, own) in enumerate(asked.items(), start=1):
        stage.song.file_path = str(Path(stage.song.file_path).with_name(name))
        stage.reopen()
        assert list(stage.surface.jobs.pending) == [own]
        stage.said("done")
        assert len(names(stage)) == placed


def test_a_job_goes_with_the_set_that_is_saved_under_another_name(stage: Stage, running: DaemonProcess) -> None:
    """*Save As* while one runs: with the next one both are written down with the new set, and the old one waits for none."""
    stage.loop()
    old = stage.song.file_path
    stage.run("repaint", caption="fake: steps=20 delay=0.1")
    stage.song.file_path = str(Path(old).with_name("v2.als"))
    stage.send("/ace/live/run", "cover")
    stage.until(lambda: len(stage.surface.jobs.pending) == 2)
    stage.song.file_path = old
    stage.reopen()
    assert stage.surface.jobs.pending == {}
    stage.song.file_path = str(Path(old).with_name("v2.als"))
    stage.reopen()
    assert len(stage.surface.jobs.pending) == 2


def test_a_job_that_the_daemon_does_not_know_is_forgotten(stage: Stage, running: DaemonProcess) -> None:
    """It was never sent, or the daemon's home was emptied: told in a sentence, once; the other one is placed."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    record = json.loads(jobs_of(stage).read_text("utf-8"))
    record["jobs"].insert(0, {**record["jobs"][0], "id": "live-never-sent"})
    jobs_of(stage).write_text(json.dumps(record))
    stage.reopen()
    assert len(stage.surface.jobs.pending) == 2
    stage.said("Repaint selection: The daemon no longer knows this job")
    stage.said("done")
    assert len(names(stage)) == 1 and stage.surface.jobs.pending == {}
    assert json.loads(jobs_of(stage).read_text("utf-8"))["jobs"] == []


def test_other_refused_questions_end_no_job(stage: Stage, running: DaemonProcess) -> None:
    """The daemon is busy, or a sentence names another job: ours is asked for again."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    (own,) = stage.surface.jobs.pending
    stage.surface.jobs.hear("/ace/error", ["/ace/job/result", "busy", "", f"there is no room for {own!r}"])
    stage.surface.jobs.hear("/ace/error", ["/ace/job/result", "unknown_job", "id", f"there is no job '{own}0'"])
    stage.surface.jobs.hear("/ace/error", [])
    assert list(stage.surface.jobs.pending) == [own]
    stage.said("done")


def test_a_session_clip_of_another_track_is_not_taken(stage: Stage, running: DaemonProcess) -> None:
    """It is still in the detail view while another track is selected: nothing is selected there."""
    stage.song.view.detail_clip = stage.track.clip_slots[0].create_audio_clip(stage.clip.file_path)
    stage.song.create_audio_track(1)
    stage.run("repaint")
    stage.said("Nothing is selected")
    assert stage.surface.jobs.pending == {}


def test_a_session_clip_is_not_sent_after_effects(stage: Stage, running: DaemonProcess) -> None:
    """`after_effects 1` with a clip of a slot: told, and nothing is sent."""
    stage.song.view.detail_clip = stage.track.clip_slots[0].create_audio_clip(stage.clip.file_path)
    stage.run("repaint", after_effects=1)
    stage.said("can only be sent before effects")
    assert stage.surface.jobs.pending == {} and stage.song.recorded == []


def test_the_tempo_of_the_moment_is_sent(stage: Stage, running: DaemonProcess) -> None:
    """Live shows scripts no tempo automation: with every job goes the tempo that the set has when the key is pressed."""
    stage.song.tempo = 97.5
    stage.clip.clip_tempo = 97.5
    stage.loop()
    stage.run("repaint")
    stage.said("done")
    assert request_of(stage)["conditioning"]["bpm"] == pytest.approx(97.5)


def test_a_media_folder_that_becomes_read_only_delays_the_result(stage: Stage, running: DaemonProcess) -> None:
    """The job ends while nothing can be written (a folder stands in the draft's place): told, and placed at the next opening."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    obstacle = draft_of_jobs(stage)
    obstacle.mkdir()
    stage.said("media folder cannot be written")
    assert stage.track.take_lanes == []
    obstacle.rmdir()
    stage.reopen()
    stage.said("done")
    assert len(stage.track.take_lanes) == 1


def test_audio_that_cannot_be_copied_is_copied_later(stage: Stage, running: DaemonProcess) -> None:
    """The list of jobs can be written, the audio cannot : nothing is lost, and the result comes
    without the set being opened again."""
    stage.loop()
    stage.run("repaint", caption="fake: steps=5 delay=0.1")
    (job,) = stage.surface.jobs.pending
    copies = stage.surface.jobs.placing.fetch

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "take.wav")

    stage.surface.jobs.placing.fetch = full
    stage.said("cannot be written")
    assert list(stage.surface.jobs.pending) == [job] and stage.track.take_lanes == []
    stage.surface.jobs.placing.fetch = copies
    stage.surface.jobs.clock = lambda: time.monotonic() + 60
    stage.said("done")
    assert len(stage.track.take_lanes) == 1 and stage.surface.jobs.pending == {}


def test_what_was_sent_from_the_page_lands_at_the_play_position(stage: Stage, running: DaemonProcess) -> None:
    """On a track of its own, named and whole; one undo step; afterwards nothing waits."""
    stage.song.current_song_time = 12.0
    with Client(str(running.paths.home)) as client:
        asked = {"caption": "made in the browser", "duration": 10.0}
        job = client.call("job.submit", {"operation": "generate", "params": asked})["id"]
        while not client.call("job.wait", {"id": job, "timeout": 5.0})["terminal"]:
            pass
        client.call("handover.send", {"job": job, "host": "ableton"})
        stage.said("Sent: made in the browser: done.")
        assert client.call("handover.list") == []
    (clip,) = stage.song.tracks[-1].arrangement_clips
    assert (clip.start_time, soundfile.info(clip.file_path).frames) == (12.0, 10 * RATE)
    assert Path(clip.file_path).parent == Path(stage.song.file_path).parent / "Samples" / "acestep-bridge"
    assert clip.name.startswith("generate 1") and stage.song.undo_steps == ["closed"]
