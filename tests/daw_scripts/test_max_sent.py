"""What is sent to the Max device from the studio page, and the set as a dataset. Max and Live are stand-ins, the daemon is real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bridge.client import Client
from bridge.launch import DaemonProcess

from .conftest import RATE, sound
from .test_max_device import BLOCKED, SETTLED, Set, device, live, said, saved
from .test_sent import CAPTION, client, make

__all__ = ["client", "device", "live"]  # the fixtures

pytestmark = pytest.mark.foreign

SENT = f"Sent: {CAPTION}: done."


def parts(found: dict[str, Any]) -> list[tuple[str, float]]:
    """Track and beat of what lies behind the first track."""
    return sorted(
        (track["name"], clip["start_time"]) for track in found["tracks"][1:] for clip in track["arrangement_clips"]
    )


def send(client: Client, **more: Any) -> dict[str, Any]:
    """A finished job, sent to Live."""
    made = make(client, **more)
    client.call("handover.send", {"job": made["id"], "host": "ableton"})
    return made


def test_what_was_sent_lands_at_the_play_position(live: Set, client: Client) -> None:
    """Both takes, on tracks of their own, copied beside the set and remembered, so that *Re-roll* works; nothing waits any more."""
    media = saved(live)
    live.song["current_song_time"] = 8
    made = send(client, variants=2)
    found = live.play({"wait": SENT}, {"wait_clips": 3}, SETTLED)
    assert parts(found) == [("generate", 8), ("generate", 8)]
    assert client.call("handover.list") == []
    copies = [Path(track["arrangement_clips"][0]["file_path"]) for track in found["tracks"][1:]]
    assert {path.parent for path in copies} == {media}
    assert {path.read_bytes() for path in copies} == {
        Path(file["path"]).read_bytes() for file in made["result"]["files"]
    }
    (memory,) = [json.loads(path.read_text("utf-8")) for path in media.glob("*.recipe.json")]
    assert (memory["operation"], memory["request"]["request"]["stages"][0]["seed"]) == ("generate", 3)


def test_it_waits_while_the_folder_takes_no_files(live: Set, client: Client) -> None:
    """The device says so once, and places it as soon as it can."""
    media = saved(live)
    send(client)
    told = ({"wait": f"{BLOCKED}{media}"}, {"wait_refused": 2})
    found = live.play({"read_only": str(media)}, *told, {"read_only": ""}, {"wait": SENT}, SETTLED)
    assert said(found, BLOCKED) == 1 and parts(found) == [("generate", 0)]


def test_a_file_that_vanished_on_the_way_is_told(live: Set, client: Client) -> None:
    """The user reads which; what was sent after it is placed."""
    gone = send(client)["result"]["files"][0]["path"]
    Path(gone).unlink()
    send(client)
    found = live.play({"wait": SENT}, SETTLED)
    assert said(found, gone) == 1 and len(parts(found)) == 1


def test_of_two_devices_one_places_it(live: Set, client: Client, running: DaemonProcess) -> None:
    """Whichever renames the file first."""
    saved(live)
    send(client)
    gone = {"wait_gone": str(running.paths.home / "spool" / "handover-ableton.json")}
    found = live.play_each((gone, SETTLED), (gone, SETTLED))
    assert sorted(len(parts(one)) for one in found) == [0, 1]


@pytest.fixture
def pieces(running: DaemonProcess, live: Set) -> Any:
    """What the daemon keeps as the set's dataset: file, first sample and length of every piece."""
    live.song["file_path"] = str(live.folder / "Project" / "Max Söng.als")
    live.clip["sample_length"] = 34 * RATE
    folder = running.paths.home / "datasets" / "Max Söng"
    shutil.rmtree(folder, ignore_errors=True)

    def read() -> list[tuple[str, int, int]]:
        samples = json.loads((folder / "dataset.json").read_text("utf-8"))["samples"]
        assert {sample["acestep_bridge"]["song"] for sample in samples} == {"Max Söng"}
        windows = [sample["acestep_bridge"].get("window", {}) for sample in samples]
        return sorted((Path(sample["audio_path"]).name, window.get("start", 0), window.get("length", 0))
                for sample, window in zip(samples, windows, strict=True))  # fmt: skip

    return read


def test_a_whole_set_is_learned_from(live: Set, pieces: Any) -> None:
    """Arrangement and slots, each piece once, no notes; a clip in another tempo as its file was recorded, and that is told."""
    live.song["loop"] = 0
    fast = {
        **live.clip,
        "file_path": str(sound(live.folder / "fast.wav", 6.0)),
        "clip_tempo": 140,
        "sample_length": 6 * RATE,
    }
    fast |= {"end_marker": 14, "end_time": 18}
    beat = {**live.clip, "file_path": str(sound(live.folder / "beat.wav", 4.0)), "sample_length": 4 * RATE}
    beat |= {"is_arrangement_clip": 0, "end_marker": 8}
    again, notes = {**live.clip, "start_time": 100, "end_time": 164}, {**live.clip, "is_audio_clip": 0}
    live.tracks[0]["clips"].append(again)
    live.tracks.append({"name": "drums", "clips": [fast, notes], "slot": beat})
    found = live.play({"run": "dataset"}, {"wait": "Max Söng has 3 pieces, 42 s in all"})
    assert pieces() == [("beat.wav", 0, 4 * RATE), ("fast.wav", 0, 6 * RATE), ("loop.wav", 0, 32 * RATE)]
    assert said(found, "Dataset Max Söng: 3 pieces are being read") == 1
    assert said(found, "Clips that are warped or loop: 1.") == 1 and said(found, 'train --dataset "Max Söng"') == 1
    assert list((Path(live.song["file_path"]).parent / "Samples" / "acestep-bridge" / "pending-device").glob("*")) == []


def test_the_loop_brace_chooses(live: Set, pieces: Any) -> None:
    """What of each clip lies inside, to the sample."""
    live.play({"run": "dataset"}, {"wait": "Max Söng has 1 pieces, 8 s in all"})
    assert pieces() == [("loop.wav", 8 * RATE, 8 * RATE)]


def test_what_makes_no_dataset_is_said(live: Set, pieces: Any) -> None:
    """No audio, a missing file, a set without a file."""
    live.tracks[0]["clips"] = []
    live.play({"run": "dataset"}, {"wait": "There is no audio to learn from"})
    live.tracks[0]["clips"] = [{**live.clip, "file_path": str(live.folder / "gone.wav")}]
    live.play({"run": "dataset"}, {"wait": f"offline or missing: {live.folder / 'gone.wav'}"})
    live.song["file_path"] = ""
    live.play({"run": "dataset"}, {"wait": "Save the project first"})
