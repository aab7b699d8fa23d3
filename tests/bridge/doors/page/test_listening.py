"""What the page knows of takes: their scores and the best of them; before a real daemon."""

from __future__ import annotations

import json
import re

import pytest

from tests.bridge.doors.page.waiting import expect

pytestmark = pytest.mark.foreign


@pytest.fixture(scope="module")
def batch(house):
    """Three takes that were measured as they were made."""
    asked = {"caption": "measured drums", "duration": 10.0, "bpm": 120.0, "variants": 3, "seed": 5, "steps": 2}
    return house.run("generate", **asked, auto_score=True)


def note_of(house, job):
    """Star and note of a result, as another client sees them."""
    with house.client() as client:
        (row,) = [row for row in client.call("history.list", {"search": job["id"]})["rows"] if row["id"] == job["id"]]
    return row["star"], row["note"]


def test_every_take_shows_its_score_and_the_best_is_promoted(tab, house, batch):
    """As measured, without a language model: a star, all scores in the note, and what was noted before stays."""
    scores = {row["variant"] + 1: row["score"] for row in batch["result"]["data"]["scores"]}
    with house.client() as client:
        client.call("history.mark", {"id": batch["id"], "note": "for the bridge"})
    page = tab().open("#library")
    card = page.locator(f'main [data-result="{batch["id"]}"]')
    for take, score in scores.items():
        tag = card.locator(f'[data-take="{batch["id"]}/{take - 1}"] [data-part="score"]')
        expect(tag).to_have_text(f"score {round(score, 2):g}")
        expect(tag).to_have_attribute("title", re.compile("tempo"))
    for _ in range(2):
        card.get_by_role("button", name="More for part 2").click()
        page.get_by_role("menuitem", name="Score all takes, star the best").click()
        page.locator(".toast").filter(has_text="scores best").last.wait_for()
    best = max(sorted(scores), key=lambda take: scores[take])  # the earlier one of equals
    star, note = note_of(house, batch)
    assert star and note.startswith(f"for the bridge\nTake {best} scores best ({round(scores[best], 3):g}). Take ")
    assert note.count("scores best") == 1
    card.locator("p").filter(has_text=f"Take {best} scores best").wait_for()


def test_lyric_times_and_codes_of_a_take_are_shown_copied_and_used(tab, house):
    """The library shows one operation's results alone; a take's lyrics get their times, and its codes become a new song's."""
    lyrics = "[Verse]\nhello world\nagain we go"
    sung = house.run("generate", caption="a line sung twice", lyrics=lyrics, duration=10.0, bpm=120.0, seed=3, steps=1)
    other = house.run("extract", source=sung["result"]["files"][0]["path"], track="bass", steps=1)
    one = tab(permissions=["clipboard-read", "clipboard-write"])
    page = one.open("#library")
    card = page.locator(f'main [data-result="{sung["id"]}"]')
    page.locator(f'main [data-result="{other["id"]}"]').wait_for()
    page.get_by_label("Operation").select_option("generate")
    page.locator(f'main [data-result="{other["id"]}"]').wait_for(state="detached")

    def ask(item):
        card.get_by_role("button", name="More for part 1").click()
        page.get_by_role("menuitem", name=item, exact=True).click()
        return page.get_by_role("dialog")

    expect(ask("Lyric times").locator("pre")).to_have_text(
        re.compile(r"^\[\d\d:\d\d\.\d\d\].*hello world.*again we go", re.DOTALL)
    )
    page.keyboard.press("Escape")
    dialog = ask("Semantic codes")
    dialog.get_by_text("50 codes, 5 a second").wait_for()
    written = dialog.locator("pre").inner_text()
    assert len(written.split(", ")) == 50
    dialog.get_by_role("button", name="Copy").click()
    one.until("text => navigator.clipboard.readText().then((found) => found === text)", written)
    dialog.get_by_role("button", name="Create with these codes").click()
    page.locator('[data-act="json"]').click()
    params = json.loads(page.locator("dialog pre").inner_text())["params"]
    assert params["audio_codes"] == [int(code) for code in written.split(", ")]


def test_a_take_is_split_into_stems(tab, song):
    """One job, whose source is the take; a stem is called by its track and is not split again."""
    one = tab()
    page = one.open("#library")
    card = page.locator(f'main [data-result="{song["id"]}"]')
    card.get_by_role("button", name="More for part 2").click()
    page.get_by_role("menuitem", name="Split into stems").click()
    mine = "[...studio.store.jobs.values()].find((job) => job.operation === 'split-into-stems')?.id"
    job = one.until(mine)
    page.evaluate("id => studio.cancel(id)", job)
    found = one.ended(job, "cancelled")
    assert found["request"]["source"]["path"] == song["result"]["files"][1]["path"]
    stem = one.house.run("extract", source=found["request"]["source"]["path"], track="backing_vocals", steps=1)
    made = page.locator(f'main [data-result="{stem["id"]}"]')
    made.get_by_role("button", name="More for backing vocals stem 1").click()
    page.get_by_role("menuitem", name="Semantic codes").wait_for()
    expect(page.get_by_role("menuitem", name="Split into stems")).to_have_count(0)
