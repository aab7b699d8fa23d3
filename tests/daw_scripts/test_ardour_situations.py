"""What is wrong or unusual, in the real Ardour: two sessions of one name, tempo ramps, odd metres, files and folders that fail.

Two sessions are opened once each and driven by Ardour's own OSC; every test looks at one thing of what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.launch import DaemonProcess, start_daemon

from . import ardour_host
from .ardour_host import Ardour
from .ardour_studio import Studio, install_actions, keep_pictures
from .conftest import RATE, no_daemon_left, set_environment, sound

NAME = "süß 'song' 歌"
AGAIN = "Repaint selection with the last settings"
FIRST, LAST = 96_000, 288_000
SEVEN_EIGHT, FIVE_FOUR = (192_000, 276_000), (528_000, 648_000)
"""One bar each of `ardour_host.WINDING`."""

RAMP = (720_000, 1_100_000)
"""Two quarters before the ramp to some way behind it."""

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600), pytest.mark.usefixtures("only_ardour")]


def make_session(folder: Path) -> Path:
    """A session with a file on its track; both sessions have one name, and their tracks one id."""
    folder.mkdir()
    session = ardour_host.make_session(folder, NAME, ["Loop"], 120.0)
    ardour_host.place_file(session, sound(folder / "loop.wav", seconds=30.0), "Loop", 0)
    return session


def ask(session: Path) -> None:
    """Repaint without a window: the caption is the folder of the session."""
    code = (
        "local host, form = import('host'), import('form') "
        f"function host.selection() return {{ first = {FIRST}, last = {LAST}, tracks = {{ track('Loop') }}, regions = {{}} }} end "
        f"function form.ask() return {{ caption = '{session.parent.name}' }} end "
        "import('action').run('repaint')"
    )
    ardour_host.run(session, code)


def repaint(studio: Studio, moment: str, stretch: tuple[int, int], **values: Any) -> None:
    """Repaint a stretch without a form; what was asked and what the user is told."""
    before = {recipe["pending"]["id"] for recipe in studio.recipes()}
    studio.remember(repaint=values)
    studio.select(*stretch)
    studio.run(AGAIN)
    studio.settle(len(before) + 1)
    keep(studio, moment, before)


def keep(studio: Studio, moment: str, before: set[str]) -> None:
    """Remember the new recipes in the order of the song, and the text of Show jobs."""
    made = [recipe for recipe in studio.recipes() if recipe["pending"]["id"] not in before]
    notes = (studio.session / "acestep-bridge" / "last.txt").read_text("utf-8")
    studio.seen[moment] = (sorted(made, key=lambda recipe: recipe["pending"]["first"]), notes)


def change_tempo(studio: Studio) -> None:
    """Odd metres, then the three answers to a ramp."""
    repaint(studio, "7/8", SEVEN_EIGHT)
    repaint(studio, "5/4", FIVE_FOUR)
    repaint(studio, "average", RAMP)
    before = {recipe["pending"]["id"] for recipe in studio.recipes()}
    studio.remember(repaint={"tempo_changes": "split"})
    studio.run("Repaint selection")
    window = studio.ardour.dialog()
    studio.ardour.screenshot(studio.folder / "tempo-form.png")
    studio.ardour.press_default(window)
    studio.settle(len(before) + 3)
    keep(studio, "split", before)
    studio.remember(repaint={"tempo_changes": "refuse"})
    studio.seen["refuse"] = (studio.told(), studio.waiting())


def lose_files(studio: Studio) -> None:
    """The audio file goes and comes back; a file stands where our folder should be."""
    audio = studio.session.parent / "loop.wav"
    studio.remember(repaint={})
    for moment, path in (("offline", audio), ("blocked", studio.session / "acestep-bridge" / "context")):
        aside = path.with_name("aside")
        path.rename(aside)
        if moment == "blocked":
            path.write_text("no folder")
        studio.seen[moment] = (studio.told(), studio.waiting())
        path.unlink(missing_ok=True)
        aside.rename(path)


def block_the_result(studio: Studio) -> None:
    """While a job runs, the session takes no files any more (here: a folder stands in a draft's place); then it does again."""
    before = len(studio.recipes())
    studio.remember(repaint={"caption": "fake: steps=20 delay=0.1"})
    studio.run(AGAIN)
    studio.ardour.wait_for(studio.waiting, "the submitted job")
    obstacle = studio.session / "acestep-bridge" / "pending.json.tmp"
    obstacle.mkdir()
    studio.ardour.press_default(studio.ardour.dialog())
    studio.seen["held back"] = (len(studio.recipes()) - before, len(studio.waiting()))
    studio.ardour.wait_for(lambda: not studio.ardour.windows("ACE-Step"), "the end of the message")
    obstacle.rmdir()
    studio.settle(before + 1)
    studio.see("let in")


def drive_two(studio: Studio, other: Path) -> None:
    """The session that is opened first, though its job was asked for last."""
    studio.settle(1)
    studio.see("landed")
    studio.seen["other meanwhile"] = (
        ardour_host.saved_regions(other),
        (other / "acestep-bridge" / "pending.json").read_text(),
    )
    change_tempo(studio)
    lose_files(studio)
    block_the_result(studio)
    studio.select_track("Keys")
    studio.seen["midi"] = (studio.told(), studio.waiting())


def drive_one(studio: Studio, daemon: DaemonProcess) -> None:
    """The other session of that name; then the daemon goes, and the script starts another one."""
    studio.settle(1)
    studio.see("landed")
    studio.select(FIRST, LAST)
    daemon.stop()
    studio.seen["no daemon"] = (studio.told(), studio.waiting())
    studio.run(AGAIN)
    studio.ardour.press_default(studio.ardour.dialog())
    studio.settle(2)
    studio.see("started")


@pytest.fixture(scope="module")
def studios(tmp_path_factory: pytest.TempPathFactory, foreign: Callable[[str], str]) -> Iterator[dict[str, Studio]]:
    for program in ("ardour", "ardour7-lua", "Xvfb", "xdotool", "import"):
        foreign(program)
    folder = tmp_path_factory.mktemp("situations")
    sessions = {name: make_session(folder / name) for name in ("one", "two")}
    ardour_host.change_tempo(sessions["two"], ardour_host.WINDING)
    ardour_host.add_midi_track(sessions["two"], "Keys")
    config, home = folder / "xdg" / "ardour7", folder / "home"
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACESTEP_BRIDGE_HOME", str(home))
        set_environment(patch, folder)  # also for the daemon that Ardour starts
        slot = install_actions(config, folder)
        with start_daemon({"home": home}) as daemon, no_daemon_left(daemon.paths):
            for session in sessions.values():
                ask(session)
            for name in ("two", "one"):
                with Ardour(sessions[name], config) as ardour:
                    found[name] = Studio(folder, ardour, slot, home)
                    found[name].wait_until_ready()
                    drive_two(found[name], sessions["one"]) if name == "two" else drive_one(found[name], daemon)
            found["one"].seen["port in use"] = ardour.listens()
    keep_pictures(folder)
    yield found


def asked(studio: Studio, moment: str) -> list[dict[str, Any]]:
    recipes, _ = studio.seen[moment]
    return [recipe["request"]["request"]["conditioning"] for recipe in recipes]


def places(studio: Studio, moment: str) -> list[tuple[int, int]]:
    recipes, _ = studio.seen[moment]
    return [(recipe["pending"]["first"], recipe["pending"]["last"]) for recipe in recipes]


@pytest.mark.parametrize("name", ["one", "two"])
def test_two_sessions_of_one_name_get_each_its_own_result(studios: dict[str, Studio], name: str) -> None:
    """Both waited with Ardour closed: whichever is opened first takes its own result, and the other's goes on waiting."""
    studio = studios[name]
    old, new = sorted(studio.seen["landed"], key=lambda region: region[4])
    assert old[1] == "loop" and new[1].startswith("repaint 1") and new[2] <= FIRST and new[2] + new[3] >= LAST
    captions = [recipe["request"]["request"]["conditioning"]["caption"] for recipe in studio.recipes()]
    assert name in captions and not set(captions) & (set(studios) - {name})
    regions, waiting = studios["two"].seen["other meanwhile"]
    assert [region[1] for region in regions] == ["loop"] and '"caption":"one"' in waiting


@pytest.mark.parametrize(("metre", "bar"), [("7/8", SEVEN_EIGHT), ("5/4", FIVE_FOUR)])
def test_a_metre_the_model_does_not_know(studios: dict[str, Studio], metre: str, bar: tuple[int, int]) -> None:
    """The bar is one job from its first sample on; the map holds the metre, and Show jobs says what the model is told."""
    studio = studios["two"]
    assert places(studio, metre) == [bar]
    (request,) = asked(studio, metre)
    assert request["bpm"] == 120 and metre in [point["metre"] for point in request["tempo_map"]]
    assert metre in studio.seen[metre][1]


def test_a_ramp_is_averaged(studios: dict[str, Studio]) -> None:
    """Nothing chosen: one job with the mean of Ardour's own ramp, and Show jobs says so."""
    studio = studios["two"]
    begin, end = ardour_host.tempo_changes(studio.session)[1:]
    quarters = (begin - RAMP[0]) / 24_000 + 8 + (RAMP[1] - end) / 32_000
    mean = quarters * 60 * RATE / (RAMP[1] - RAMP[0])
    assert places(studio, "average") == [RAMP]
    assert asked(studio, "average")[0]["bpm"] == pytest.approx(mean, abs=1e-3)
    assert f"the average of {mean:.2f} bpm is sent" in studio.seen["average"][1]


def test_a_ramp_is_a_job_of_its_own(studios: dict[str, Studio]) -> None:
    """Split, out of the real form, which begins with the last choice: before, ramp and behind are a job each."""
    studio = studios["two"]
    begin, end = ardour_host.tempo_changes(studio.session)[1:]
    (_, first_edge), (ramp_first, ramp_last), (last_edge, _) = places(studio, "split")
    assert (first_edge, ramp_first) == (begin, begin) and ramp_last == last_edge == pytest.approx(end, abs=1)
    mean = 8 * 60 * RATE / (end - begin)
    assert [request["bpm"] for request in asked(studio, "split")] == [120, pytest.approx(mean, abs=1e-3), 90]


def test_a_ramp_is_refused(studios: dict[str, Studio]) -> None:
    """Refuse: a sentence, no job."""
    assert studios["two"].seen["refuse"] == (
        "The tempo or metre changes inside the selection. Choose one tempo, or one job per segment.",
        [],
    )


def test_offline_media_are_named(studios: dict[str, Studio]) -> None:
    """The file of the region goes while the session is open: its path, no job."""
    sentence, waiting = studios["two"].seen["offline"]
    assert (
        "offline or missing" in sentence
        and str(studios["two"].session.parent / "loop.wav") in sentence
        and waiting == []
    )


def test_a_folder_that_takes_no_files_is_named(studios: dict[str, Studio]) -> None:
    """Told before anything is written or sent."""
    sentence, waiting = studios["two"].seen["blocked"]
    assert "media folder cannot be written" in sentence and "acestep-bridge/context." in sentence and waiting == []


def test_a_result_waits_for_a_folder_that_takes_files(studios: dict[str, Studio]) -> None:
    """Said once, in a dialog; nothing is placed and nothing forgotten; it lands when the folder is writable again."""
    studio = studios["two"]
    assert studio.seen["held back"] == (0, 1)
    assert sum("repaint" in region[1] for region in studio.seen["let in"]) == len(studio.recipes())


def test_a_midi_track_has_no_audio(studios: dict[str, Studio]) -> None:
    """A range on a track that holds only MIDI."""
    sentence, waiting = studios["two"].seen["midi"]
    assert "only MIDI" in sentence and waiting == []


def test_without_a_daemon_the_user_is_asked(studios: dict[str, Studio]) -> None:
    """Nobody answers: the offer to start one; with no, nothing is sent."""
    sentence, waiting = studios["one"].seen["no daemon"]
    assert "not running" in sentence and sentence.endswith("Start it now?") and waiting == []


def test_with_yes_the_daemon_starts_and_the_action_goes_on(studios: dict[str, Studio]) -> None:
    """One press on Yes: a daemon comes up, the job reaches it, and the result lands above the one before.

    The daemon outlives Ardour and holds nothing of it open, such as the port of its OSC.
    """
    added = [region for region in studios["one"].seen["started"] if region not in studios["one"].seen["landed"]]
    assert len(added) == 1 and added[0][1].startswith("repaint 1") and added[0][4] == 2
    assert not studios["one"].seen["port in use"]
