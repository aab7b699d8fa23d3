"""The Max for Live device: its bytes parsed again, its cords checked, its scripts run in Node against the real daemon."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgpack
import py2max
import pytest
import soundfile
from py2max.lint import has_errors, lint

from acestep.api import Registry
from acestep.api.errors import ProtocolError
from acestep.api.schema import describe
from bridge.client import Client
from bridge.hosts import amxd, install
from bridge.launch import FREE_PORTS, DaemonProcess, read_connection, start_daemon
from bridge.paths import Paths
from bridge.settings import Settings

from .conftest import RATE, no_daemon_left, set_environment, sound
from .lua_host import SCRIPTS

BEATS = 0  # a warp mode
SETTLED = {"wait_settled": 1}
WHOLE = pytest.approx([0, 0, 1, 1])
REFINE = "refine"
STAND_IN = Path(__file__).with_name("max_stand_in.js")
ACTIONS = json.loads((SCRIPTS / "core" / "actions.json").read_text("utf-8"))["actions"]


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """The folder of the installed device."""
    install("ableton", tmp_path / "Library")
    return tmp_path / "Library" / "Presets" / "Audio Effects" / "Max Audio Effect" / "acestep-bridge"


def test_the_device_reads_back(device: Path) -> None:
    """Three chunks; kind and patcher are what was packed."""
    data = (device / "AceStep Bridge.amxd").read_bytes()
    assert [name for name, _ in amxd.chunks(data)] == [b"ampf", b"meta", b"ptch"]
    assert amxd.unpack(data) == ("audio", amxd.patcher(ACTIONS))
    assert data[:12] == b"ampf\x04\x00\x00\x00aaaa"


def test_damaged_devices_are_refused(device: Path) -> None:
    """Cut anywhere, it is not a device any more."""
    data = (device / "AceStep Bridge.amxd").read_bytes()
    for cut in (3, 11, 40, len(data) - 1):
        with pytest.raises(ProtocolError):
            amxd.unpack(data[:cut])


def test_every_cord_connects_what_exists() -> None:
    """Sources have that outlet, targets that inlet; audio passes through; the scripts it loads are installed beside it."""
    patch = amxd.patcher(ACTIONS)["patcher"]
    boxes = {box["box"]["id"]: box["box"] for box in patch["boxes"]}
    assert len(boxes) == len(patch["boxes"])
    for line in patch["lines"]:
        (source, outlet), (target, inlet) = line["patchline"]["source"], line["patchline"]["destination"]
        assert outlet < boxes[source]["numoutlets"] and inlet < boxes[target]["numinlets"]
    texts = [box.get("text", "") for box in boxes.values()]
    assert "plugin~" in texts and "plugout~" in texts and "live.thisdevice" in texts
    assert patch["project"]["amxdtype"] == int.from_bytes(b"aaaa", "big")


def test_every_button_names_an_action() -> None:
    """The messages behind the buttons are the actions of the shared table, each once."""
    boxes = [box["box"] for box in amxd.patcher(ACTIONS)["patcher"]["boxes"]]
    names = [
        box["text"].removeprefix("run ")
        for box in boxes
        if box["maxclass"] == "message" and box["text"].startswith("run ")
    ]
    own = {action["name"] for action in ACTIONS if "ableton" in action["hosts"] or not action["hosts"]}
    assert sorted(names) == sorted(own)


def test_toggles_send_whether_they_are_on() -> None:
    """*After effects* and *Listen first* are toggles; what they put out becomes the message that the Live half knows."""
    patch = amxd.patcher(ACTIONS)["patcher"]
    boxes = {box["box"]["id"]: box["box"] for box in patch["boxes"]}
    cords = {line["patchline"]["source"][0]: line["patchline"]["destination"][0] for line in patch["lines"]}
    toggles = [box for box in boxes.values() if box["maxclass"] == "live.text" and box["mode"] == 1]
    messages = [boxes[cords[toggle["id"]]] for toggle in toggles]
    assert [message["text"] for message in messages] == ["after_effects $1", "listen_first $1"]
    assert {boxes[cords[message["id"]]]["text"] for message in messages} == {"v8 acestep_live.js"}


def test_no_control_can_be_automated_or_undone() -> None:
    """Buttons and switches ask for something once: hidden from Live (2), they have no automation, and a click is no undo step."""
    controls = [box["box"] for box in amxd.patcher(ACTIONS)["patcher"]["boxes"] if box["box"].get("parameter_enable")]
    values = [control["saved_attribute_attributes"]["valueof"] for control in controls]
    assert len(values) > 10 and {value["parameter_invisible"] for value in values} == {2}
    always = {"live.text", "live.menu", "live.toggle", "live.button", "live.numbox", "live.dial", "live.tab"}
    boxes = [box["box"] for box in amxd.patcher(ACTIONS)["patcher"]["boxes"]]
    assert all(box.get("parameter_enable") for box in boxes if box["maxclass"] in always)


def test_the_daemon_has_a_button() -> None:
    """*Start daemon* sends the word that the Live half knows."""
    patch = amxd.patcher(ACTIONS)["patcher"]
    boxes = {box["box"]["id"]: box["box"] for box in patch["boxes"]}
    cords = {line["patchline"]["source"][0]: line["patchline"]["destination"][0] for line in patch["lines"]}
    (button,) = [box for box in boxes.values() if box["maxclass"] == "live.text" and box["text"] == "Start daemon"]
    message = boxes[cords[button["id"]]]
    assert message["text"] == "start_daemon" and boxes[cords[message["id"]]]["text"] == "v8 acestep_live.js"


def test_the_page_goes_to_the_browser() -> None:
    """The last outlet of the Live half ends in Max's own message to open an address."""
    patch = amxd.patcher(ACTIONS)["patcher"]
    boxes = {box["box"]["id"]: box["box"] for box in patch["boxes"]}
    ends = {tuple(line["patchline"]["source"]): line["patchline"]["destination"][0] for line in patch["lines"]}
    (live,) = [name for name, box in boxes.items() if box.get("text") == "v8 acestep_live.js"]
    assert boxes[ends[live, 6]]["text"] == "; max launchbrowser $1"


def test_the_form_has_a_row_for_whatever_an_action_asks_for() -> None:
    """Its rows are the short forms of the actions together, a sentence in that of the description; the rest is in the menu."""
    own = [action for action in ACTIONS if "ableton" in action["hosts"] or not action["hosts"]]
    assert set(amxd.FORM) == {name for action in own for name in action["ask"]} - {"operation", "query"}


def test_the_rate_of_live_reaches_the_script() -> None:
    """From Max's own object, which is asked when the device is there."""
    patch = amxd.patcher(ACTIONS)["patcher"]
    texts = {box["box"]["id"]: box["box"].get("text") for box in patch["boxes"]}
    cords = [(line["patchline"]["source"], line["patchline"]["destination"]) for line in patch["lines"]]
    named = [(texts[source], outlet, texts[target]) for (source, outlet), (target, _) in cords]
    assert ("live.thisdevice", 0, "dspstate~") in named and ("dspstate~", 1, "prepend rate") in named
    assert ("prepend rate", 0, "v8 acestep_live.js") in named


def test_scripts_of_the_device_are_installed(device: Path) -> None:
    """Everything a script requires lies beside it, and nothing comes from npm."""
    files = {path.name for path in device.iterdir()}
    for path in device.glob("*.js"):
        for line in path.read_text("utf-8").splitlines():
            if "require(" in line and not line.startswith("//"):
                name = line.split('require("')[1].split('"')[0]
                assert (
                    name in {"max-api", "child_process", "net", "fs", "os", "path"} or name.removeprefix("./") in files
                )


@pytest.mark.foreign
def test_messagepack_agrees_with_msgpack(device: Path, foreign: Callable[[str], str]) -> None:
    """What Node writes, Python's msgpack reads, and the other way round, in pieces too."""
    values = [
        None,
        True,
        False,
        0,
        127,
        128,
        255,
        65_535,
        65_536,
        2**32,
        2**53 - 1,
        -1,
        -32,
        -33,
        -129,
        -(2**31),
        -(2**40),
        0.5,
    ]
    values += [
        "",
        "söng" * 10,
        "x" * 70_000,
        [],
        list(range(20)),
        {},
        {"a": {"b": [1, "c"]}},
        {str(i): i for i in range(20)},
    ]
    code = (
        "const m=require(process.argv[1]+'/msgpack.js');const d=Buffer.from(require('fs').readFileSync(0,'utf8'),'base64');"
        "let rest=Buffer.alloc(0),all=[];for(let i=0;i<d.length;i+=997){rest=Buffer.concat([rest,d.subarray(i,i+997)]);"
        "const r=m.decodeAll(rest);all.push(...r.values);rest=r.rest}"
        "process.stdout.write(Buffer.concat([...all.map(m.encode),m.encode(new m.Float(8))]).toString('base64'))"
    )
    import base64

    packed = b"".join(msgpack.packb(value) for value in values)
    done = subprocess.run(
        [foreign("node"), "-e", code, str(device)],
        input=base64.b64encode(packed),
        capture_output=True,
        timeout=30,
        check=True,
    )
    reader = msgpack.Unpacker()
    reader.feed(base64.b64decode(done.stdout))
    found = list(reader)
    assert found[:-1] == values
    assert isinstance(found[-1], float) and found[-1] == 8.0


