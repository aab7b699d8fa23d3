"""The page of Ardour followed word for word: an empty home folder, the real program on a desktop, every action by its key.

One session is driven once; every test looks at one thing of what happened. Pictures of the forms are kept where the run wants
them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.client import Client
from bridge.hosts import ardour_keys
from bridge.hosts.ardour import register, slots
from bridge.hosts.bundle import offered, shared_data
from bridge.launch import FREE_PORTS, start_daemon

from . import ardour_host
from .ardour_account import NewUser, commands, keys, run_command
from .ardour_studio import PROBE, PROBE_SCRIPT, Studio, browser, keep_pictures
from .conftest import sound
from .lua_host import SCRIPTS

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600), pytest.mark.usefixtures("only_ardour")]

TITLES = {
    action["name"]: action["title"]
    for action in offered(shared_data(SCRIPTS, Path("/nowhere"), [])["actions"], "ardour")
}
FIRST, LAST = 96_000, 288_000
PAST_THE_END = 1_344_000, 1_536_000
"""From inside the loop past its end."""

LONG = 240
"""Seconds of the long track: long enough to read that somebody can press Cancel meanwhile."""

PRESET = {"name": "aa-night", "title": "Night drive", "source": True, "stages": [{"type": "repaint", "steps": 2}]}
"""A user's preset; by its name it is the first one of the list."""


class Reader(Studio):
    """Somebody with the page before him, who presses keys."""

    ardour: NewUser

    def press(self, action: str) -> None:
        """Press the key that the page names for an action."""
        self.ardour.focus()
        self.ardour.press(
            f"ctrl+alt+shift+{keys()[TITLES[action].rstrip('.') if action != 'more' else 'More...'].lower()}"
        )

    def form(self, title: str, picture: str = "") -> None:
        """Wait for a form; keep a picture of it."""
        self.ardour.dialog(title)
        self.seen.setdefault("titles", []).extend(self.ardour.titles())
        if picture:
            self.ardour.screenshot(self.folder / f"ardour-{picture}.png")

    def confirm(self) -> None:
        """Alt+O is OK, as the page says; wait until the form is gone."""
        before = self.ardour.windows("ACE-Step")
        self.ardour.press("alt+o")
        self.ardour.wait_for(lambda: not set(before) & set(self.ardour.windows("ACE-Step")), "the end of the form")

    def close(self) -> None:
        """Close whatever form or message is open."""
        self.ardour.press("Escape")
        self.ardour.wait_for(lambda: not self.ardour.windows("ACE-Step"), "the end of the form")

    def made(self) -> dict[str, Any]:
        """The newest of what the session remembers."""
        path = max((self.session / "acestep-bridge").glob("*.recipe.json"), key=lambda path: path.stat().st_mtime_ns)
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return found

    def act(self, action: str, jobs: int = 1, title: str = "") -> None:
        """Press an action's key, confirm its form, wait for its results; what was made, and the view before and after."""
        before, count = self.view(), len(self.recipes())
        self.press(action)
        if title:
            self.form(title, action)
            self.confirm()
        self.settle(count + jobs)
        self.seen[action] = self.made()
        self.seen.setdefault("views", {})[action] = (before, self.view_after(before))

    def view_after(self, before: dict[str, Any]) -> dict[str, Any]:
        """The view once it is as before again, or after ten seconds: Ardour scrolls to a new track when it has time."""
        end = time.monotonic() + 10
        while (after := self.view()) != before and time.monotonic() < end:
            time.sleep(0.5)
        return after


def install(reader: Reader) -> None:
    """Steps 1 to 3 of the page."""
    user = reader.ardour
    with user:
        user.welcome()
        user.open_session()
        user.quit()
    reader.seen["scripts"] = slots((user.config / "ui_scripts").read_bytes())
    command, _ = commands("Install")
    reader.seen["installed"] = run_command(command, user.environment())
    registry = user.config / "ui_scripts"
    probe = PROBE_SCRIPT % (PROBE, *[reader.folder / "selection"] * 3)
    registry.write_bytes(register(registry.read_bytes(), [probe], "no hooks"))
    reader.slot.update(slots(registry.read_bytes()))


