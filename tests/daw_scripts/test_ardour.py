"""The installed actions in the real Ardour, on a hidden screen, with the real daemon (and the fake engine: tones, no music).

One session is driven once by Ardour's own OSC; every test looks at one thing of what happened.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from bridge.hosts import install
from bridge.hosts.ardour import register, slots
from bridge.launch import FREE_PORTS, start_daemon

from . import ardour_host
from .ardour_host import Ardour

RATE = 48_000
BAR = 96_000
CLIP_AT = 48_000
"""The loop does not begin at zero, so that a wrong origin shows."""

FIRST, LAST = CLIP_AT + 4 * BAR, CLIP_AT + 8 * BAR
"""Bars 5 to 8 of the loop on the session's timeline."""

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]

LOOP = Path(__file__).parents[2] / "examples" / "loop" / "mix.flac"


PROBE = "Test: selection"

PROBE_SCRIPT = """ardour { ["type"] = "EditorAction", name = "%s" }
function factory() return function()
  local time = Editor:get_selection().time
  local out = io.open("%s.tmp", "w")
  if time:empty() then out:write("-1 -1") else out:write(time:start_sample() .. " " .. time:end_sample()) end
  out:close()
  os.rename("%s.tmp", "%s")
end end
"""


def samples(raw: bytes) -> np.ndarray:
    return np.frombuffer(raw, "<f4").reshape(-1, 2)


class Studio:
    """What was seen while the session was driven."""

    def __init__(self, folder: Path, ardour: Ardour, slot: dict[str, int], home: Path) -> None:
        self.folder = folder
        self.ardour = ardour
        self.slot = slot
        self.home = home
        self.session = ardour.session
        self.probe = folder / "selection"
        self.seen: dict[str, Any] = {}

    def run(self, title: str) -> None:
        self.ardour.run_slot(self.slot[f"ACE-Step: {title}"])

    def select(self, first: int, last: int) -> None:
        """Mark a range as a user does: playhead, range start, playhead, range end."""
        for index, (at, edge) in enumerate(((first, "start"), (last, "finish"))):
            self.ardour.locate(at)
            end = time.monotonic() + 30
            while self.selection()[index] != at:  # the window follows the engine when it has time
                assert time.monotonic() < end, f"the range is {self.selection()}"
                self.ardour.send("/access_action", f"Common/{edge}-range-from-playhead")
                time.sleep(0.3)

    def selection(self) -> list[int]:
        """The range that Ardour's editor has selected, by a script of the test's own."""
        self.probe.unlink(missing_ok=True)
        self.ardour.run_slot(self.slot[PROBE])
        self.ardour.wait_for(self.probe.exists, "the selection")
        return [int(word) for word in self.probe.read_text().split()]

    def remember(self, **actions: dict[str, Any]) -> None:
        """The last values of the forms, as an earlier run leaves them."""
        (self.session / "acestep-bridge").mkdir(exist_ok=True)
        data = {"format": "acestep-bridge/choices", "version": 1, "actions": actions}
        (self.session / "acestep-bridge" / "choices.json").write_text(json.dumps(data))

    def waiting(self) -> list[Any]:
        path = self.session / "acestep-bridge" / "pending.json"
        return json.loads(path.read_text())["jobs"] if path.exists() else []

    def settle(self, jobs: int) -> None:
        """Wait until that many recipes were stored beside the session, and nothing waits."""
        folder = self.session / "acestep-bridge"
        self.ardour.wait_for(
            lambda: len(list(folder.glob("*.recipe.json"))) >= jobs and not self.waiting(), f"result {jobs}"
        )

    def regions(self) -> list[tuple[str, str, int, int, int]]:
        self.ardour.save()
        return ardour_host.regions(self.session)

    def results(self) -> list[Path]:
        return sorted(self.home.rglob("library/**/*.wav"), key=lambda path: path.stat().st_mtime_ns)