class Set:
    """A Live set at 120 bpm with a loop on beat 4, and what to do with it."""

    def __init__(self, device: Path, folder: Path, node: str) -> None:
        self.device = device
        self.folder = folder
        self.node = node
        self.loop = sound(folder / "loop.wav")
        clip = {
            "is_audio_clip": 1,
            "is_arrangement_clip": 1,
            "start_time": 4,
            "end_time": 68,
            "start_marker": 0,
            "looping": 0,
        }
        clip |= {
            "loop_end": 64,
            "warping": 1,
            "sample_rate": RATE,
            "file_path": str(self.loop),
            "name": "loop",
            "clip_tempo": 120,
        }
        self.clip = clip
        self.song = {"tempo": 120, "signature_numerator": 4, "signature_denominator": 4, "loop": 1, "loop_start": 20}
        self.song |= {"loop_length": 16, "root_note": 9, "scale_name": "Minor", "scale_mode": 1, "file_path": ""}
        self.song |= {"current_song_time": 0}
        self.tracks: list[dict[str, Any]] = [{"name": "Loop", "clips": [clip]}]

    def play(self, *commands: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The set after the commands, and what the device said."""
        return self.play_each(commands, **more)[0]

    def play_each(self, *devices: tuple[dict[str, Any], ...], **more: Any) -> list[dict[str, Any]]:
        """The same with the commands of several devices of the set, all at once."""
        started = []
        for number, commands in enumerate(devices):
            description = self.folder / f"set {number}.json"
            description.write_text(json.dumps({"song": self.song, "tracks": self.tracks, "commands": commands, **more}))
            program = [self.node, str(STAND_IN), str(self.device), str(description)]
            started.append(subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return [self._end(device) for device in started]

    def _end(self, device: subprocess.Popen[str]) -> dict[str, Any]:
        text, errors = device.communicate(timeout=60)
        assert device.returncode == 0, errors
        found: dict[str, Any] = json.loads(text)
        assert [entry for entry in found["log"] if entry[0] == "error"] == []
        return found


@pytest.fixture
def live(
    device: Path, tmp_path: Path, running: DaemonProcess, foreign: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Set:
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(running.paths.home))
    monkeypatch.setenv("HOME", str(tmp_path))
    return Set(device, tmp_path, foreign("node"))


@pytest.mark.foreign
def test_repaint_lands_in_a_take_lane(live: Set) -> None:
    """Over MessagePack-RPC: the patch in a new take lane, its handle before the region, unwarped, in the user's folder."""
    found = live.play({"param": ["caption", "warm", "tape"]}, {"run": "repaint"}, {"wait": "done"}, SETTLED)
    (track,) = found["tracks"]
    (clip,) = track["take_lanes"][0]["arrangement_clips"]
    info = soundfile.info(clip["file_path"])
    assert clip["start_time"] == pytest.approx(20 - (info.frames - 8 * RATE) / 2 / RATE * 2, abs=1e-9)
    assert clip["warping"] == 0 and Path(clip["file_path"]).parent == live.folder / "Music" / "acestep-bridge"
    assert any("%" in entry[1] for entry in found["log"] if entry[0] == "status")


@pytest.mark.foreign
@pytest.mark.parametrize(("start", "length", "beat"), [(20, 16, 20), (0, 20, 4)])
def test_a_result_lands_on_its_beat_at_any_tempo(live: Set, start: int, length: int, beat: int) -> None:
    """The song becomes half as fast while the job runs; a selection that begins before its clip begins with it."""
    live.song.update(loop_start=start, loop_length=length)
    found = live.play(SLOW, {"run": "repaint"}, {"wait": "%"}, {"song": {"tempo": 60}}, {"wait": "done"})
    (clip,) = lanes(found)
    assert clip["start_time"] == pytest.approx(beat, abs=0.1)


@pytest.mark.foreign
@pytest.mark.parametrize(("scale_mode", "key"), [(1, "A minor"), (0, "")])
def test_the_key_of_the_set_is_sent(live: Set, scale_mode: int, key: str) -> None:
    """With scale mode off the set is in no key, whatever scale Live shows."""
    live.song["scale_mode"] = scale_mode
    live.play({"run": "repaint"}, {"wait": "done"})
    assert request_of(live)["conditioning"]["key"] == key


@pytest.mark.foreign
def test_the_songs_time_is_sent(live: Set) -> None:
    """The file of the clip is told where its beats lie in the song, the selection beginning on the third beat of bar 6."""
    live.song["loop_start"] = 22
    live.play({"run": "repaint"}, {"wait": "done"})
    (point,) = request_of(live)["conditioning"]["tempo_map"]
    assert point["sample"] == (22 - live.clip["start_time"]) / 2 * RATE
    assert (point["bpm"], point["metre"], point["bar"]) == (120, "4/4", 6.5)


@pytest.mark.foreign
def test_stems_become_tracks(live: Set) -> None:
    """Two picks: two named tracks, aligned."""
    found = live.play({"param": ["track", "drums", "bass"]}, {"run": "extract"}, {"wait_clips": 3})
    assert {track["name"] for track in found["tracks"]} == {"Loop", "drums", "bass"}
    assert all(
        track["arrangement_clips"][0]["start_time"] == 20 for track in found["tracks"] if track["name"] != "Loop"
    )


@pytest.mark.foreign
@pytest.mark.parametrize("taken_for", [None, 60.0])
def test_new_tracks_follow_the_tempo(live: Set, taken_for: float | None) -> None:
    """A clip on a track of its own is warped from the tempo it was made for, whatever Live took it for."""
    live.song["tempo"] = 97.5
    found = live.play({"run": "generate"}, {"wait": "done"}, SETTLED, taken_for=taken_for)
    (clip,) = found["tracks"][1]["arrangement_clips"]
    beats = clip["sample_length"] / RATE * 97.5 / 60
    assert clip["warping"] == 1 and clip["warp_mode"] == BEATS and clip["loop_end"] == pytest.approx(beats)
    first, last = clip["markers"]
    assert (first["sample_time"], first["beat_time"]) == (0, 0)
    assert (last["sample_time"], last["beat_time"]) == pytest.approx((clip["sample_length"] / RATE, beats))


@pytest.mark.foreign
def test_a_sentence_becomes_a_song(live: Set) -> None:
    """The sentence is what stands in the row *Description*; the song stands on a track of its own."""
    sentence = {"param": ["caption", "dark", "techno", "in", "F", "minor"]}
    found = live.play(sentence, {"run": "song"}, {"wait": "done"}, SETTLED)
    (clip,) = found["tracks"][1]["arrangement_clips"]
    assert clip["start_time"] == 20
    (memory,) = live.folder.rglob("*.recipe.json")
    words = json.loads(memory.read_text("utf-8"))["request"]["request"]["conditioning"]
    assert (words["query"], words["caption"], words["thinking"]) == ("dark techno in F minor", "", True)


@pytest.mark.foreign
def test_a_clip_that_live_lays_otherwise_stays_unwarped(live: Set) -> None:
    """Live takes no marker: out of time would be worse than a clip that keeps its own tempo."""
    found = live.play({"run": "generate"}, {"wait": "done"}, SETTLED, taken_for=60, no_markers=True)
    (clip,) = found["tracks"][1]["arrangement_clips"]
    assert clip["warping"] == 0 and edges(clip, 1.0) == WHOLE


@pytest.mark.foreign
@pytest.mark.parametrize("auto_warp_start", [0.0, 1.3, -0.4])
def test_a_clip_plays_its_whole_file(live: Set, auto_warp_start: float) -> None:
    """Live unwarps a little later and takes beats for seconds then, and Auto-Warp moves the start: the markers end up around the
    file, of an unwarped take as of a warped part."""
    commands = ({"run": "repaint"}, {"wait_clips": 2}, {"run": "generate"}, {"wait_clips": 3}, SETTLED)
    found = live.play(*commands, auto_warp_start=auto_warp_start)
    (take,) = lanes(found)
    (part,) = found["tracks"][1]["arrangement_clips"]
    assert take["warping"] == 0 and edges(take, 1.0) == WHOLE
    assert part["warping"] == 1 and edges(part, live.song["tempo"] / 60) == WHOLE


@pytest.mark.foreign
def test_markers_that_live_does_not_take_are_told(live: Set) -> None:
    """The clip stays, the user learns what to set by hand."""
    told = {"wait": "set its start to 0 and its end to the end of the file"}
    found = live.play({"run": "repaint"}, told, SETTLED, auto_warp_start=1.0, fixed_markers=True)
    assert len(lanes(found)) == 1


@pytest.mark.foreign
def test_a_clip_that_is_deleted_at_once_is_let_go(live: Set) -> None:
    """Its track is gone before it is as it should be."""
    found = live.play({"run": "generate"}, {"wait_clips": 2}, {"remove": "generate"}, SETTLED)
    assert len(found["tracks"]) == 1


@pytest.mark.foreign
@pytest.mark.parametrize(("num", "den", "sent"), [(5, 4, "5/4"), (7, 8, "7/8"), (6, 8, "6")])
def test_any_metre_is_sent(live: Set, num: int, den: int, sent: str) -> None:
    """The daemon gets the set's own and says where the model is told another one. Bars count in any."""
    live.song.update(signature_numerator=num, signature_denominator=den)
    found = live.play({"run": "repaint"}, {"wait": "done"})
    assert request_of(live)["conditioning"]["time_signature"] == sent
    bar = num * 4 / den
    assert request_of(live)["output"]["name"] == f"Loop, bars {int(20 // bar) + 1}-{math.ceil(36 / bar)}"
    assert said(found, f"does not know {num}/{den}") == (0 if sent == "6" else 1) and not said(
        found, "no metre is sent"
    )
    assert len(lanes(found)) == 1


@pytest.mark.foreign
def test_a_live_without_take_lanes_gets_a_track(live: Set) -> None:
    """Live 12.0.5 to 12.1: a new track instead of a lane."""
    found = live.play({"run": "repaint"}, {"wait_clips": 2}, take_lanes=False)
    assert len(found["tracks"]) == 2 and len(found["tracks"][1]["arrangement_clips"]) == 1


@pytest.mark.foreign
def test_cancel_and_errors_are_said(live: Set) -> None:
    """A cancelled and a rejected job: a sentence each, no clip."""
    found = live.play(
        {"param": ["caption", "fake: steps=200 delay=0.1"]},
        {"run": "repaint"},
        {"wait": "%"},
        {"run": "cancel"},
        {"wait": "cancel"},
        {"param": ["caption", "x" * 5000]},
        {"run": "repaint"},
        {"wait": "caption"},
    )
    assert found["tracks"][0]["take_lanes"] == []


@pytest.mark.foreign
def test_refusals(live: Set) -> None:
    """Warped to another tempo, no track picked, nothing or too much selected, MIDI: told before anything is sent."""
    live.clip["clip_tempo"] = 100
    live.play({"run": "repaint"}, {"wait": "warped to another tempo"})
    live.clip["clip_tempo"] = 120
    live.play({"run": "extract"}, {"wait": "No track is chosen"})
    live.song["loop"] = 0
    live.play({"run": "repaint"}, {"wait": "Nothing is selected"})
    live.song.update(loop=1, loop_length=0)
    live.play({"run": "repaint"}, {"wait": "has no length"})
    live.song["loop_length"] = 2 * 601
    live.clip["end_time"] = 2 * 700
    live.play({"run": "repaint"}, {"wait": "lasts 601 s; the model's limit is 600 s"})
    live.song["loop_length"] = 16
    live.clip["is_audio_clip"] = 0
    live.play({"run": "repaint"}, {"wait": "only MIDI"})


@pytest.mark.foreign
def test_offline_media_are_named(live: Set) -> None:
    """The sentence holds the path, of a clip in the arrangement and of one in a slot; nothing is sent."""
    live.loop.unlink()
    live.tracks[0]["slot"] = {**live.clip, "is_arrangement_clip": 0, "looping": 1, "loop_start": 4, "loop_end": 20}
    for loop in (1, 0):
        live.song["loop"] = loop
        found = live.play({"run": "repaint"}, {"wait": f"offline or missing: {live.loop}"}, detail_slot=True)
        assert said(found, ": sent") == 0


@pytest.mark.foreign
def test_no_daemon(live: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection file, or one that a dead daemon left behind: told how to start it."""
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(tmp_path / "nowhere"))
    live.play({"run": "repaint"}, {"wait": "acestep-bridge serve"})
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        facts = {"rpc": {"host": "127.0.0.1", "port": closed.getsockname()[1]}}
        (tmp_path / "nowhere" / "runtime").mkdir(parents=True)
        (tmp_path / "nowhere" / "runtime" / "connection.json").write_text(json.dumps(facts))
        live.play({"run": "repaint"}, {"wait": "acestep-bridge serve"})


START = ({"run": "repaint"}, {"wait": "Start it with: the button 'Start daemon'"}, {"start_daemon": []})
"""No daemon runs: the sentence names the button, which is pressed."""


@pytest.fixture
def alone(
    device: Path, tmp_path: Path, foreign: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Set]:
    """A set without a daemon. Only the installed device knows the home: Live, started from the desktop, has no such variable."""
    home = tmp_path / "home"
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(home))
    install("ableton", tmp_path / "Library")
    monkeypatch.delenv("ACESTEP_BRIDGE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    set_environment(monkeypatch, tmp_path)
    with no_daemon_left(Paths.of(Settings(home=home))):
        yield Set(device, tmp_path, foreign("node"))


@pytest.mark.foreign
def test_a_daemon_that_is_not_running_is_started(alone: Set) -> None:
    """By the button, also pressed twice; it fills the menus, does what is asked for, and outlives the device."""
    found = alone.play(*START, {"start_daemon": []}, {"wait": "The daemon is running."}, {"wait_menu": [2, REFINE]})
    assert said(found, "starting the daemon") == 2 and said(found, "did not start") == 0
    alone.play({"run": "repaint"}, {"wait": "done"})


@pytest.mark.foreign
def test_a_daemon_that_does_not_come_up_says_why(alone: Set, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program has its port: the daemon's own last words."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("ACESTEP_BRIDGE_RPC_PORT", str(port))
        alone.play(*START, {"wait": f"the rpc door cannot open on 127.0.0.1 port {port}"})


@pytest.mark.foreign
def test_a_program_that_is_gone_is_said(alone: Set) -> None:
    """The bridge was moved after the installation."""
    script = alone.device / "settings.js"
    script.write_text(script.read_text("utf-8").replace(json.dumps(sys.executable), '"/gone/python"'), "utf-8")
    alone.play(*START, {"wait": "The daemon did not start: spawn /gone/python ENOENT"})


def edges(clip: dict[str, Any], unit: float) -> list[float]:
    """The start and end markers of a clip as parts of its file; ``unit`` is how many of their units a second has."""
    whole = clip["sample_length"] / clip["sample_rate"] * unit
    return [clip[name] / whole for name in ("start_marker", "loop_start", "end_marker", "loop_end")]


def lanes(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The clips in the take lanes of the first track."""
    return [clip for lane in found["tracks"][0]["take_lanes"] for clip in lane["arrangement_clips"]]


def said(found: dict[str, Any], text: str) -> int:
    """How often something was said."""
    return len([entry for entry in found["log"] if entry[0] == "status" and text in entry[1]])


REPAINTED = (
    {"param": ["caption", "warm"]},
    {"param": ["variants", 2]},
    {"run": "repaint"},
    {"wait_clips": 3},
    {"show": 0},
)
"""Two variants have landed; the clip of the first one is in the detail view."""


@pytest.mark.foreign
def test_a_reroll_is_the_same_request_at_the_same_place(live: Set) -> None:
    """The clip in the detail view is enough: two more variants, other seeds, the same beat."""
    found = live.play(*REPAINTED, {"run": "vary"}, {"wait_clips": 5})
    assert len({clip["start_time"] for clip in lanes(found)}) == 1 and len({clip["name"] for clip in lanes(found)}) == 4
    first, second = [
        json.loads(path.read_text())["request"]["request"] for path in sorted(live.folder.rglob("*.recipe.json"))
    ]
    assert first["conditioning"] == second["conditioning"]
    assert first["stages"][0]["seeds"] != second["stages"][0]["seeds"]


@pytest.mark.foreign
def test_keep_deletes_the_other_variants(live: Set) -> None:
    """The clip in the detail view and the old clip stay."""
    found = live.play(*REPAINTED, {"run": "keep"}, {"wait": "1 other variants deleted"})
    (kept,) = lanes(found)
    assert kept["name"].startswith("repaint 1") and len(found["tracks"][0]["arrangement_clips"]) == 1


@pytest.mark.foreign
def test_keep_deletes_the_variants_in_other_slots(live: Set) -> None:
    """Of a Session clip too: the old clip and the chosen variant stay."""
    live.song["loop"] = 0
    live.tracks[0]["slot"] = {**live.clip, "is_arrangement_clip": 0, "looping": 1, "loop_start": 4, "loop_end": 20}
    found = live.play(
        {"param": ["variants", 2]},
        {"run": "repaint"},
        {"wait": "done"},
        {"show_slot": 2},
        {"run": "keep"},
        {"wait": "1 other variants deleted"},
        detail_slot=True,
    )
    assert [bool(slot["clip"]) for slot in found["tracks"][0]["clip_slots"]] == [True, False, True]


@pytest.mark.foreign
def test_restore_fills_the_form(live: Set) -> None:
    """The values of the clip come back into the fields, and its place into the loop brace."""
    found = live.play(
        *REPAINTED,
        {"param": ["caption", "other"]},
        {"song": {"loop": 0, "loop_start": 0, "loop_length": 4}},
        {"run": "restore"},
        {"wait": "settings are in the form"},
    )
    song = found["song"]
    assert (song["loop"], song["loop_start"], song["loop_length"]) == (1, 20, 16)
    shown = [entry[1:] for entry in found["log"] if entry[0] == "outlet 4"]
    assert ["caption", "set", "warm"] in shown and ["variants", "set", "2"] in shown


@pytest.mark.foreign
def test_restore_selects_the_bars_of_a_clip_at_any_tempo(live: Set) -> None:
    """The song is half as fast by now: the same beats are selected."""
    moved = {"song": {"tempo": 60, "loop": 0, "loop_start": 0, "loop_length": 4}}
    song = live.play(*REPAINTED, moved, {"run": "restore"}, {"wait": "settings are in the form"})["song"]
    assert (song["loop"], song["loop_start"], song["loop_length"]) == (1, 20, 16)


@pytest.mark.foreign
def test_a_clip_of_somebody_else_has_no_recipe(live: Set) -> None:
    """Nothing of ours in the detail view: one sentence."""
    live.play({"run": "vary"}, {"wait": "not made by acestep-bridge"})


@pytest.mark.foreign
def test_a_closed_set_gets_its_result_when_it_is_open_again(live: Set) -> None:
    """Live is closed while the job runs; the device of the next start places the clip on the track of that name."""
    live.song["file_path"] = str(live.folder / "Söng Project" / "Söng.als")
    live.play({"param": ["caption", "fake: steps=5 delay=0.2"]}, {"run": "repaint"}, {"wait": "%"})
    live.tracks.insert(0, {"name": "New above", "clips": []})
    found = live.play({"wait": "done"})
    assert [len(track["take_lanes"]) for track in found["tracks"]] == [0, 1]
    (clip,) = found["tracks"][1]["take_lanes"][0]["arrangement_clips"]
    assert Path(clip["file_path"]).parent == live.folder / "Söng Project" / "Samples" / "acestep-bridge"
    assert live.play()["tracks"][1]["take_lanes"] == []


SLOW = {"param": ["caption", "fake: steps=20 delay=0.1"]}
"""A job that lasts until the set is closed, or until its folder is read-only."""

BLOCKED = "media folder cannot be written: "


def saved(live: Set, folder: str = "Project") -> Path:
    """The media folder of the set, saved in a folder."""
    live.song["file_path"] = str(live.folder / folder / "Song.als")
    return live.folder / folder / "Samples" / "acestep-bridge"


def waiting(media: Path) -> list[dict[str, Any]]:
    """The jobs that the set of a media folder waits for, and those that wait to be chosen from."""
    return [json.loads(path.read_text("utf-8"))["job"] for path in (media / "pending-device").glob("*.json")]


def rewrite(live: Set, old: str, new: str) -> None:
    """Change the installed script of the network half's connection."""
    script = live.device / "daemon.js"
    text = script.read_text("utf-8")
    assert text.count(old) == 1
    script.write_text(text.replace(old, new), "utf-8")


@pytest.mark.foreign
def test_nothing_is_sent_from_a_set_whose_folder_cannot_be_written(live: Set) -> None:
    """One sentence with the folder, for a key press and a re-roll; once the folder takes files, the same form is sent."""
    media = saved(live)
    found = live.play(*REPAINTED, {"read_only": str(media)}, {"run": "vary"}, {"wait": f"{BLOCKED}{media}"})
    assert said(found, BLOCKED) == 1 and len(lanes(found)) == 2
    again = ({"run": "repaint"}, {"wait": f"{BLOCKED}{media}"}, {"run": "queue"}, {"wait": "No job is waiting"})
    found = live.play({"read_only": str(media)}, *again, {"read_only": ""}, {"run": "repaint"}, {"wait_clips": 3})
    assert said(found, BLOCKED) == 1 and said(found, ": sent") == 1
    assert len(list(media.glob("*.recipe.json"))) == 2


@pytest.mark.foreign
def test_nothing_is_recorded_for_a_set_whose_folder_cannot_be_written(at_rest: Set) -> None:
    """A file stands in the place of the folder: told before the pass in real time."""
    media = saved(at_rest)
    media.parent.mkdir(parents=True)
    media.write_text("no folder")
    found = at_rest.play(*GUITAR, {"wait": f"{BLOCKED}{media}"})
    assert as_before(found) and found["recorded"] == []


@pytest.mark.foreign
@pytest.mark.parametrize("is_saved", [True, False])
def test_a_result_waits_for_a_folder_that_takes_files(live: Set, is_saved: bool) -> None:
    """The folder turns read-only while the job runs: said once however often it is tried, then the result is placed, once."""
    media = saved(live) if is_saved else live.folder / "Music" / "acestep-bridge"
    rewrite(live, "const RETRY_MS = 2000;", "const RETRY_MS = 20;")
    blocked = ({"read_only": str(media)}, {"wait": f"{BLOCKED}{media}"}, {"wait_refused": 4})
    found = live.play(SLOW, {"run": "repaint"}, {"wait": "%"}, *blocked, {"read_only": ""}, {"wait": "done"})
    assert said(found, BLOCKED) == 1 and len(lanes(found)) == 1
    assert lanes(live.play()) == []


@pytest.mark.foreign
@pytest.mark.parametrize(
    ("listen", "script", "end"),
    [(1, "", "Waiting to be placed: 1."), (0, " fail=out_of_memory fail_at=20", "out_of_memory")],
)
def test_other_ends_of_a_job_wait_for_the_folder_too(live: Set, listen: int, script: str, end: str) -> None:
    """What is to be heard first is offered, and why a job failed is said, once that can be written down."""
    media = saved(live)
    rewrite(live, "const RETRY_MS = 2000;", "const RETRY_MS = 20;")
    form = ({"listen_first": listen}, {"param": ["caption", SLOW["param"][1] + script]})
    blocked = ({"read_only": str(media)}, {"wait": f"{BLOCKED}{media}"}, {"wait_refused": 4})
    found = live.play(*form, {"run": "repaint"}, {"wait": "%"}, *blocked, {"read_only": ""}, {"wait": end})
    assert (said(found, BLOCKED), said(found, end), len(entries(found))) == (1, 1, listen)
    assert len(waiting(media)) == listen


@pytest.fixture
def blocked(live: Set) -> Path:
    """The media folder of a set that took no files while it was open for the second time. A job has ended meanwhile."""
    media = saved(live)
    live.play(SLOW, {"run": "repaint"}, {"wait": "%"})
    found = live.play({"read_only": str(media)}, {"wait": f"{BLOCKED}{media}"})
    assert lanes(found) == [] and said(found, BLOCKED) == 1
    return media


@pytest.mark.foreign
def test_a_result_waits_for_the_folder_also_while_the_set_is_closed(live: Set, blocked: Path) -> None:
    """Nothing could be written while the set was open for the second time; placed at the third."""
    assert len(waiting(blocked)) == 1
    assert len(lanes(live.play({"wait": "done"}))) == 1


@pytest.mark.foreign
def test_a_result_whose_file_is_gone_is_given_up(live: Set, blocked: Path, running: DaemonProcess) -> None:
    """The daemon's file was deleted before the folder took files: told with its path, and no job waits."""
    (job,) = waiting(blocked)
    (made,) = running.paths.library.glob(f"{job['id']}*/*.wav")
    made.unlink()
    found = live.play({"wait": f"The file of this result is gone: {made}"}, {"run": "queue"}, {"wait": "No job is"})
    assert lanes(found) == [] and said(live.play(), "gone") == 0


@pytest.mark.foreign
def test_a_choice_while_the_folder_is_read_only_is_placed(live: Set) -> None:
    """The clip is made; that nothing waits any more could not be written down, so it waits again when the set is opened again."""
    media = saved(live)
    found = live.play(*LISTENED, {"read_only": str(media)}, {"insert": 0}, {"wait": f"{BLOCKED}{media}"})
    assert len(lanes(found)) == 1
    found = live.play({"wait": "Waiting to be placed: 2."})
    assert lanes(found) == []


@pytest.mark.foreign
def test_two_sets_of_one_name_wait_each_for_its_own_job(live: Set) -> None:
    """Both are closed while their jobs run; each result is placed in the set that asked for it."""
    asked = {}
    for folder in ("one", "other"):
        media = saved(live, folder)
        live.play(SLOW, {"run": "repaint"}, {"wait": "%"})
        (job,) = waiting(media)
        asked[folder] = job["id"]
    for folder, own in asked.items():
        media = saved(live, folder)
        (clip,) = lanes(live.play({"wait": "done"}))
        assert Path(clip["file_path"]).parent == media and own in Path(clip["file_path"]).name
        assert [path.name for path in media.glob("*.recipe.json")] == [f"{own}.recipe.json"]
        assert lanes(live.play()) == []


@pytest.mark.foreign
def test_two_sets_in_one_folder_wait_each_for_its_own_job(live: Set) -> None:
    """Two versions of a song: both are closed while their jobs run; each result is placed in the set that asked for it."""
    media = saved(live)
    asked = {}
    for name in ("v1.als", "v2.als"):
        live.song["file_path"] = str(live.folder / "Project" / name)
        live.play(SLOW, {"run": "repaint"}, {"wait": "%"})
        (asked[name],) = {job["id"] for job in waiting(media)} - set(asked.values())
    for name, own in reversed(asked.items()):
        live.song["file_path"] = str(live.folder / "Project" / name)
        (clip,) = lanes(live.play({"wait": "done"}))
        assert own in Path(clip["file_path"]).name
    assert waiting(media) == []


@pytest.mark.foreign
def test_a_job_goes_with_the_set_that_is_saved_under_another_name(live: Set) -> None:
    """*Save As* while it runs: from the next key press on, the new set waits for it and the old one no longer."""
    media = saved(live)
    new = str(live.folder / "Other" / "v2.als")
    both = (
        {"run": "repaint"},
        {"wait": "%"},
        {"song": {"file_path": new}},
        {"run": "cover"},
        {"wait": "Cover selection: sent"},
    )
    live.play(SLOW, *both)
    assert waiting(media) == [] and len(waiting(live.folder / "Other" / "Samples" / "acestep-bridge")) == 2
    live.song["file_path"] = new
    assert len(lanes(live.play({"wait_clips": 3}))) == 2


@pytest.mark.foreign
def test_two_devices_of_a_set_lose_no_job(live: Set) -> None:
    """Both have sent a job when Live is closed: each is written down, and one device places both when the set is open again."""
    media = saved(live)
    press = (SLOW, {"run": "repaint"}, {"wait": ": sent"})
    live.play_each(press, press)
    assert len(waiting(media)) == 2
    assert len(lanes(live.play({"wait_clips": 3}))) == 2


@pytest.mark.foreign
def test_of_two_devices_of_a_set_one_places_a_result(live: Set, running: DaemonProcess) -> None:
    """Both find the waiting job when the set is opened again, and both hear that it is done."""
    media = saved(live)
    live.play(SLOW, {"run": "repaint"}, {"wait": "%"})
    opened = ({"wait_empty": str(media / "pending-device")},)
    assert sorted(len(lanes(found)) for found in live.play_each(opened, opened)) == [0, 1]


@pytest.mark.foreign
def test_a_job_belongs_to_the_device_that_took_it(device: Path, tmp_path: Path, foreign: Callable[[str], str]) -> None:
    """Two devices know of a job: what one has taken or dropped, the other can neither take nor drop."""
    code = (
        "const {Store}=require(process.argv[1]+'/store.js');const [a,b]=[new Store(),new Store()];"
        "for(const s of [a,b])s.open(process.argv[2],'Song.als',[]);a.keep({id:'x'});b.keep({id:'y'});"
        "for(const s of [a,b])s.pending();"
        "console.log(JSON.stringify([a.claim('x'),b.claim('x'),a.claim('x'),b.drop('x'),new Store().pending().length,"
        "b.claim('y'),a.claim('y'),a.drop('x'),b.drop('y'),b.drop('y')]))"
    )
    done = subprocess.run(
        [foreign("node"), "-e", code, str(device), str(tmp_path)], capture_output=True, timeout=30, check=True
    )
    assert json.loads(done.stdout) == [True, False, True, False, 0, True, False, True, True, True]


@pytest.mark.foreign
def test_a_result_comes_although_the_folder_of_the_jobs_was_deleted(live: Set) -> None:
    """The user cleans up while the job runs: the folder is made anew, and the result placed."""
    media = saved(live)
    cleaned = ({"run": "repaint"}, {"wait": "%"}, {"delete": str(media / "pending-device")}, {"wait": "done"})
    assert len(lanes(live.play(SLOW, *cleaned))) == 1


@pytest.mark.foreign
def test_a_job_that_the_daemon_does_not_know_holds_up_no_other(live: Set) -> None:
    """Live died before one was submitted: told in a sentence and forgotten; the one behind it is placed."""
    media = saved(live)
    live.play(SLOW, {"run": "repaint"}, {"wait": "%"})
    (path,) = (media / "pending-device").glob("*.json")
    record = json.loads(path.read_text("utf-8"))
    record["job"] |= {"id": "live-never-sent", "asked": 0}
    path.with_name("live-never-sent.json").write_text(json.dumps(record))
    found = live.play({"wait": "done"})
    assert said(found, "The daemon no longer knows this job") == 1 and len(lanes(found)) == 1
    assert waiting(media) == []


class Line:
    """A way to the daemon that breaks, once, when the device says a word: before the daemon has heard it, or after."""

    def __init__(self, daemon: DaemonProcess, home: Path, word: bytes, heard: bool) -> None:
        facts = read_connection(daemon.paths)
        self._target = (facts["rpc"]["host"], facts["rpc"]["port"])
        self._word, self._heard = word, heard
        self._door = socket.create_server(("127.0.0.1", 0))
        facts["rpc"] |= {"host": "127.0.0.1", "port": self._door.getsockname()[1]}
        (home / "runtime").mkdir(parents=True)
        (home / "runtime" / "connection.json").write_text(json.dumps(facts))
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):  # the door was closed
            while True:
                near, _ = self._door.accept()
                far = socket.create_connection(self._target)
                threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, from_device: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                breaks = from_device and self._word and self._word in data
                if breaks:
                    self._word = b""
                    source.shutdown(socket.SHUT_RDWR)  # before the daemon hears it, which may answer at once
                if not breaks or self._heard:
                    target.sendall(data)
                if breaks:
                    break
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._door.close()


@pytest.fixture
def broken_line(
    live: Set, running: DaemonProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[bytes, bool], None]]:
    """Make the way to the daemon break at a word."""
    rewrite(live, "const RETRY_MS = 2000;", "const RETRY_MS = 20;")
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(tmp_path / "line"))
    lines: list[Line] = []
    yield lambda word, heard: lines.append(Line(running, tmp_path / "line", word, heard))
    for line in lines:
        line.close()