def first_repaint(reader: Reader) -> None:
    """The section *First repaint*: a range is dragged on the track, the key is pressed, the form filled in."""
    user = reader.ardour
    user.focus()
    user.press("r")
    user.drag((300, 360), (420, 360))
    reader.seen["dragged"] = reader.selection()
    reader.press("repaint")
    reader.form("Repaint selection", "repaint")
    user.type("warm")
    reader.confirm()
    reader.settle(1)
    reader.seen["first"] = reader.made()
    reader.ardour.screenshot(reader.folder / "ardour-repainted.png")
    reader.undo()
    user.focus()
    user.press("g")


def look_at_menu(reader: Reader) -> None:
    """*Edit > Lua Scripts* by the mouse, and *More...* in it."""
    reader.ardour.run_last_of_menu(reader.folder / "ardour-menu.png")
    reader.form("ACE-Step: actions", "more")
    reader.close()


def choose_from_more(reader: Reader) -> None:
    """*More...* by its key; the second of its list is run."""
    count = len(reader.recipes())
    reader.press("more")
    reader.form("ACE-Step: actions")
    reader.ardour.choose_next(reader.ardour.dialog("ACE-Step: actions"))
    reader.confirm()
    reader.settle(count + 1)
    reader.seen["more"] = reader.made()


def run_a_preset(reader: Reader) -> None:
    """A preset is saved while Ardour is open, and *Other operation* runs it."""
    with Client(str(reader.home)) as client:
        client.call("preset.import", {"text": json.dumps(PRESET)})
    count = len(reader.recipes())
    reader.press("operation")
    reader.form("ACE-Step: Other operation", "operation")
    reader.confirm()
    reader.form("ACE-Step: Night drive", "preset")
    reader.confirm()
    reader.settle(count + 1)
    reader.seen["operation"] = reader.made()
    reader.see("preset")


def show_and_cancel(reader: Reader) -> None:
    """A slow job is seen among the jobs and cancelled there; the next one is cancelled by key."""
    for action in ("queue", "cancel"):
        reader.remember(repaint={"caption": "fake: steps=400 delay=0.1"})
        reader.press("repaint-again")
        reader.ardour.wait_for(reader.waiting, "the job")
        reader.press(action)
        if action == "queue":
            reader.form("ACE-Step: jobs", "jobs")
            reader.ardour.choose_next(reader.ardour.dialog("ACE-Step: jobs"))
            reader.confirm()
        reader.ardour.wait_for(lambda: not reader.waiting(), "the end of the job")
        reader.seen[action] = (reader.session / "acestep-bridge" / "last.txt").read_text("utf-8")


def cancel_reading(reader: Reader) -> None:
    """Four minutes are to be read; Cancel is pressed in the middle."""
    reader.select(0, LONG * 48_000)
    reader.select_track("Long")
    reader.remember(repaint={})
    reader.press("repaint-again")
    window = reader.ardour.dialog("^Reading$", 60)
    time.sleep(1)  # until something is drawn
    reader.ardour.screenshot(reader.folder / "ardour-reading.png")
    reader.ardour.press_default(window)
    reader.ardour.dialog("^ACE-Step$", 60)
    reader.ardour.screenshot(reader.folder / "ardour-reading-cancelled.png")
    context = reader.session / "acestep-bridge" / "context"
    known = {recipe["pending"].get("context") for recipe in reader.recipes()}
    reader.seen["reading"] = (reader.waiting(), {str(path) for path in context.iterdir()} - known)
    reader.ardour.press("Escape")
    reader.ardour.wait_for(lambda: not reader.ardour.windows("ACE-Step"), "the end of the message")


def hold_and_place(reader: Reader) -> None:
    """Two variants wait; the page opens; one is placed."""
    reader.remember(repaint={"caption": "heard", "variants": 2, "listen_first": True})
    before, count = reader.view(), len(reader.recipes())
    reader.press("repaint-again")
    reader.ardour.wait_for(reader.held, "results that wait")
    reader.press("listen-page")
    reader.ardour.wait_for((reader.folder / "opened").exists, "the page in the browser")
    reader.press("place-waiting")
    reader.form("ACE-Step: Place a waiting result", "place-waiting")
    reader.confirm()
    reader.settle(count + 1)
    reader.seen["place-waiting"] = reader.made()
    reader.seen["views"]["place-waiting"] = (before, reader.view_after(before))


