"""The scripts and the stand-in against an independent list of REAPER's functions."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bridge.launch import DaemonProcess

from .conftest import Desk, done, finish, loop_item
from .fake_reaper import INTERFACE, NEWEST, OLDEST, SIGNATURES, since
from .lua_host import SCRIPTS

LISTED = json.loads((Path(__file__).parent / "interfaces" / "reaper.json").read_text("utf-8"))
KINDS = {
    "proj": {"ReaProject|nil|0"},
    "item": {"MediaItem"},
    "take": {"MediaItem_Take"},
    "track": {"MediaTrack"},
    "source": {"PCM_source"},
    "marker": {"ProjectMarker"},
    "str": {"string"},
    "bool": {"boolean"},
    "num": {"number"},
    "int": {"integer"},
    "function": {"function"},
}
REGIONS_AS_OBJECTS = ("GetRegionOrMarkerInfo_Value", "GetRegionOrMarker", "GetNumRegionsOrMarkers")
"""They came together: whoever has the first has the others."""
OF_EXTENSIONS = {"ImGui_GetBuiltinPath"}


def source() -> str:
    """Everything that the scripts for REAPER say, without comments."""
    texts = [path.read_text("utf-8") for path in sorted((SCRIPTS / "reaper").glob("*.lua"))]
    return re.sub(r"--.*", "", "\n".join(texts))


def test_the_stand_in_takes_what_reaper_takes() -> None:
    """Every function of the fake: the parameters of REAPER's own, in number and type."""
    for line in filter(None, map(str.strip, SIGNATURES.split("\n"))):
        name, _, rest = line.partition("(")
        kinds = [kind.strip() for kind in rest.rstrip(")").split(",") if kind.strip()]
        takes = INTERFACE[name]["takes"]
        assert len(kinds) == len(takes), line
        for kind, listed in zip(kinds, takes, strict=True):
            real = "string" if listed.endswith("_Param") else listed
            assert real in KINDS[kind] or real.removesuffix("?") in KINDS[kind], f"{line}: {real}"


def test_the_scripts_call_nothing_that_reaper_lacks() -> None:
    """Every `reaper.Name` and every ReaImGui function exists, and the fake has it."""
    ours = set(re.findall(r"reaper\.([A-Za-z_0-9]+)", source())) - OF_EXTENSIONS
    assert ours <= INTERFACE.keys()
    windows = set(re.findall(r"imgui\.([A-Z][A-Za-z_0-9]+)", source()))
    assert windows <= set(LISTED["imgui"])
    keys = set(re.findall(r'"(Key_[A-Za-z_0-9]+)"', source()))
    assert keys == LISTED["imgui keys"].keys(), "numbers, which the list of functions does not hold: with their source"


def test_what_is_newer_than_promised_is_asked_for_first() -> None:
    """Every function has the oldest version that is known to have it; newer ones are called behind `APIExists` only."""
    newer = {name for name in INTERFACE if since(name) > OLDEST}
    assert newer == {"CalculateNormalization", "PCM_Source_BuildPeaks", "set_action_options", *REGIONS_AS_OBJECTS}
    for path in sorted((SCRIPTS / "reaper").glob("*.lua")):
        text = re.sub(r"--.*", "", path.read_text("utf-8"))
        for name in newer & set(re.findall(r"reaper\.([A-Za-z_0-9]+)", text)):
            first = text.index(f"reaper.{name}(")
            asked = REGIONS_AS_OBJECTS[0] if name in REGIONS_AS_OBJECTS else name
            assert 0 <= text.find(f'reaper.APIExists("{asked}")') < first, f"{path.name}: {name}"


def test_a_function_exists_by_its_whole_name_only(desk: Desk) -> None:
    """`APIExists` knows no substrings."""
    assert desk.reaper.APIExists("CountTracks") is True and desk.reaper.APIExists("CountTrack") is False


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_the_oldest_promised_version_is_enough(desk: Desk, running: DaemonProcess, version: tuple[int, int]) -> None:
    """Functions that a version lacks are not there to be called: repaint, keep and listening work without them.

    A take has no waveform then until REAPER makes it by itself.
    """
    desk.reaper.version = version
    assert (
        desk.reaper.APIExists("CalculateNormalization")
        is desk.reaper.APIExists("set_action_options")
        is (version == NEWEST)
    )
    item = loop_item(desk)
    desk.run("Repaint selection")
    finish(desk, 2, item)
    assert item.takes[1].source is not None and item.takes[1].source.has_peaks is (version == NEWEST)
    desk.run("Keep the playing take, delete the other variants")
    desk.reaper.inputs = [lambda defaults: "warm|1|7|yes"]
    desk.run("Repaint selection")
    desk.until(lambda: "ready" in desk.reaper.help_line)
    desk.run("Preview the next variant")
    assert (item.track.items[1].takes[0].values["D_VOL"] == 1.0) is (version == OLDEST)
    desk.run("Place the previewed variant, drop the others")
    assert len(item.takes) == 3 and desk.reaper.messages == []


def test_the_page_promises_the_version_that_is_tried() -> None:
    """In its title, and in every script's own header."""
    title = (Path(__file__).parents[2] / "docs" / "hosts" / "reaper.md").read_text("utf-8").splitlines()[0]
    assert title == "# REAPER {}.{} and later".format(*OLDEST)


def test_an_empty_lane_above_is_removed_meanwhile(desk: Desk, running: DaemonProcess) -> None:
    """REAPER takes away the lane that held nothing: the new variant plays in the lane where it lies by then, alone."""
    item = loop_item(desk)
    item.track.values.update(I_FREEMODE=2, I_NUMFIXEDLANES=2)
    item.values["I_FIXEDLANE"], item.track.playing_lanes = 1.0, {1}
    desk.run("Repaint selection")
    desk.until(lambda: len(item.track.items) == 2 and done(desk))
    made = item.track.items[1]
    assert (item.values["I_FIXEDLANE"], made.values["I_FIXEDLANE"]) == (0, 1)
    assert item.track.playing_lanes == {1} and item.track.strings["P_LANENAME:1"].startswith("repaint 1")


def test_scripts_from_reapack_say_what_is_missing(desk: Desk) -> None:
    """Without a settings file and without a daemon a key press is answered by a sentence that says what to install."""
    loop_item(desk)
    (desk.scripts / "lib" / "settings.json").unlink()
    desk.run("Repaint selection")
    desk.until(lambda: desk.reaper.messages)
    (told,) = desk.reaper.messages
    assert "pip install acestep-bridge" in told and "install-scripts reaper" in told and "acestep-bridge serve" in told


def test_a_new_take_has_a_waveform(desk: Desk, running: DaemonProcess) -> None:
    """REAPER draws nothing before `PCM_Source_BuildPeaks` has gone through its modes 0, 1 and 2."""
    item = loop_item(desk)
    desk.run("Repaint selection")
    finish(desk, 2, item)
    assert item.takes[1].source is not None and item.takes[1].source.has_peaks