@pytest.mark.foreign
@pytest.mark.parametrize("heard", [False, True])
def test_a_result_comes_although_the_connection_broke_at_the_last_word(
    live: Set, broken_line: Callable[[bytes, bool], None], heard: bool
) -> None:
    """The job is done, the connection is lost before its files are known: they come with the next connection, once."""
    broken_line(b"job.result", heard)
    found = live.play({"run": "repaint"}, {"wait": "the daemon closed the connection"}, {"wait": "done"})
    assert len(lanes(found)) == 1


@pytest.mark.foreign
@pytest.mark.parametrize(("heard", "end", "placed"), [(True, "done", 1), (False, "no longer knows this job", 0)])
def test_a_connection_that_breaks_while_a_job_is_sent(
    live: Set, broken_line: Callable[[bytes, bool], None], heard: bool, end: str, placed: int
) -> None:
    """The daemon has it: placed with the next connection. It has not: told, and nothing waits."""
    broken_line(b"job.submit", heard)
    found = live.play({"run": "repaint"}, {"wait": "the daemon closed the connection"}, {"wait": end})
    assert len(lanes(found)) == placed and entries(found)[placed:] == []


@pytest.mark.foreign
def test_paths_with_blanks_and_other_alphabets(live: Set) -> None:
    """Set, clip and result: any name that a folder can have; a re-roll finds the recipe there."""
    folder = "Mein Lied (2) „Grüße“ 音楽 Ωμέγα & 'demo'"
    media = saved(live, folder)
    media.mkdir(parents=True)
    live.loop = live.loop.rename(live.folder / folder / "Schlag zeug ♪ 鼓.wav")
    live.clip["file_path"] = str(live.loop)
    found = live.play({"run": "repaint"}, {"wait_clips": 2}, {"show": 0}, {"run": "vary"}, {"wait_clips": 3})
    assert {Path(clip["file_path"]).parent for clip in lanes(found)} == {media}
    sources = [
        json.loads(path.read_text("utf-8"))["request"]["request"]["source"] for path in media.glob("*.recipe.json")
    ]
    assert [source["path"] for source in sources] == [str(live.loop)] * 2


