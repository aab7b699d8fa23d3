"""Ardour with the installed actions and somebody before it: keys pressed, ranges marked, results looked at."""

from __future__ import annotations

import json
import os
import shutil
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

from bridge.hosts import install
from bridge.hosts.ardour import register, slots
from bridge.hosts.bundle import bundle, modules, quote, shared_data

from . import ardour_host
from .ardour_host import Ardour, Region
from .lua_host import SCRIPTS

FIRST_START = Path(__file__).parent / "recorded" / "ui_scripts"
"""What Ardour 7.3 itself wrote when a new user started it for the first time: two scripts of its own, compiled."""

PROBE = "Test: selection"

PROBE_SCRIPT = """ardour { ["type"] = "EditorAction", name = "%s" }
function factory() return function()
  local selection = Editor:get_selection()
  local time, out = selection.time, io.open("%s.tmp", "w")
  if time:empty() then out:write("-1 -1") else out:write(time:start_sample() .. " " .. time:end_sample()) end
  local routes, regions = selection.tracks:routelist(), selection.regions:regionlist()
  for route in routes:iter() do out:write("\\ntrack ", route:name()) end
  for region in regions:iter() do out:write("\\nregion ", region:name()) end
  out:write("\\nzoom ", Editor:get_current_zoom(), "\\nleft ", Editor:leftmost_sample(), "\\ntop ", Editor:get_y_origin())
  out:write("\\nplayhead ", Session:transport_sample())
  out:close()
  os.rename("%s.tmp", "%s")
end end
"""

TOLD = "Test: repaint and note what is said"

TOLD_SCRIPT = """ardour { ["type"] = "EditorAction", name = "%s" }
function factory()
%s
end
"""

TELL = """function()
  local host = import('host')
  function host.tell(sentence)
    local out = io.open(%s, 'w')
    out:write((sentence:gsub('%%s+', ' ')), '\\n')
    out:close()
  end
  function host.ask(sentence) host.tell(sentence) return false end
  import('action').run('repaint-again')
end"""
"""Everything is real but the messages: they go to a file instead of a dialog, and questions are answered with no."""


def install_actions(config: Path, folder: Path) -> dict[str, int]:
    """Install our scripts and the tests' own, which write into a folder; title -> slot. Ardour was started once before."""
    registry = config / "ui_scripts"
    config.mkdir(parents=True, exist_ok=True)
    shutil.copy(FIRST_START, registry)
    install("ardour", config)
    chunk = bundle(
        modules(SCRIPTS, "ardour"), shared_data(SCRIPTS, folder, ["serve"]), TELL % quote(str(folder / "told"))
    )
    own = {"probe.lua": PROBE_SCRIPT % (PROBE, *[folder / "selection"] * 3), "told.lua": TOLD_SCRIPT % (TOLD, chunk)}
    registry.write_bytes(register(registry.read_bytes(), list(own.values()), "no hooks"))
    return slots(registry.read_bytes())


def keep_pictures(folder: Path) -> None:
    """Copy the screenshots of a folder to where the run wants them, if it does."""
    artefacts = os.environ.get("ACESTEP_TEST_ARTEFACTS")
    for picture in folder.glob("*.png") if artefacts else ():
        shutil.copy(picture, str(artefacts))


