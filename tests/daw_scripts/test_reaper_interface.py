"""The scripts and the stand-in against an independent list of REAPER's functions."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bridge.launch import DaemonProcess

from .conftest import Desk, finish, loop_item
from .fake_reaper import INTERFACE, SIGNATURES
from .lua_host import SCRIPTS

LISTED = json.loads((Path(__file__).parent / "interfaces" / "reaper.json").read_text("utf-8"))
KINDS = {
    "proj": {"ReaProject|nil|0"},
    "item": {"MediaItem"},
    "take": {"MediaItem_Take"},
    "track": {"MediaTrack"},
    "source": {"PCM_source"},
    "str": {"string"},
    "bool": {"boolean"},
    "num": {"number"},
    "int": {"integer"},
    "function": {"function"},
}
OF_EXTENSIONS = {"ImGui_GetBuiltinPath"}
CONSTANTS = {"Key_Enter"}
"""Numbers of ReaImGui, which the list of functions does not hold."""


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
    windows = set(re.findall(r"imgui\.([A-Z][A-Za-z_0-9]+)", source())) - CONSTANTS
    assert windows <= set(LISTED["imgui"])


def test_a_function_exists_by_its_whole_name_only(desk: Desk) -> None:
    """`APIExists` knows no substrings."""
    assert desk.reaper.APIExists("CountTracks") is True and desk.reaper.APIExists("CountTrack") is False


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