@pytest.mark.foreign
def test_the_last_values_are_remembered_with_the_set(live: Set) -> None:
    """An empty form means the values of the last run, also after the set was opened again."""
    live.song["file_path"] = str(live.folder / "Project" / "Song.als")
    live.play(
        {"param": ["caption", "fake: fail=out_of_memory fail_at=1"]}, {"run": "repaint"}, {"wait": "out_of_memory"}
    )
    live.play({"run": "repaint"}, {"wait": "out_of_memory"})


@pytest.mark.foreign
def test_a_wrong_value_is_named_before_anything_is_sent(live: Set) -> None:
    """The daemon's own limits, checked in the device."""
    live.play({"param": ["variants", "nine"]}, {"run": "repaint"}, {"wait": "Variants: enter a number."})


@pytest.mark.foreign
def test_an_operation_without_an_action_appears_by_itself(live: Set) -> None:
    """Presets and plug-in operations are in the menu, their fields in the next; run makes a track."""
    found = live.play(
        {"wait_menu": [2, REFINE]},
        {"choose": REFINE},
        {"wait_fields": "refine"},
        {"group": 2},
        {"pick": "Key"},
        {"value": ["a", "minor"]},
        {"param": ["caption", "warm"]},
        {"run": "operation"},
        {"wait_clips": 2},
    )
    assert len(found["tracks"]) == 2
    (memory,) = live.folder.rglob("*.recipe.json")
    asked = json.loads(memory.read_text())["request"]["request"]["conditioning"]
    assert (asked["caption"], asked["key"]) == ("warm", "A minor")


