"""The installed actions in the real Ardour, on a hidden screen, with the real daemon (and the fake engine: tones, no music).

One session is driven once by Ardour's own OSC; every test looks at one thing of what happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from bridge.client import Client
from bridge.launch import FREE_PORTS, start_daemon

from . import ardour_host
from .ardour_host import Ardour, Region
from .ardour_studio import Studio, browser, install_actions, keep_pictures

RATE = 48_000
BAR = 96_000
CLIP_AT = 48_000
"""The loop does not begin at zero, so that a wrong origin shows."""

FIRST, LAST = CLIP_AT + 4 * BAR, CLIP_AT + 8 * BAR
"""Bars 5 to 8 of the loop on the session's timeline."""

END = CLIP_AT + 16 * BAR
"""Where the loop ends."""

EXTRACT, INSTRUMENT = "Extract stems from selection", "Add an instrument to the mix"
COMPLETE, COVER = "Complete the arrangement around selection", "Cover selection"
EXTEND = "Extend audio into selection"
LISTEN, CHOOSE = "Listen to waiting results", "Place a waiting result"

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600), pytest.mark.usefixtures("only_ardour")]

LOOP = Path(__file__).parents[2] / "examples" / "loop" / "mix.flac"


def repaint_and_choose(studio: Studio) -> None:
    """Two variants, two more, one kept, all undone."""
    studio.remember(repaint={"variants": 2, "caption": "warm"})
    studio.select(FIRST, LAST)
    studio.run("Repaint selection")
    window = studio.ardour.dialog()
    studio.ardour.screenshot(studio.folder / "form.png")
    studio.ardour.press_default(window)
    studio.settle(1)
    studio.ardour.screenshot(studio.folder / "repainted.png")
    studio.see("repainted")
    studio.seen["read by Ardour"] = ardour_host.regions(studio.session)
    studio.seen["audio"] = studio.sounds(END)["Loop"]
    studio.seen["patches"] = sorted(studio.results())
    studio.run("Re-roll the selected take")
    studio.settle(2)
    studio.see("rolled again")
    studio.run("Keep the playing take, delete the other variants")
    studio.see("kept")
    studio.undo()
    studio.see("keep undone")
    studio.remember(repaint={"caption": "something else"})
    studio.run("Restore settings from the selected take")
    studio.ardour.press_default(studio.ardour.dialog("Repaint selection"))
    studio.settle(3)
    studio.undo()
    studio.see("restored undone")
    studio.undo(9)  # Ardour's own import leaves steps between the results that change no track
    studio.see("undone")


def watch_and_cancel(studio: Studio) -> None:
    """A slow job, seen on the timeline, then cancelled."""
    studio.remember(repaint={"caption": "fake: steps=400 delay=0.1"})
    studio.run("Repaint selection with the last settings")
    studio.ardour.wait_for(lambda: any("%" in name for name in studio.markers()), "a marker with the progress")
    studio.ardour.screenshot(studio.folder / "progress.png")
    studio.seen["markers"] = studio.markers()
    studio.run("Cancel the newest job")
    studio.ardour.wait_for(lambda: not studio.waiting(), "the end of the cancelled job")
    studio.see("cancelled")
    studio.seen["markers after"] = studio.markers()


def ask_for_more(studio: Studio) -> None:
    """Every other action; Ardour selects the tracks it makes, so the last two work on what the one before them made."""
    studio.remember(extract={"track": ["drums", "bass"]}, lego={"track": ["guitar"]}, complete={"tracks": ["piano"]})
    before = len(studio.recipes())
    for title, jobs in ((COVER, 1), (EXTEND, 1), (EXTRACT, 2), (INSTRUMENT, 1), (COMPLETE, 1)):
        if title == EXTEND:
            studio.select(END - 2 * BAR, END + 2 * BAR)
        if title == EXTRACT:
            studio.select(FIRST, LAST)
        if title == INSTRUMENT:
            studio.seen["tracks"] = studio.sounds(LAST + 10 * RATE)
        studio.run(title)
        studio.ardour.press_default(studio.ardour.dialog(title))
        before += jobs
        studio.settle(before)
        studio.see(title)