def browser(folder: Path) -> Path:
    """A browser that only writes down what it was to open."""
    program = folder / "browser"
    program.write_text(
        f"#!/bin/sh\nprintf '%s' \"$1\" > '{folder}/opening' && mv '{folder}/opening' '{folder}/opened'\n"
    )
    program.chmod(0o755)
    return program


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

    def wait_until_ready(self) -> None:
        """Wait until the window answers: what is sent before gets lost."""
        self.probe.unlink(missing_ok=True)

        def answers() -> bool:
            self.ardour.run_slot(self.slot[PROBE])
            time.sleep(0.5)
            return self.probe.exists()

        self.ardour.wait_for(answers, "an answer of the window", 60)

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

    def _look(self) -> list[str]:
        """What is selected and seen in Ardour's editor, a line each, by a script of the test's own."""
        self.probe.unlink(missing_ok=True)
        self.ardour.run_slot(self.slot[PROBE])
        self.ardour.wait_for(self.probe.exists, "the selection")
        return self.probe.read_text("utf-8").splitlines()

    def selection(self) -> list[int]:
        """The range that Ardour's editor has selected."""
        return [int(word) for word in self._look()[0].split()]

    def view(self) -> dict[str, Any]:
        """Selection, playhead, zoom and scroll position, and the edit point and mouse mode as Ardour saves them."""
        words = [line.partition(" ")[::2] for line in self._look()[1:]]
        found: dict[str, Any] = {key: value for key, value in words if key not in ("track", "region")}
        found["range"] = self.selection()
        found |= {"tracks": self.view_of("track"), "regions": self.view_of("region")}
        self.ardour.save()
        file = self.session / "instant.xml"
        self.ardour.wait_for(
            lambda: file.read_bytes().rstrip().endswith(b">"), "a whole file"
        )  # it is written in place
        editor = ElementTree.parse(file).find("Editor")
        assert editor is not None
        return found | {key: editor.get(key) for key in ("edit-point", "mouse-mode", "zoom-focus")}

    def select_track(self, name: str) -> None:
        """Select nothing but a track, with the key that goes from track to track."""
        end = time.monotonic() + 30
        while self.view_of("track") != [name]:
            assert time.monotonic() < end, f"selected: {self.view_of('track')}"
            self.ardour.send("/access_action", "Editor/select-prev-route")
            time.sleep(0.2)

    def zoom_in(self) -> None:
        """One step closer; Ardour changes its window when it has time."""
        before = self.view_of("zoom")
        self.ardour.send("/access_action", "Editor/temporal-zoom-in")
        self.ardour.wait_for(lambda: self.view_of("zoom") != before, "another zoom")

    def view_of(self, kind: str) -> list[str]:
        """The names of the selected tracks or regions, or another thing of the view."""
        return sorted(line.partition(" ")[2] for line in self._look()[1:] if line.startswith(f"{kind} "))

    def told(self) -> str:
        """What the user is told when the selection is repainted without a form."""
        record = self.folder / "told"
        record.unlink(missing_ok=True)
        self.ardour.run_slot(self.slot[TOLD])
        self.ardour.wait_for(lambda: record.exists() and record.read_text("utf-8").endswith("\n"), "a sentence")
        return record.read_text("utf-8").strip()

    def remember(self, **actions: dict[str, Any]) -> None:
        """The last values of the forms, as an earlier run leaves them."""
        (self.session / "acestep-bridge").mkdir(exist_ok=True)
        data = {"format": "acestep-bridge/choices", "version": 1, "actions": actions}
        (self.session / "acestep-bridge" / "choices.json").write_text(json.dumps(data))

    def waiting(self) -> list[Any]:
        path = self.session / "acestep-bridge" / "pending.json"
        return json.loads(path.read_text())["jobs"] if path.exists() else []

    def held(self) -> list[Any]:
        """The jobs whose results wait to be chosen from."""
        path = self.session / "acestep-bridge" / "held.json"
        return json.loads(path.read_text("utf-8"))["jobs"] if path.exists() else []

    def recipes(self) -> list[dict[str, Any]]:
        """What the session remembers of its results, oldest first."""
        paths = (self.session / "acestep-bridge").glob("*.recipe.json")
        return [json.loads(path.read_text("utf-8")) for path in sorted(paths)]

    def settle(self, jobs: int) -> None:
        """Wait until that many recipes were stored beside the session, and nothing waits."""
        self.ardour.wait_for(lambda: len(self.recipes()) >= jobs and not self.waiting(), f"result {jobs}")

    def see(self, moment: str) -> None:
        """Remember the regions as they are now."""
        self.seen[moment] = self.regions()

    def undo(self, steps: int = 1) -> None:
        for _ in range(steps):
            self.ardour.send("/undo")
            time.sleep(0.5)

    def markers(self) -> list[str]:
        """The names of our markers in the saved session."""
        self.ardour.save()
        names = [location.get("name", "") for location in ardour_host.state(self.session).iter("Location")]
        return [name for name in names if " ACE-Step " in name]

    def regions(self) -> list[Region]:
        self.ardour.save()
        return ardour_host.saved_regions(self.session)

    def sounds(self, count: int) -> dict[str, np.ndarray]:
        """What the tracks play, from zero on."""
        return {name: samples(raw) for name, raw in ardour_host.sounds(self.session, 0, count).items()}

    def results(self) -> list[Path]:
        return sorted(self.home.rglob("library/**/*.wav"), key=lambda path: path.stat().st_mtime_ns)