READ = "{}: Loop, bars {}, 8.0 s, sent as 120 bpm. Sends the clip's file, with some seconds around it."

LYRICS = (
    {"wait_menu": [7, "Lyrics"]},
    {"group": 1},
    {"pick": "Lyrics"},
    {"wait": "Lyrics: "},
    {"value": ["la", "la"]},
)
"""A field that the form has no row for is set in the menu."""


@pytest.mark.foreign
def test_every_field_of_an_action_can_be_set(live: Set) -> None:
    """The menus hold the actions' own operations with all their fields; what is set there goes with that action, and no other."""
    found = live.play(*LYRICS, {"run": "repaint"}, {"wait_clips": 2}, {"run": "cover"}, {"wait_clips": 3})
    requests = [
        json.loads(path.read_text("utf-8"))["request"]["request"] for path in live.folder.rglob("*.recipe.json")
    ]
    assert {request["stages"][0]["type"]: request["conditioning"]["lyrics"] for request in requests} == {
        "repaint": "la la",
        "cover": "",
    }
    assert ["outlet 2", "append", "Repaint selection"] in found["log"]


@pytest.mark.foreign
def test_the_menus_are_those_of_the_chosen_model(live: Set, v1: str) -> None:
    """With a v1 in the field Model the menus hold its own groups (no Main, Sound or Planner) and samplers, and the job goes to it;
    what a model cannot do is refused before anything is recorded, with those that can."""
    menus = ({"wait_menu": [7, "Model"]}, {"group": 4}, {"pick": "Model"}, {"value": [v1]}, {"wait_menu": [7, 2]})
    found = live.play(*menus, {"group": 3}, {"pick": "Sampler"}, {"run": "repaint"}, {"wait_clips": 2})
    entries = [entry[2] for entry in found["log"] if entry[:2] == ["outlet 8", "append"]]
    assert entries[-4:] == ["auto", "euler", "heun", "pingpong"]
    (memory,) = live.folder.rglob("*.recipe.json")
    (stage,) = json.loads(memory.read_text("utf-8"))["request"]["request"]["stages"]
    assert stage["model"] == v1
    lego = "Add an instrument to the mix"
    live.play(
        *({"wait_menu": [2, lego]}, {"choose": lego}, {"wait_fields": "lego"}),
        *({"group": 4}, {"pick": "Model"}, {"value": [v1]}, {"param": ["track", "drums"]}, {"run": "add-instrument"}),
        {"wait": "v1-tiny (ACE-Step v1) cannot do lego; base, xl-base can"},
    )