def hold_back(studio: Studio) -> None:
    """Two variants that are to be heard before they are placed."""
    studio.remember(repaint={"caption": "heard", "variants": 2, "listen_first": True})
    studio.run("Repaint selection")
    studio.ardour.press_default(studio.ardour.dialog("Repaint selection"))
    studio.ardour.wait_for(studio.held, "results that wait")
    studio.ardour.wait_for(lambda: any("wait" in name for name in studio.markers()), "a marker where they wait")
    studio.seen["hint"] = studio.markers()
    studio.see("held")


def listen_and_choose(studio: Studio) -> None:
    """After the session was closed: the page is opened, then the second variant is placed."""
    studio.seen["still held"] = studio.held()
    studio.run(LISTEN)
    studio.ardour.wait_for((studio.folder / "opened").exists, "the page in the browser")
    studio.seen["page"] = httpx.get((studio.folder / "opened").read_text("utf-8"), follow_redirects=True)
    with Client(str(studio.home)) as client:
        studio.seen["library"] = client.call("history.list", {})["rows"]
    before = len(studio.recipes())
    studio.run(CHOOSE)
    window = studio.ardour.dialog(CHOOSE)
    studio.ardour.choose_next(window)
    studio.ardour.screenshot(studio.folder / "choose.png")
    studio.ardour.press_default(window)
    studio.settle(before + 1)
    studio.see("chosen")
    studio.seen["held at the end"] = studio.held()
    studio.undo()
    studio.see("choice undone")


def drive(studio: Studio) -> None:
    """The whole session, in the order a user would do it."""
    studio.run("Repaint selection")
    window = studio.ardour.dialog()
    studio.seen["nothing selected"] = not studio.waiting()
    studio.ardour.press_default(window)
    repaint_and_choose(studio)
    watch_and_cancel(studio)
    ask_for_more(studio)
    studio.remember(repaint={"caption": "fake: fail_at=2"})
    studio.run("Repaint selection with the last settings")
    window = studio.ardour.dialog()
    studio.seen["failed"] = (studio.regions(), studio.waiting())
    studio.ardour.press_default(window)
    hold_back(studio)
    studio.remember(generate={"caption": "fake: steps=20 delay=0.1"})
    studio.run("Generate for selection or at cursor")
    studio.ardour.press_default(studio.ardour.dialog("Generate"))
    studio.ardour.wait_for(studio.waiting, "the submitted job")
    studio.seen["results before"] = len(studio.recipes())


def come_back(studio: Studio) -> None:
    """Ardour is there again after it went away in the middle of a job."""
    studio.settle(studio.seen["results before"] + 1)
    studio.see("come back")
    listen_and_choose(studio)


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
        patch.setenv("BROWSER", str(browser(folder)))
        slot = install_actions(config, folder)
        settings = {**FREE_PORTS, "home": home, "backend": "fake", "read_roots": [folder]}
        with start_daemon(settings):
            with Ardour(session, config) as ardour:
                found = Studio(folder, ardour, slot, home)
                found.wait_until_ready()
                drive(found)
            with Ardour(session, config) as again:
                found.ardour = again
                come_back(found)
    keep_pictures(folder)
    yield found


def test_without_a_selection_the_user_is_told(studio: Studio) -> None:
    """No selection: one sentence, no job."""
    assert studio.seen["nothing selected"]


def test_the_takes_land_on_the_exact_sample_and_the_old_region_stays(studio: Studio) -> None:
    """Two variants: two regions above the old one, the first on top, at region start minus the handle."""
    assert sorted(studio.seen["repainted"]) == sorted(studio.seen["read by Ardour"])
    old, second, first = sorted(studio.seen["repainted"], key=lambda region: region[4])
    info = soundfile.info(studio.seen["patches"][0])
    assert studio.seen["patches"][0].name == "Loop, bars 5-9-1-patch.wav"
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
    """One undo takes a whole result away; after the last one the track is as before."""
    assert sorted(studio.seen["restored undone"]) == sorted(studio.seen["keep undone"])
    assert studio.seen["undone"] == [("Loop", "loop", CLIP_AT, 16 * BAR, 0)]