def work(reader: Reader) -> None:
    """Everything else that has a key."""
    reader.select(FIRST, LAST)
    reader.select_track("Loop")
    reader.zoom_in()
    reader.remember(repaint={"caption": "soft", "variants": 2})
    reader.act("repaint-again")
    reader.act("vary")
    before = len(reader.regions())
    reader.press("keep")
    reader.ardour.wait_for(lambda: len(reader.regions()) < before, "the others to go")
    reader.remember(repaint={"caption": "something else"})
    reader.act("restore", title="Repaint selection")
    choose_from_more(reader)
    run_a_preset(reader)
    show_and_cancel(reader)
    hold_and_place(reader)
    reader.remember(extract={"track": ["drums", "bass"]}, lego={"track": ["guitar"]}, complete={"tracks": ["piano"]})
    for action, jobs in (
        ("cover", 1),
        ("generate", 1),
        ("song", 1),
        ("extract", 2),
        ("add-instrument", 1),
        ("complete", 1),
    ):
        reader.act(action, jobs, TITLES[action])
    reader.select(*PAST_THE_END)
    reader.act("extend", title=TITLES["extend"])
    refuse(reader)
    cancel_reading(reader)
    make_dataset(reader)


def refuse(reader: Reader) -> None:
    """A form with a wrong number says which field it is and comes back."""
    reader.remember(repaint={})
    reader.press("repaint")
    reader.form("Repaint selection")
    for keys_pressed in ("Tab", "ctrl+a"):
        reader.ardour.press(keys_pressed)
    reader.ardour.type("many")
    reader.ardour.press("alt+o")
    reader.ardour.dialog("^ACE-Step$")
    reader.ardour.screenshot(reader.folder / "ardour-wrong.png")
    reader.ardour.press("Return")
    reader.form("Repaint selection")
    reader.close()


def make_dataset(reader: Reader) -> None:
    """The session becomes a dataset, and a message says so."""
    reader.press("dataset")
    reader.ardour.dialog("^ACE-Step$", 120)
    reader.ardour.screenshot(reader.folder / "ardour-dataset.png")
    path = reader.home / "datasets" / "song" / "dataset.json"
    reader.seen["dataset"] = json.loads(path.read_text("utf-8")) if path.is_file() else None
    reader.close()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, foreign: Callable[[str], str]) -> Iterator[Reader]:
    for program in ("ardour", "ardour7-lua", "Xvfb", "xdotool", "import", "openbox"):
        foreign(program)
    folder = tmp_path_factory.mktemp("page")
    session = ardour_host.make_session(folder, "song", ["Loop", "Long"], 120.0)
    ardour_host.place_file(session, sound(folder / "loop.wav", seconds=30.0), "Loop", 0)
    ardour_host.place_file(session, sound(folder / "long.wav", seconds=LONG, channels=1), "Long", 0)
    home = folder / "daemon"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACESTEP_BRIDGE_HOME", str(home))
        patch.setenv("BROWSER", str(browser(folder)))
        found = Reader(folder, NewUser(session, folder / "user"), {}, home)
        install(found)
        settings = {**FREE_PORTS, "home": home, "backend": "fake", "read_roots": [folder]}
        with start_daemon(settings), NewUser(session, folder / "user") as again:
            found.ardour = again
            again.open_session()
            found.wait_until_ready()
            first_repaint(found)
            look_at_menu(found)
            work(found)
        _, command = commands("Install")
        found.seen["removed"] = run_command(command, again.environment())
    keep_pictures(folder)
    yield found


def test_the_page_installs_beside_what_ardour_has(reader: Reader) -> None:
    """Ardour wrote its own two scripts; the command kept them, and its list of files is what it wrote."""
    assert reader.seen["scripts"] == {"Mixer Screenshot": 1, "List Plugins": 2}
    assert reader.slot.items() >= reader.seen["scripts"].items()
    assert str(reader.ardour.config / "ardour.keys") in reader.seen["installed"]