@pytest.mark.foreign
def test_more_shows_every_field_by_group_in_a_musicians_words(live: Set) -> None:
    """All groups of the operation; every field that the form has no row for and the host does not fill in, by its label."""
    found = live.play({"wait_menu": [7, "Lyrics"]}, *({"group": index} for index in range(10)))
    groups = [entry[2] for entry in found["log"] if entry[:2] == ["outlet 7", "append"]]
    assert groups == [
        "Main",
        "Lyrics",
        "Music",
        "Sound",
        "Model",
        "Sampling",
        "Guidance",
        "Planner",
        "Output",
        "Advanced",
    ]
    shown = [entry[2] for entry in found["log"] if entry[:2] == ["outlet 3", "append"]]
    assert {"Steps", "Guidance strength", "Key", "Tempo (bpm)", "LoRA adapters", "Guide from"} <= set(shown)
    assert not {"Description", "Source", "Start (samples)", "Rate (Hz)", "Regions", "Tempo map"} & set(shown)
    assert not [label for label in shown if "_" in label]


@pytest.mark.foreign
def test_the_rows_of_the_form_have_a_musicians_words(live: Set) -> None:
    """As the daemon describes them, instruments in a musician's order, with an entry for none; a picked one is added."""
    more = (
        {"add": ["track", 2]},
        {"add": ["track", 3]},
        {"add": ["track", 3]},
        {"add": ["tracks", 1]},
        {"add": ["tracks", 0]},
    )
    found = live.play({"wait_menu": [2, REFINE]}, *more)
    said = [entry[1:] for entry in found["log"] if entry[0] == "outlet 4"]
    assert ["label_caption", "set", "Description"] in said and ["label_seed", "set", "Seed"] in said
    offered = [entry[2] for entry in said if entry[:2] == ["choices_track", "append"]]
    assert offered[:4] == ["leave open", "vocals", "backing vocals", "drums"] and offered[-1] == "fx"
    assert [entry[2] for entry in said if entry[:2] == ["track", "set"]] == [
        "backing vocals",
        "backing vocals, drums",
        "backing vocals, drums",
    ]
    assert [entry[2] for entry in said if entry[:2] == ["tracks", "set"]] == ["vocals", ""]


def test_the_form_begins_with_the_words_of_describe() -> None:
    """Before a daemon answers its rows are called the same; what a label adds is the field's hint."""
    registry = Registry.load()
    for action in ACTIONS:
        fields = (
            {info.name: info for info in describe(registry.operation(action["operation"]).schema)}
            if action["operation"]
            else {}
        )
        for name in set(action["ask"]) & set(amxd.FORM) if fields else []:
            label, _, more = fields[name].label.partition(": ")
            assert amxd.FORM[name][0] == label and more.lower() in amxd.FORM[name][1].lower()


@pytest.mark.foreign
def test_a_field_of_more_shows_its_value_and_what_it_takes(live: Set) -> None:
    """Chosen again it stands below the menu; a list holds what may be chosen, an entry for none first."""
    key = ({"group": 2}, {"pick": "Key"}, {"option": 1}, {"option": 0}, {"option": 2})
    found = live.play(
        *LYRICS, {"group": 0}, {"pick": "Mode"}, {"wait": "conservative, balanced, aggressive"}, {"group": 1}, *key,
        {"run": "repaint"}, {"wait": "done"},
    )  # fmt: skip
    shown = [entry[3] for entry in found["log"] if entry[:3] == ["outlet 4", "value", "set"]]
    lists, current = [], []
    for entry in found["log"]:
        if entry[:2] == ["outlet 8", "clear"]:
            current = []
            lists.append(current)
        elif entry[:2] == ["outlet 8", "append"]:
            current.append(entry[2])
    assert ["conservative", "balanced", "aggressive"] in lists and [] in lists
    assert lists[-1][0] == "leave open" and "A minor" in lists[-1]
    assert shown[-3:] == [lists[-1][1], "", lists[-1][2]]
    assert [entry[2] for entry in found["log"] if entry[:2] == ["outlet 8", "set"]][-3:] == [1, 0, 2]
    assert "la la" in shown and request_of(live)["conditioning"]["key"] == lists[-1][2]
    assert request_of(live)["conditioning"]["lyrics"] == "la la"


@pytest.mark.foreign
def test_what_will_be_sent_is_shown(live: Set) -> None:
    """For the operation in the menu, and again whenever something else is selected: track, bars, seconds, tempo, what is read."""
    nothing, brace = {"song": {"loop": 0}}, {"song": {"loop": 1, "loop_start": 0, "loop_length": 16}}
    moved = READ.format("Repaint selection", "2 to 4").replace("8.0", "6.0")
    told = ({"wait_menu": [9, READ.format("Repaint selection", "6 to 9")]}, {"after_effects": 1}, nothing)
    found = live.play(
        *told, {"wait_line": "Nothing is selected"}, brace, {"wait_line": "recorded in real time"}, {"after_effects": 0},
        {"wait_line": moved}, *LYRICS, {"wait_line": "Also set: Lyrics."},
        {"run": "add-instrument"}, {"wait_line": "Add an instrument to the mix: "},
    )  # fmt: skip
    (line,) = [text for kind, *text in found["log"] if kind == "outlet 9" and "Add an instrument" in text[-1]]
    assert "Sends the mix without the selected track, recorded in real time." in line[-1]


@pytest.mark.foreign
def test_an_operation_of_an_action_runs_as_that_action(live: Set) -> None:
    """*Run the operation* with one of the actions' own in the menu: a take, as with its button."""
    found = live.play(
        {"wait_menu": [7, "Lyrics"]}, {"choose": "Repaint selection"}, {"run": "operation"}, {"wait": "done"}
    )
    assert len(lanes(found)) == 1


@pytest.mark.foreign
def test_restore_brings_back_what_was_set_in_the_menu(live: Set) -> None:
    """Values of a take without a row in the form are sent again with the next repaint."""
    other = ({"value": ["other"]}, {"run": "restore"}, {"wait": "settings are in the form"})
    live.play(
        *LYRICS, {"run": "repaint"}, {"wait_clips": 2}, {"show": 0}, *other, {"run": "repaint"}, {"wait_clips": 3}
    )
    requests = [
        json.loads(path.read_text("utf-8"))["request"]["request"] for path in live.folder.rglob("*.recipe.json")
    ]
    assert [request["conditioning"]["lyrics"] for request in requests] == ["la la"] * 2


@pytest.mark.foreign
@pytest.mark.parametrize("is_saved", [True, False])
def test_the_last_settings_are_those_that_were_sent(live: Set, is_saved: bool) -> None:
    """What is typed in the form meanwhile does not count, and a new seed is drawn."""
    if is_saved:
        saved(live)
    typed = ({"param": ["caption", "cold"]}, {"param": ["variants", 2]}, {"run": "repaint-again"})
    live.play(
        {"param": ["caption", "warm"]},
        {"param": ["seed", 7]},
        {"run": "repaint"},
        {"wait_clips": 2},
        *typed,
        {"wait_clips": 3},
    )
    requests = [
        json.loads(path.read_text("utf-8"))["request"]["request"] for path in sorted(live.folder.rglob("*.recipe.json"))
    ]
    assert [request["conditioning"]["caption"] for request in requests] == ["warm"] * 2
    assert [request["stages"][0]["seeds"] == [7] for request in requests] == [True, False]


@pytest.mark.foreign
def test_a_running_job_of_the_list_can_be_cancelled(live: Set) -> None:
    """Two jobs: choosing the first one cancels it, the second one is placed; then neither stands in the list as running."""
    long = ({"param": ["caption", "fake: steps=200 delay=0.1"]}, {"run": "repaint"}, {"wait": "%"})
    second = ({"param": ["caption", "warm"]}, {"run": "cover"}, {"wait": "Cover selection: sent"})
    found = live.play(*long, *second, {"insert": 0}, {"wait": "done"})
    (clip,) = lanes(found)
    assert said(found, "Repaint selection: cancelled") == 1 and entries(found) == [clip["name"]]
    listed = [entry[2] for entry in found["log"] if entry[:2] == ["outlet 5", "append"]]
    assert re.fullmatch(r"cancel: Repaint selection, \d\d:\d\d", listed[0])


@pytest.mark.foreign
def test_new_parts_have_the_rate_at_which_live_runs(live: Set) -> None:
    """Max tells it; the length is that of the selection."""
    found = live.play({"rate": 44_100}, {"run": "generate"}, {"wait": "done"})
    info = soundfile.info(found["tracks"][1]["arrangement_clips"][0]["file_path"])
    assert (info.samplerate, info.frames) == (44_100, 8 * 44_100)


@pytest.mark.foreign
def test_a_session_clip_is_painted_into_the_next_free_slot(live: Set) -> None:
    """The clip in the detail view lies in a slot: the result has its length and lies in the first empty slot below."""
    live.song["loop"] = 0
    live.tracks[0]["slot"] = {**live.clip, "is_arrangement_clip": 0, "looping": 1, "loop_start": 4, "loop_end": 20}
    found = live.play({"run": "repaint"}, {"wait": "done"}, detail_slot=True)
    new = found["tracks"][0]["clip_slots"][1]["clip"]
    assert soundfile.info(new["file_path"]).frames == 8 * RATE and found["tracks"][0]["take_lanes"] == []


@pytest.mark.foreign
@pytest.mark.parametrize("warping", [1, 0])
def test_a_session_clip_begins_with_bar_1(live: Set, warping: int) -> None:
    """Warped, its loop begins a bar; of an unwarped one that is not known, and a guide begins with it all the same."""
    live.song["loop"] = 0
    marks = {"loop_start": 4, "loop_end": 20} if warping else {"loop_start": 2, "loop_end": 10}
    live.tracks[0]["slot"] = {**live.clip, "is_arrangement_clip": 0, "looping": 1, "warping": warping, **marks}
    live.play({"run": "repaint"}, {"wait": "done"}, detail_slot=True)
    asked = request_of(live)["conditioning"]
    point = {"sample": 2 * RATE, "bpm": 120, "metre": "4/4", "bar": 1}
    assert asked.get("tempo_map") == ([point] if warping else None)
    assert asked.get("guide_from", "song") == ("song" if warping else "region")