def drive(studio: Studio) -> None:
    """The whole session, in the order a user would do it."""
    studio.run("Repaint selection")
    window = studio.ardour.dialog()
    studio.seen["nothing selected"] = not studio.waiting()
    studio.ardour.press_default(window)
    studio.remember(repaint={"variants": 2})
    studio.select(FIRST, LAST)
    studio.run("Repaint selection")
    window = studio.ardour.dialog()
    studio.ardour.screenshot(studio.folder / "form.png")
    studio.ardour.press_default(window)
    studio.settle(1)
    studio.ardour.screenshot(studio.folder / "repainted.png")
    studio.seen["repainted"] = studio.regions()
    studio.seen["audio"] = samples(ardour_host.track_audio(studio.session, "Loop", 0, CLIP_AT + 16 * BAR))
    studio.seen["patches"] = sorted(studio.results())
    studio.ardour.send("/undo")
    time.sleep(0.5)
    studio.seen["undone"] = studio.regions()
    studio.remember(extract={"track": ["drums", "bass"]}, repaint={"caption": "fake: fail_at=2"})
    studio.run("Extract stems from selection")
    studio.ardour.press_default(studio.ardour.dialog())
    studio.settle(3)
    studio.seen["extracted"] = studio.regions()
    studio.run("Repaint selection with the last settings")
    window = studio.ardour.dialog()
    studio.seen["failed"] = (studio.regions(), studio.waiting())
    studio.ardour.press_default(window)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, foreign: Callable[[str], str]) -> Iterator[Studio]:
    for program in ("ardour", "ardour7-lua", "Xvfb", "xdotool", "import"):
        foreign(program)
    folder = tmp_path_factory.mktemp("ardour")
    audio, rate = soundfile.read(LOOP, dtype="float32")
    soundfile.write(folder / "loop.wav", audio, rate, subtype="FLOAT")
    session = ardour_host.make_session(folder, "süß song", ["Loop"], 120.0)
    ardour_host.place_file(session, folder / "loop.wav", "Loop", CLIP_AT)
    config = folder / "xdg" / "ardour7"
    home = folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACESTEP_BRIDGE_HOME", str(home))
        install("ardour", config)
        probe = {"probe.lua": PROBE_SCRIPT % (PROBE, *[folder / "selection"] * 3)}
        registry = config / "ui_scripts"
        registry.write_text(register(registry.read_text("utf-8"), probe, "no hooks"), "utf-8")
        slot = slots((config / "ui_scripts").read_text("utf-8"))
        settings = {**FREE_PORTS, "home": home, "backend": "fake", "read_roots": [folder]}
        with start_daemon(settings), Ardour(session, config) as ardour:
            time.sleep(1.5)
            found = Studio(folder, ardour, slot, home)
            drive(found)
    artefacts = os.environ.get("ACESTEP_TEST_ARTEFACTS")
    if artefacts:
        for picture in folder.glob("*.png"):
            shutil.copy(picture, artefacts)
    yield found


def test_without_a_selection_the_user_is_told(studio: Studio) -> None:
    """No selection: one sentence, no job."""
    assert studio.seen["nothing selected"]


def test_the_takes_land_on_the_exact_sample_and_the_old_region_stays(studio: Studio) -> None:
    """Two variants: two regions above the old one, the first on top, at region start minus the handle."""
    old, second, first = sorted(studio.seen["repainted"], key=lambda region: region[4])
    info = soundfile.info(studio.seen["patches"][0])
    handle = (info.frames - (LAST - FIRST)) // 2
    assert old == ("Loop", "loop", CLIP_AT, 16 * BAR, 0)
    assert first[1].startswith("repaint 1 (seed") and second[1].startswith("repaint 2 (seed")
    for layer, new in ((2, first), (1, second)):
        assert (new[0], new[2], new[3], new[4]) == ("Loop", FIRST - handle, info.frames, layer)


def test_outside_is_identical_and_inside_is_our_file(studio: Studio) -> None:
    """What Ardour now plays: the loop bit by bit outside the patch, the first variant's file bit by bit inside."""
    loop, _ = soundfile.read(LOOP, dtype="float32")
    patch, _ = soundfile.read(studio.seen["patches"][0], dtype="float32")
    first = FIRST - (len(patch) - (LAST - FIRST)) // 2
    expected = np.concatenate([np.zeros((CLIP_AT, 2), "f4"), loop])
    expected[first : first + len(patch)] = patch
    assert np.array_equal(studio.seen["audio"], expected)
    assert not np.array_equal(patch, np.concatenate([np.zeros((CLIP_AT, 2), "f4"), loop])[first : first + len(patch)])


def test_one_undo_removes_all_variants(studio: Studio) -> None:
    """One undo, and the track is as before."""
    assert studio.seen["undone"] == [("Loop", "loop", CLIP_AT, 16 * BAR, 0)]


def test_stems_come_in_as_named_tracks(studio: Studio) -> None:
    """Two picked stems: two new tracks with their names, aligned to the selection."""
    found = {track: (at, length) for track, _, at, length, _ in studio.seen["extracted"] if track != "Loop"}
    assert found == {"drums": (FIRST, LAST - FIRST), "bass": (FIRST, LAST - FIRST)}


def test_a_failed_job_says_why_and_changes_nothing(studio: Studio) -> None:
    """The engine failed: a dialog, no new region, nothing left waiting."""
    regions, waiting = studio.seen["failed"]
    assert regions == studio.seen["extracted"]
    assert waiting == []


def test_the_context_audio_is_removed_when_nobody_needs_it(studio: Studio) -> None:
    """What was rendered for the daemon does not fill the session folder."""
    assert list((studio.session / "acestep-bridge" / "context").iterdir()) == []
    assert list((studio.session / "acestep-bridge").glob("*.wav")) == []