def test_a_reroll_lands_on_top_with_other_seeds(studio: Studio) -> None:
    """The take's recipe is enough: the same place and request, two more layers, other seeds; what was there stays."""
    again = sorted(studio.seen["rolled again"], key=lambda region: region[4])
    assert again[:3] == sorted(studio.seen["repainted"], key=lambda region: region[4])
    assert [region[2:4] for region in again[3:]] == [region[2:4] for region in again[1:3]]
    first, second = studio.recipes()[:2]
    assert first["request"]["request"]["conditioning"] == second["request"]["request"]["conditioning"]
    assert first["request"]["request"]["stages"][0]["seeds"] != second["request"]["request"]["stages"][0]["seeds"]


def test_keep_removes_the_alternatives_and_nothing_else(studio: Studio) -> None:
    """The highest of four takes stays with the old region; one undo brings the others back."""
    old, kept = sorted(studio.seen["kept"], key=lambda region: region[4])
    top = max(studio.seen["rolled again"], key=lambda region: region[4])
    assert old[1] == "loop" and kept[:4] == top[:4]
    assert sorted(studio.seen["keep undone"]) == sorted(studio.seen["rolled again"])


def test_restore_brings_the_form_back_with_the_values_of_the_take(studio: Studio) -> None:
    """The form held other values by then; what was sent from it is the take's own request for the take's own place."""
    made, restored = studio.recipes()[0], studio.recipes()[2]
    assert (
        restored["request"]["request"]["conditioning"]["caption"]
        == made["request"]["request"]["conditioning"]["caption"]
        == "warm"
    )
    assert (restored["pending"]["first"], restored["pending"]["last"]) == (FIRST, LAST)
    assert restored["pending"]["values"] == made["pending"]["values"]


def test_progress_stands_on_the_timeline(studio: Studio) -> None:
    """A running job is a range marker with its percent; when it has ended, the marker is gone."""
    (marker,) = studio.seen["markers"]
    assert marker.endswith("% ACE-Step repaint")
    assert studio.seen["markers after"] == []


def test_a_cancelled_job_changes_nothing(studio: Studio) -> None:
    """Cancelled: nothing lands, nothing waits, no complaint."""
    assert studio.seen["cancelled"] == studio.seen["undone"]


def new_regions(studio: Studio, moment: str, before: str) -> list[Region]:
    return [region for region in studio.seen[moment] if region[1] not in {old[1] for old in studio.seen[before]}]


def test_cover_and_extend_become_layers(studio: Studio) -> None:
    """Cover: over the selection; extend: from inside the loop past its end, as far as the selection."""
    (covered,) = new_regions(studio, COVER, "cancelled")
    assert covered[0] == "Loop" and covered[2] <= FIRST and covered[2] + covered[3] >= LAST
    (extended,) = new_regions(studio, EXTEND, COVER)
    assert extended[0] == "Loop" and END - 3 * BAR < extended[2] <= END
    assert extended[2] + extended[3] == END + 2 * BAR


def test_stems_come_in_as_named_tracks(studio: Studio) -> None:
    """Two picked stems: two new tracks with their names, aligned to the selection."""
    found = {track: (at, length) for track, _, at, length, _ in new_regions(studio, EXTRACT, EXTEND)}
    assert found == {"drums": (FIRST, LAST - FIRST), "bass": (FIRST, LAST - FIRST)}