@pytest.mark.foreign
def test_a_session_clip_of_another_tempo_is_refused(live: Set) -> None:
    """Its file is not what sounds."""
    live.song["loop"] = 0
    slot = {**live.clip, "is_arrangement_clip": 0, "looping": 1, "loop_start": 4, "loop_end": 20, "clip_tempo": 100}
    live.tracks[0]["slot"] = slot
    live.play({"run": "repaint"}, {"wait": "warped to another tempo"}, detail_slot=True)


@pytest.mark.foreign
def test_a_session_clip_of_another_track_is_not_taken(live: Set) -> None:
    """It is still in the detail view while another track is selected: nothing is selected there."""
    live.song["loop"] = 0
    live.tracks[0]["slot"] = {**live.clip, "is_arrangement_clip": 0, "looping": 1, "loop_start": 4, "loop_end": 20}
    live.tracks.append({"name": "Bass", "clips": []})
    found = live.play({"run": "repaint"}, {"wait": "Nothing is selected"}, detail_slot=True, selected=1)
    assert said(found, ": sent") == 0


@pytest.mark.foreign
def test_a_session_clip_is_not_sent_after_effects(live: Set) -> None:
    """The switch is on: told, and nothing is sent; switched off, its file is."""
    live.song["loop"] = 0
    live.tracks[0]["slot"] = {**live.clip, "is_arrangement_clip": 0, "looping": 1, "loop_start": 4, "loop_end": 20}
    refused = ({"after_effects": 1}, {"run": "repaint"}, {"wait": "can only be sent before effects"})
    found = live.play(*refused, {"after_effects": 0}, {"run": "repaint"}, {"wait": "done"}, detail_slot=True)
    assert said(found, ": sent") == 1 and found["recorded"] == []


@pytest.mark.foreign
def test_a_result_of_the_list_is_placed_again(live: Set) -> None:
    """The list holds what came in this session; choosing an entry makes another clip of it."""
    found = live.play({"run": "repaint"}, {"wait_clips": 2}, {"insert": 0}, {"wait_clips": 3})
    first, second = lanes(found)
    assert first["file_path"] == second["file_path"] and first["start_time"] == second["start_time"]
    assert entries(found) == [first["name"]]


LISTENED = ({"listen_first": 1}, {"param": ["variants", 2]}, {"run": "repaint"}, {"wait": "Waiting to be placed: 2."})
"""Two variants wait to be chosen from."""


def entries(found: dict[str, Any]) -> list[str]:
    """The list of results as the device shows it."""
    shown: list[str] = []
    for entry in [entry[1:] for entry in found["log"] if entry[0] == "outlet 5"]:
        if entry[0] == "clear":
            shown.clear()
        else:
            shown.append(entry[1])
    return shown


@pytest.mark.foreign
def test_results_wait_until_one_is_chosen(live: Set) -> None:
    """*Listen first*: nothing is placed, also after the set was opened again; the chosen variant is, and then no other waits."""
    live.song["file_path"] = str(live.folder / "Project" / "Song.als")
    found = live.play(*LISTENED)
    first, second = entries(found)
    assert lanes(found) == [] and first.startswith("waiting: repaint 1") and second.startswith("waiting: repaint 2")
    found = live.play({"wait": "Waiting to be placed: 2."}, {"insert": 1}, {"wait": "Waiting to be placed: 0."})
    (clip,) = lanes(found)
    assert [f"waiting: {name}" for name in entries(found)] == [first, second]
    assert f"waiting: {clip['name']}" == second and clip["start_time"] == pytest.approx(20, abs=0.2)
    assert entries(live.play()) == []


@pytest.mark.foreign
def test_the_others_can_still_be_placed_from_the_list(live: Set) -> None:
    """They wait no longer, but choosing them places them too."""
    found = live.play(*LISTENED, {"insert": 1}, {"insert": 0}, {"wait_clips": 3})
    assert [clip["name"] for clip in lanes(found)] == entries(found)[::-1]


@pytest.mark.foreign
def test_only_the_results_of_one_job_wait_no_longer(live: Set) -> None:
    """A choice among the second job's results leaves the first job's waiting."""
    second = ({"run": "repaint"}, {"wait": "Waiting to be placed: 4."})
    found = live.play(*LISTENED, *second, {"insert": 3}, {"wait_clips": 2})
    assert [name.startswith("waiting: ") for name in entries(found)] == [True, True, False, False]


@pytest.mark.foreign
def test_what_waits_can_be_dropped(live: Set) -> None:
    """Nothing is placed, nothing waits, also after the set was opened again."""
    live.song["file_path"] = str(live.folder / "Project" / "Song.als")
    found = live.play(*LISTENED, {"drop": []}, {"wait": "Waiting to be placed: 0."})
    assert lanes(found) == [] and not any(name.startswith("waiting") for name in entries(found))
    assert entries(live.play()) == []


@pytest.mark.foreign
def test_a_job_that_ends_while_the_set_is_closed_waits_too(live: Set) -> None:
    """The choice to listen first is kept with the job."""
    live.song["file_path"] = str(live.folder / "Project" / "Song.als")
    live.play({"listen_first": 1}, {"param": ["caption", "fake: steps=5 delay=0.2"]}, {"run": "repaint"}, {"wait": "%"})
    found = live.play({"wait": "Waiting to be placed: 1."})
    assert lanes(found) == [] and len(entries(found)) == 1


@pytest.mark.foreign
def test_a_reroll_waits_as_the_switch_says_now(live: Set) -> None:
    """The first results were placed without the switch; it is on when they are made again, and the new ones wait."""
    found = live.play(*REPAINTED, {"listen_first": 1}, {"run": "vary"}, {"wait": "Waiting to be placed: 2."})
    assert len(lanes(found)) == 2 and len(entries(found)) == 4


@pytest.mark.foreign
def test_listen_opens_the_page_of_the_daemon(live: Set, running: DaemonProcess) -> None:
    """The address for the browser leads to the real page, on which the waiting results are listed."""
    found = live.play(*LISTENED, {"listen": []}, {"wait_page": 1})
    ((_, address),) = [entry for entry in found["log"] if entry[0] == "outlet 6"]
    page = httpx.get(address, follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html") and page.url.fragment == "library"
    with Client(str(running.paths.home)) as client:
        assert len(client.call("history.list", {})["rows"][0]["files"]) == 2


@pytest.mark.foreign
@pytest.mark.parametrize(("host", "shown"), [("0.0.0.0", "127.0.0.1"), ("::", "127.0.0.1"), ("::1", "[::1]")])
def test_the_page_is_found_wherever_the_daemon_listens(
    live: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, shown: str
) -> None:
    """Loopback for a door that listens everywhere, brackets around IPv6."""
    file = tmp_path / "elsewhere" / "runtime" / "connection.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"http": {"host": host, "port": 9}}))
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(tmp_path / "elsewhere"))
    found = live.play({"listen": []}, {"wait_page": 1})
    assert ["outlet 6", f"http://{shown}:9/audition"] in found["log"]


