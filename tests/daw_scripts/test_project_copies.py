"""The copy of a result that a project keeps says by itself where it belongs and how it was made, wherever it is moved to."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bridge.launch import DaemonProcess

from . import test_ableton_surface, test_max_device
from .conftest import RATE, Desk, finish, loop_item

stage, device, live = test_ableton_surface.stage, test_max_device.device, test_max_device.live

TIME_REFERENCE = 338
"""Where in a `bext` chunk the position stands (EBU Tech 3285)."""


def chunks(path: Path) -> dict[bytes, bytes]:
    """The chunks of a WAV by name."""
    data = path.read_bytes()
    assert data[:4] == b"RIFF" and data[8:12] == b"WAVE"
    found, place = {}, 12
    while place < len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        found[name] = data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2
    return found


def position(path: Path) -> int:
    """Where a WAV says that it begins, in samples of what it was made from."""
    (samples,) = struct.unpack_from("<Q", chunks(path)[b"bext"], TIME_REFERENCE)
    return int(samples)


def recipe(path: Path) -> dict[str, Any]:
    """The recipe in a WAV's iXML."""
    text = ElementTree.fromstring(chunks(path)[b"iXML"]).findtext("USER")
    assert text
    found: dict[str, Any] = json.loads(text)
    return found


def test_reaper(desk: Desk, running: DaemonProcess) -> None:
    """The new take's file in the media folder begins where the item begins in its own file; the take remembers the same recipe."""
    item = loop_item(desk, offset=0.5)
    desk.reaper.inputs = [lambda defaults: "warm|1|5"]
    desk.run("Repaint selection")
    finish(desk, 2, item)
    take = item.takes[1]
    copy = Path(take.source.path)
    assert copy.parent == desk.project.media
    assert position(copy) == RATE // 2
    made = recipe(copy)
    assert made == json.loads(take.strings["P_EXT:acestep"])["request"]
    assert (made["request"]["conditioning"]["caption"], made["request"]["stages"][0]["seed"]) == ("warm", 5)


def check_live(copy: Path, clip_start: float) -> None:
    """A patch of beats 20 to 36 at 120 bpm, from a file that begins at ``clip_start`` seconds, with its recipe beside it."""
    handle = (soundfile.info(copy).frames - 8 * RATE) // 2
    assert position(copy) == round((10.0 - clip_start) * RATE) - handle
    (sidecar,) = copy.parent.glob("*.recipe.json")
    made = recipe(copy)
    assert made == json.loads(sidecar.read_text("utf-8"))["request"]
    assert made["request"]["conditioning"]["caption"] == "warm"


def test_live_control_surface(stage: test_ableton_surface.Stage, running: DaemonProcess) -> None:
    """The clip's file in the project's folder: its place in the old clip's file, and the recipe in it and beside it."""
    stage.loop()
    stage.run("repaint", caption="warm")
    stage.said("done")
    (clip,) = stage.track.take_lanes[0].arrangement_clips
    check_live(Path(clip.file_path), stage.clip.start_time / 2)


@pytest.mark.foreign
def test_live_device(live: test_max_device.Set) -> None:
    """The same, placed by the device."""
    found = live.play({"param": ["caption", "warm"]}, {"run": "repaint"}, {"wait_clips": 2})
    (clip,) = test_max_device.lanes(found)
    check_live(Path(clip["file_path"]), live.clip["start_time"] / 2)