def test_a_new_instrument_hears_the_mix_without_the_selected_track(studio: Studio) -> None:
    """Lego: a track of its own for the selection; what was sent is the sum of all other tracks."""
    (region,) = new_regions(studio, INSTRUMENT, EXTRACT)
    assert (region[0], region[2], region[3]) == ("guitar", FIRST, LAST - FIRST)
    (made,) = [recipe["pending"] for recipe in studio.recipes() if recipe["pending"]["operation"] == "lego"]
    sent, _ = soundfile.read(made["context"], dtype="float32")
    selected = ardour_host.tracks(studio.session)[made["track"]]
    others = [sound for name, sound in studio.seen["tracks"].items() if name != selected]
    assert len(others) == 2
    expected = np.sum(others, axis=0)[made["origin"] : made["origin"] + len(sent)]
    assert np.allclose(sent, expected, atol=1e-6) and np.abs(expected).max() > 0.01


def test_complete_makes_a_track(studio: Studio) -> None:
    """An arrangement around the selection, on a track of its own for each track that was selected."""
    completed = new_regions(studio, COMPLETE, INSTRUMENT)
    assert completed and {region[2:4] for region in completed} == {(FIRST, LAST - FIRST)}
    assert not {region[0] for region in completed} & {region[0] for region in studio.seen[INSTRUMENT]}


def test_a_failed_job_says_why_and_changes_nothing(studio: Studio) -> None:
    """The engine failed: a dialog, no new region, nothing left waiting."""
    regions, waiting = studio.seen["failed"]
    assert regions == studio.seen[COMPLETE]
    assert waiting == []


def test_the_host_quits_and_the_result_lands_at_the_next_start(studio: Studio) -> None:
    """Ardour was killed in the middle of a job: the next start places the result, once, where it was asked for."""
    (region,) = new_regions(studio, "come back", COMPLETE)
    assert region[0].startswith("generate") and region[2:4] == (FIRST, LAST - FIRST)
    assert studio.waiting() == []


def test_results_wait_to_be_heard(studio: Studio) -> None:
    """The box of the form is ticked: no region, a marker that tells how many wait and what to do, both variants kept."""
    assert studio.seen["held"] == studio.seen[COMPLETE]
    assert studio.seen["hint"] == [f"2 wait ACE-Step {LISTEN}"]
    (job,) = studio.seen["still held"]
    assert [place["variant"] for place in job["list"]] == [0, 1]


def test_waiting_results_are_heard_on_the_page(studio: Studio) -> None:
    """The action opens this daemon's page at its library, which has both variants of the job that waits."""
    page = studio.seen["page"]
    assert page.headers["content-type"].startswith("text/html") and page.url.fragment == "library"
    shown = {job["id"]: job["files"] for job in studio.seen["library"]}
    (job,) = studio.seen["still held"]
    assert [sound["variant"] for sound in shown[job["id"]]] == [0, 1]


def test_the_chosen_variant_is_placed(studio: Studio) -> None:
    """The second of two: its file bit by bit, over the selection; the other is forgotten; one undo takes it away."""
    (region,) = new_regions(studio, "chosen", "come back")
    _, second = studio.seen["still held"][0]["list"]
    assert region[1].startswith("repaint 2 (seed") and studio.seen["held at the end"] == []
    sound, _ = soundfile.read(second["path"], dtype="float32")
    assert region[2] <= FIRST and region[2] + region[3] >= LAST and region[3] == len(sound)
    sides = sorted((studio.session / "interchange").rglob(f"{Path(second['copy']).stem}*"))
    assert np.array_equal(np.stack([soundfile.read(side, dtype="float32")[0] for side in sides], axis=1), sound)
    assert sorted(studio.seen["choice undone"]) == sorted(studio.seen["come back"])


def test_only_audio_that_a_reroll_needs_stays(studio: Studio) -> None:
    """What was sent for a take stays with it; that of failed and cancelled jobs is removed, and so are the copies of results."""
    folder = studio.session / "acestep-bridge"
    used = {recipe["pending"].get("context") for recipe in studio.recipes()} - {None}
    assert {str(path) for path in (folder / "context").iterdir()} == used
    assert list(folder.glob("*.wav")) == []