def test_the_page_names_every_key() -> None:
    """Its table is what the installer sets."""
    expected = {title: ardour_keys.KEYS[name].upper() for name, title in TITLES.items()}
    assert keys() == expected


def test_the_first_repaint_of_the_page(reader: Reader) -> None:
    """What was dragged on the track is repainted with the words that were typed."""
    first, last = reader.seen["dragged"]
    pending = reader.seen["first"]["pending"]
    assert 0 < first < last and (pending["first"], pending["last"]) == (first, last)
    assert reader.seen["first"]["request"]["request"]["conditioning"]["caption"] == "warm"


OPERATIONS = {
    "repaint-again": "repaint",
    "vary": "repaint",
    "restore": "repaint",
    "cover": "cover",
    "generate": "generate",
    "song": "song",
    "extract": "extract",
    "add-instrument": "lego",
    "complete": "complete",
    "extend": "extend",
}


@pytest.mark.parametrize("action", OPERATIONS)
def test_the_key_of_an_action(reader: Reader, action: str) -> None:
    """Pressed in the editor window, it makes what it says at the selected place."""
    pending = reader.seen[action]["pending"]
    assert pending["operation"] == OPERATIONS[action]
    assert (pending["first"], pending["last"]) == (PAST_THE_END if action == "extend" else (FIRST, LAST))


@pytest.mark.parametrize("action", [*OPERATIONS, "place-waiting"])
def test_placing_changes_nothing_that_the_user_set(reader: Reader, action: str) -> None:
    """Layers, new tracks, stems, a chosen one: range, tracks, playhead, edit point, mouse mode, zoom and scroll stay."""
    before, after = reader.seen["views"][action]
    assert before["range"] == list(PAST_THE_END if action == "extend" else (FIRST, LAST))
    assert before["tracks"] == ["Loop"] and before["edit-point"]
    assert after == before


def test_more_runs_what_is_chosen(reader: Reader) -> None:
    """Reached by key and by menu; the second of its list ran."""
    assert reader.seen["more"]["pending"]["action"] == "repaint-again"


def test_a_saved_preset_is_offered_by_its_title(reader: Reader) -> None:
    """Saved while Ardour was open, run by *Other operation* without a restart, told under its title."""
    pending = reader.seen["operation"]["pending"]
    assert (pending["operation"], pending["title"]) == (PRESET["name"], PRESET["title"])
    assert "ACE-Step: Night drive" in reader.seen["titles"]
    assert [region[1][:13] for region in reader.seen["preset"] if region[0] == "Night drive"] == ["Night drive 1"]


@pytest.mark.parametrize("action", ["queue", "cancel"])
def test_a_job_is_cancelled(reader: Reader, action: str) -> None:
    """Out of *Show jobs*, and by *Cancel the newest job*: the session says so."""
    assert reader.seen[action].strip().endswith("cancelled.")


def test_reading_can_be_cancelled(reader: Reader) -> None:
    """Nothing is sent and nothing is left of the file; the user is told."""
    assert reader.seen["reading"] == ([], set())


def test_what_waits_is_heard_and_placed(reader: Reader) -> None:
    """The page was opened and one of two variants placed by key."""
    assert (reader.folder / "opened").exists() and reader.held() == []
    assert reader.seen["place-waiting"]["pending"]["values"]["caption"] == "heard"


def test_the_session_becomes_a_dataset(reader: Reader) -> None:
    """Pressed by key, it was saved where the daemon keeps its datasets."""
    assert {sample["acestep_bridge"]["song"] for sample in reader.seen["dataset"]["samples"]} == {"song"}


def test_the_page_removes_what_it_installed(reader: Reader) -> None:
    """The command of the page: Ardour's own scripts are left, no keys, nothing of ours."""
    config = reader.ardour.config
    assert set(slots((config / "ui_scripts").read_bytes())) == {*reader.seen["scripts"], PROBE}
    assert not list(config.glob("*.keys")) and not list((config / "scripts").glob("acestep*"))
    assert "removed from ardour" in reader.seen["removed"]
