"""After the takes: scores by measure, the best of several kept, times of what is sung. The ear is scripted as in `test_verdict`."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadRequest
from acestep.engine import takes, verdict
from acestep.engine.takes import distance, score, wants_measure
from acestep.engine.verdict import Verdict

PARTS = {
    "length": 30_000,
    "rate": 48_000,
    "seeds": [1, 2, 3],
    "variants": 3,
    "steps": 1,
    "format": "wav32f",
    "bpm": 120.0,
}
WRONG = "asked for 120 bpm, 97.0 are heard"


@pytest.fixture
def ear(monkeypatch):
    """Takes of the random model are heard too: the second one is right, the first is wrong, the third a little late."""
    monkeypatch.setattr(
        verdict,
        "is_checked",
        lambda stage: stage.state.render.output.check != "off" or wants_measure(stage.state.render.output),
    )
    heard = [
        Verdict({"bpm": 97.0}, (WRONG,)),
        Verdict({"bpm": 120.0, "off": 0.0}),
        Verdict({"bpm": 120.0, "off": 0.05}),
    ]
    monkeypatch.setattr(verdict, "judge", lambda sound, rate, wanted: heard.pop(0))


@pytest.mark.usefixtures("ear")
def test_the_best_of_several_takes_are_kept(runner):
    """Those nearest to what was asked, in their own files; the others leave nothing behind, and the recipe says the choice."""
    result, folder = runner.run("generate", **PARTS, keep=2, check="off", returns=["part", "latent"])
    assert result.data["kept"] == [1, 2] and [one["variant"] for one in result.data["scores"]] == [1, 2, 0]
    assert {file.variant for file in result.files} == {1, 2} and len(result.files) == 4
    assert sorted(path.name for path in folder.iterdir()) == sorted(file.name for file in result.files)
    assert any("2 of 3 takes were kept, by measure: 2, 3; the others were discarded" in note for note in result.notes)
    request = result.recipe["request"]
    assert (request["output"]["keep"], request["stages"][0]["seeds"]) == (2, [1, 2, 3])


@pytest.mark.usefixtures("ear")
def test_scores_are_told_and_nothing_is_discarded(runner):
    """1 is as asked; a smaller scale is stricter."""
    result, folder = runner.run("generate", **PARTS, auto_score=True, score_scale=0.25)
    scores = {one["variant"]: one["score"] for one in result.data["scores"]}
    assert scores[1] == 1.0 and scores[1] > scores[2] > scores[0] > 0
    assert scores[0] == score(1.5, 0.25) and "kept" not in result.data
    assert len([file for file in result.files if file.role == "part"]) == 3
    kept = soundfile.read(folder / next(file.name for file in result.files if file.variant == 1))[0]
    assert np.isfinite(kept).all()


def test_more_takes_than_are_made_cannot_be_kept(runner):
    """Refused at the door, with the limit."""
    with pytest.raises(BadRequest, match="keep is 4, but only 3 of variants are made") as caught:
        runner.run("generate", **PARTS, keep=4)
    assert (caught.value.field, caught.value.limits) == ("keep", {"max": 3})


def test_what_cannot_be_measured_is_kept_whole_and_told(runner):
    """The random model's takes are noise, so none is better."""
    result, _ = runner.run("generate", **PARTS, keep=1)
    assert len({file.variant for file in result.files}) == 3
    assert any("cannot be measured" in note for note in result.notes)


def test_distance_counts_what_is_wrong_first():
    """A problem weighs more than any small deviation, and a beat that is not clear a little."""
    fine = {"heard": {"bpm": 120.0, "off": 0.0}, "problems": []}
    late = {"heard": {"bpm": 121.2, "off": 0.06}, "problems": []}
    vague = {"heard": {"beat": "none that is clear"}, "problems": []}
    assert distance(fine, 120.0) == 0 < distance(vague, 120.0) < distance(late, 120.0) < 1
    assert distance({**late, "problems": ["x"]}, 120.0) > 1
    assert score(0.0, 0.5) == 1.0 and score(1.0, 0.1) < score(1.0, 0.5) < score(1.0, 2.0)


def test_lines_get_their_times(runner, monkeypatch):
    """For every take, as LRC; what is not sung has none, and a note says so."""
    lyrics = "[Verse]\nhello there\nmy friend"
    result, _ = runner.run("generate", **{**PARTS, "variants": 1, "seeds": [1]}, lyrics=lyrics, auto_timing=True)
    (timing,) = result.data["timing"]
    assert timing["variant"] == 0 and "hello there" in timing["lrc"] and timing["lrc"].startswith("[00:")
    silent, _ = runner.run("generate", **{**PARTS, "variants": 1, "seeds": [1]}, auto_timing=True)
    assert "timing" not in silent.data and "auto_timing has no effect: nothing is sung" in silent.notes
    assert takes.TIMED == "lyrics-timing"
