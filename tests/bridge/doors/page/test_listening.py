"""What the page knows of takes: their scores and the best of them; before a real daemon."""

from __future__ import annotations

import pytest

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
        assert tag.inner_text() == f"score {round(score, 2):g}"
        assert "tempo" in tag.get_attribute("title")
    for _ in range(2):
        card.get_by_role("button", name="More for part 2").click()
        page.get_by_role("menuitem", name="Score all takes, star the best").click()
        page.locator(".toast").filter(has_text="scores best").last.wait_for()
    best = max(sorted(scores), key=lambda take: scores[take])  # the earlier one of equals
    star, note = note_of(house, batch)
    assert star and note.startswith(f"for the bridge\nTake {best} scores best ({round(scores[best], 3):g}). Take ")
    assert note.count("scores best") == 1
    card.locator("p").filter(has_text=f"Take {best} scores best").wait_for()