@pytest.mark.foreign
def test_without_the_page_results_wait_all_the_same(live: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's HTTP door is off: *Listen...* says so in a sentence, and a variant can be placed."""
    home = tmp_path / "no page"
    monkeypatch.setenv("ACESTEP_BRIDGE_HOME", str(home))
    live.play({"listen": []}, {"wait": "acestep-bridge serve"})
    with start_daemon({**FREE_PORTS, "home": home, "backend": "fake", "read_roots": [tmp_path], "http": False}):
        found = live.play(*LISTENED, {"listen": []}, {"wait": "set http = true"}, {"insert": 0}, {"wait_clips": 2})
    assert [clip["name"] for clip in lanes(found)] == entries(found)[:1]


@pytest.mark.foreign
def test_extend_reaches_past_the_clip(live: Set) -> None:
    """The selection begins in the clip and ends four seconds behind it: the patch is as long as the selection."""
    live.song.update(loop_start=60, loop_length=16)
    found = live.play({"run": "extend"}, {"wait": "done"})
    (clip,) = lanes(found)
    handle = (60 - clip["start_time"]) / 2
    assert 0 <= handle < 0.1
    assert soundfile.info(clip["file_path"]).frames >= round((8 + handle) * RATE)


@pytest.mark.foreign
@pytest.mark.parametrize(("action", "track"), [("cover", "Loop"), ("complete", "complete")])
def test_cover_and_complete(live: Set, action: str, track: str) -> None:
    """Cover: a take over the old audio; complete: a new track at the selection."""
    found = live.play({"run": action}, {"wait": "done"})
    (owner,) = [owner for owner in found["tracks"] if owner["name"] == track]
    clips = lanes(found) if track == "Loop" else owner["arrangement_clips"]
    assert len(clips) == 1 and clips[0]["start_time"] == pytest.approx(20, abs=0.2)


@pytest.mark.foreign
def test_the_jobs_are_shown(live: Set) -> None:
    """Without jobs a sentence; with one its state."""
    live.play(
        {"run": "queue"},
        {"wait": "No job is waiting"},
        {"param": ["caption", "fake: steps=200 delay=0.1"]},
        {"run": "repaint"},
        {"wait": "%"},
        {"run": "queue"},
        {"wait": "repaint: running"},
        {"run": "cancel"},
        {"wait": "cancel"},
    )


AT_REST = {"loop": 1, "loop_start": 20, "loop_length": 16, "current_song_time": 3, "is_playing": 0, "record_mode": 0}
AT_REST |= {"selected": "Loop"}
"""What a recording finds and leaves."""


@pytest.fixture
def at_rest(live: Set) -> Set:
    """A set at beat 3 with an armed loop and a second track, and the nine seconds that a recording of it yields."""
    live.song["current_song_time"] = 3
    live.tracks[0]["arm"] = 1
    live.tracks.append({"name": "Bass", "clips": []})
    sound(live.folder / "heard.wav", 9.0)
    return live


def heard(live: Set, beats: float = 18, name: str = "heard.wav") -> dict[str, Any]:
    """Live runs on for some beats while a track records."""
    return {"play": {"beats": beats, "file": str(live.folder / name)}}


def as_before(found: dict[str, Any]) -> bool:
    """Whether nothing of a recording is left in the set."""
    loop, bass = found["tracks"]
    arms, mutes = (loop["arm"], bass["arm"]), (loop["mute"], bass["mute"])
    return found["song"] == AT_REST and arms == (1, 0) and mutes == (0, 0)


def request_of(live: Set) -> dict[str, Any]:
    """What the daemon was asked for, as the set remembers it."""
    (memory,) = live.folder.rglob("*.recipe.json")
    request: dict[str, Any] = json.loads(memory.read_text("utf-8"))["request"]["request"]
    return request


GUITAR = ({"param": ["track", "guitar"]}, {"run": "add-instrument"})


@pytest.mark.foreign
def test_a_new_instrument_hears_a_recording_of_the_others(at_rest: Set) -> None:
    """Lego: what is heard without the selected track is recorded in real time; then everything is as before, plus one new track."""
    found = at_rest.play(*GUITAR, heard(at_rest), {"wait": "done"})
    assert found["recorded"] == [["Resampling", ["Loop"]]]
    assert any("recording in real time" in entry[1] for entry in found["log"] if entry[0] == "status")
    guitar = found["tracks"].pop()
    assert guitar["name"] == "guitar" and guitar["arrangement_clips"][0]["start_time"] == 20
    assert request_of(at_rest)["source"]["path"] == str(at_rest.folder / "heard.wav")
    assert as_before({**found, "song": {**found["song"], "selected": "Loop"}})


@pytest.mark.foreign
def test_on_the_main_track_everything_is_heard(at_rest: Set) -> None:
    """It cannot be muted, so nothing is."""
    found = at_rest.play(*GUITAR, heard(at_rest), {"wait": "done"}, select_master=True)
    assert found["recorded"] == [["Resampling", []]] and found["tracks"][2]["name"] == "guitar"


@pytest.mark.foreign
def test_the_sound_after_effects_is_recorded_on_request(at_rest: Set) -> None:
    """The toggle is on: the track's own output is recorded, that file is repainted, and the patch is a take as ever."""
    found = at_rest.play({"after_effects": 1}, {"run": "repaint"}, heard(at_rest), {"wait": "done"})
    assert found["recorded"] == [["Loop Post FX", []]] and as_before(found)
    source = request_of(at_rest)["source"]
    assert (source["path"], source["start"], source["length"]) == (str(at_rest.folder / "heard.wav"), 0, 8 * RATE)
    (clip,) = lanes(found)
    assert clip["start_time"] == pytest.approx(20, abs=0.2)


@pytest.mark.foreign
def test_without_the_toggle_the_file_is_sent(at_rest: Set) -> None:
    """Switched on and off again: before effects, nothing is recorded."""
    found = at_rest.play({"after_effects": 1}, {"after_effects": 0}, {"run": "repaint"}, {"wait": "done"})
    assert found["recorded"] == [] and request_of(at_rest)["source"]["path"] == str(at_rest.loop)


@pytest.mark.foreign
@pytest.mark.parametrize(
    "end",
    [
        pytest.param({"song": {"is_playing": 0}}, id="stopped"),
        pytest.param({"song": {"record_mode": 0}}, id="record switched off"),
        pytest.param({"run": "cancel"}, id="cancelled"),
        pytest.param({"remove": "ACE-Step records"}, id="track deleted"),
    ],
)
def test_a_recording_that_ends_early_sends_nothing(at_rest: Set, end: dict[str, Any]) -> None:
    """Whoever ends it: one sentence, everything is as before."""
    found = at_rest.play(*GUITAR, heard(at_rest, 6), end, {"wait": "stopped before the end"})
    assert as_before(found) and not list(at_rest.folder.rglob("*.recipe.json"))


@pytest.mark.foreign
def test_a_recording_without_a_file_is_given_up(at_rest: Set) -> None:
    """Live never writes the file: told after a while, everything is as before."""
    found = at_rest.play(*GUITAR, heard(at_rest, name="never.wav"), {"wait": "stopped before the end"})
    assert as_before(found)


@pytest.mark.foreign
def test_removing_the_device_in_the_middle_leaves_nothing(at_rest: Set) -> None:
    """Max frees the script while it records."""
    assert as_before(at_rest.play(*GUITAR, heard(at_rest, 6), {"remove": "device"}))


@pytest.mark.foreign
def test_nothing_is_recorded_while_live_plays(at_rest: Set) -> None:
    """Live runs already, or a recording of ours: told to stop it first."""
    at_rest.song["is_playing"] = 1
    found = at_rest.play(*GUITAR, {"wait": "Stop Live first"})
    assert found["recorded"] == [] and len(found["tracks"]) == 2
    at_rest.song["is_playing"] = 0
    found = at_rest.play(*GUITAR, heard(at_rest, 6), *GUITAR, {"wait": "Stop Live first"}, {"run": "cancel"})
    assert as_before(found) and len(found["recorded"]) == 1


@pytest.mark.foreign
@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        pytest.param({"most_tracks": 2}, "Live cannot add one", id="no track"),
        pytest.param({"inputs": ["Ext. In"]}, "no track input for the mix", id="no resampling"),
        pytest.param({"inputs": ["Resampling"] * 2}, "Two inputs in Live", id="two of one name"),
    ],
)
def test_a_live_that_cannot_record_it(at_rest: Set, more: dict[str, Any], sentence: str) -> None:
    """No track can be made, or its input not found: one sentence, everything is as before."""
    found = at_rest.play(*GUITAR, {"wait": sentence}, **more)
    assert as_before(found) and found["recorded"] == []


@pytest.mark.foreign
def test_what_is_wrong_is_told_before_anything_is_recorded(at_rest: Set) -> None:
    """No track picked, a bad value: told at once, not after the pass."""
    found = at_rest.play(
        {"run": "add-instrument"},
        {"wait": "No track is chosen"},
        {"param": ["variants", "nine"]},
        *GUITAR,
        {"wait": "Variants: enter a number."},
    )
    assert as_before(found) and found["recorded"] == []


@pytest.mark.foreign
def test_a_set_closed_after_the_recording_gets_its_instrument_when_it_is_open_again(at_rest: Set) -> None:
    """The pass is over, the job runs, Live is closed: the device of the next start makes the track, from the recorded file."""
    at_rest.song["file_path"] = str(at_rest.folder / "Project" / "Song.als")
    slow = {"param": ["caption", "fake: steps=5 delay=0.2"]}
    at_rest.play(slow, *GUITAR, heard(at_rest), {"wait": "%"})
    found = at_rest.play({"wait": "done"})
    assert [track["name"] for track in found["tracks"]] == ["Loop", "Bass", "guitar"]
    assert found["tracks"][2]["arrangement_clips"][0]["start_time"] == 20
    assert request_of(at_rest)["source"]["path"] == str(at_rest.folder / "heard.wav")


@pytest.mark.foreign
@pytest.mark.parametrize(("level", "word"), [(0, "Update acestep-bridge"), (2, "install-scripts ableton")])
def test_a_daemon_of_another_protocol(live: Set, level: int, word: str) -> None:
    """An older or newer daemon: told which side to update, nothing sent. (The script's own level is changed instead.)"""
    rewrite(live, "const PROTOCOL = 1;", f"const PROTOCOL = {2 - level};")
    media = saved(live)
    live.play({"run": "repaint"}, {"wait": word})
    assert not media.exists()


def test_the_live_half_is_one_file(device: Path) -> None:
    """What runs in Max's v8 asks for no other file."""
    text = (device / "acestep_live.js").read_text("utf-8")
    assert "require(" not in text
    assert not [name for name in ("selection.js", "clips.js", "recording.js") if (device / name).exists()]


def test_the_patch_is_sound_to_a_checker_that_knows_max() -> None:
    """py2max knows the objects of Max with their inlets and outlets: it finds no error, and misses only what is not in its list."""
    patcher = py2max.Patcher.from_dict(amxd.patcher(ACTIONS)["patcher"])
    findings = lint(patcher)
    assert not has_errors(findings)
    assert {finding.message.split("'")[1] for finding in findings} <= {"node.script"}


def test_nothing_on_the_face_of_the_device_overlaps() -> None:
    """Every field and button has its own place, inside the width and height that Live shows."""
    boxes = [box["box"] for box in amxd.patcher(ACTIONS)["patcher"]["boxes"] if box["box"].get("presentation")]
    places = [box["presentation_rect"] for box in boxes]
    for x, y, width, height in places:
        assert x >= 0 and x + width <= amxd.WIDTH and y >= 0 and y + height <= amxd.HEIGHT
    for index, one in enumerate(places):
        for two in places[index + 1 :]:
            apart = one[0] + one[2] <= two[0] or two[0] + two[2] <= one[0]
            assert apart or one[1] + one[3] <= two[1] or two[1] + two[3] <= one[1], (one, two)


def test_node_is_named_in_the_package_list() -> None:
    """The tests above may skip, so the program they need must be known to CI."""
    assert "nodejs" in (Path(__file__).parents[1] / "foreign-packages.txt").read_text("utf-8")
    assert shutil.which("node") is None or STAND_IN.exists()
