"""The clips of a Live set become a dataset, against a stand-in for Live and the real daemon."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from bridge.launch import DaemonProcess

from .conftest import RATE, sound
from .fake_live import Clip, Track
from .test_ableton_surface import Stage, stage

__all__ = ["stage"]  # the fixture


@pytest.fixture
def saved(running: DaemonProcess) -> Any:
    """What the daemon keeps as the set's dataset: file, first sample and length of every piece."""
    folder = running.paths.home / "datasets" / "Söng"
    shutil.rmtree(folder, ignore_errors=True)

    def read() -> list[tuple[str, int, int]]:
        samples = json.loads((folder / "dataset.json").read_text("utf-8"))["samples"]
        assert {sample["acestep_bridge"]["song"] for sample in samples} == {"Söng"}
        windows = [sample["acestep_bridge"].get("window", {}) for sample in samples]
        return [(Path(sample["audio_path"]).name, window.get("start", 0), window.get("length", 0))
                for sample, window in zip(samples, windows, strict=True)]  # fmt: skip

    return read


def session_clip(stage: Stage, path: Path, track: Track) -> Clip:
    clip = Clip(path, 0.0, stage.song.tempo)
    clip.is_arrangement_clip = False
    track.clip_slots[0].clip = clip
    return clip


def test_a_whole_set_is_learned_from(stage: Stage, running: DaemonProcess, saved: Any, tmp_path: Path) -> None:
    """Arrangement and slots, each piece once; of a clip in another tempo its file as it was recorded, and that is told."""
    again = Clip(tmp_path / "loop.wav", 100.0, stage.song.tempo)
    stage.track.arrangement_clips.append(again)
    other = stage.song.create_audio_track(1)
    other.name = "drums"
    session_clip(stage, sound(tmp_path / "beat.wav", 4.0), other)
    fast = Clip(sound(tmp_path / "fast.wav", 6.0), 0.0, stage.song.tempo, 140.0)
    other.arrangement_clips.append(fast)
    notes = Clip(tmp_path / "loop.wav", 200.0, stage.song.tempo)
    notes.is_audio_clip = False
    other.arrangement_clips.append(notes)
    stage.run("dataset")
    stage.said("Söng: 3 pieces are being read")
    stage.said("Clips that are warped or loop: 1.")
    stage.said("Söng has 3 pieces, 42 s in all")
    assert any('train --dataset "Söng"' in message for message in stage.live.messages)
    assert sorted(name for name, _, _ in saved()) == ["beat.wav", "fast.wav", "loop.wav"]
    assert list((running.paths.home / "spool" / "status").glob("live-*")) == []


def test_the_loop_brace_chooses(stage: Stage, running: DaemonProcess, saved: Any, tmp_path: Path) -> None:
    """What of each clip lies inside, to the sample."""
    stage.track.arrangement_clips.append(Clip(sound(tmp_path / "late.wav", 4.0), 100.0, stage.song.tempo))
    stage.loop(20.0, 36.0)
    stage.run("dataset")
    stage.said("Söng has 1 pieces, 8 s in all")
    assert saved() == [("loop.wav", 8 * RATE, 8 * RATE)]


def test_a_set_without_audio_makes_none(stage: Stage, running: DaemonProcess) -> None:
    stage.track.arrangement_clips.clear()
    stage.run("dataset")
    stage.said("There is no audio to learn from")


def test_a_missing_file_is_named(stage: Stage, running: DaemonProcess) -> None:
    Path(stage.clip.file_path).unlink()
    stage.run("dataset")
    stage.said("offline or missing: ")


def test_an_unsaved_set_and_no_daemon_are_said(stage: Stage, running: DaemonProcess, tmp_path: Path) -> None:
    stage.song.file_path = ""
    stage.run("dataset")
    stage.said("Save the project first")
    stage.surface.link.home = str(tmp_path)
    stage.run("dataset")
    stage.said("daemon is not running")
