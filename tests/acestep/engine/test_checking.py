"""What a job asks of its parts is checked, mended where that is asked, and told. The ear is scripted here; what it hears is
`test_truth`'s subject."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.engine import checking
from acestep.engine.truth import Verdict

PART = {"length": 60_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f", "bpm": 120.0}
WRONG = "asked for 120 bpm, 97.0 are heard"


@pytest.fixture
def ear(monkeypatch):
    """Let every part be checked, and say what is heard in each, in order."""
    verdicts: list[Verdict] = []
    monkeypatch.setattr(checking, "is_checked", lambda chain, index, model: chain.render.output.check != "off")
    monkeypatch.setattr(checking, "judge", lambda sound, rate, wanted: verdicts.pop(0))
    return verdicts


def wrong(speed: float = 1.2) -> Verdict:
    return Verdict({"bpm": 97.0}, (WRONG,), speed)


def right(speed: float = 1.0) -> Verdict:
    return Verdict({"bpm": 120.0 / speed}, (), speed)


def sound(result, folder, number: int = 0) -> np.ndarray:
    return soundfile.read(folder / result.files[number].name)[0]


def test_a_problem_is_noted_and_nothing_else_changes(studio, ear):
    ear += [wrong()]
    result, folder = studio.run("generate", **PART)
    plain, other = studio.run("generate", **PART, check="off")
    assert WRONG in result.notes and np.array_equal(sound(result, folder), sound(plain, other))
    assert result.data["check"] == [{"stage": 1, "variant": 0, "seed": 3, "heard": {"bpm": 97.0}, "problems": [WRONG]}]
    assert "check" not in plain.data


def test_a_retry_takes_another_seed_shows_it_and_is_repeatable(studio, ear):
    """The second seed is right: its sound, its latent, its seed in the recipe, and what was tried beside it."""
    ear += [wrong(), right()]
    result, folder = studio.run("generate", **PART, check="retry")
    (told,) = result.data["check"]
    assert [one["seed"] for one in told["tried"]] == [3, told["seed"]] and told["seed"] != 3
    assert any(name == "generate (retry 1)" for name, *_ in studio.ticks)
    fractions = [fraction for *_, fraction in studio.ticks]
    assert fractions == sorted(fractions)
    assert result.seeds == (told["seed"],) and result.files[0].seed == told["seed"]
    assert result.recipe["tried"] == [{"stage": 1, "variant": 0, "seeds": [3, told["seed"]]}]
    assert any("made again 1 time with other seeds" in note for note in result.notes)
    plain, other = studio.run("generate", **{**PART, "seed": told["seed"]}, check="off")
    assert np.array_equal(sound(result, folder), sound(plain, other))
    ear += [right()]
    again, third = studio.run_recipe(result.recipe["request"])
    assert np.array_equal(sound(again, third), sound(result, folder))


def test_after_two_retries_the_best_is_kept(studio, ear):
    """The first was the nearest: it is returned, and what is wrong with it is told."""
    ear += [wrong(1.1), wrong(1.2), wrong(1.3)]
    result, folder = studio.run("generate", **PART, check="retry")
    plain, other = studio.run("generate", **PART, check="off")
    assert np.array_equal(sound(result, folder), sound(plain, other))
    assert len(result.data["check"][0]["tried"]) == 3 and WRONG in result.notes and result.seeds == (3,)


def test_only_the_variant_that_is_wrong_is_made_again(studio, ear):
    ear += [right(), wrong(), right()]
    wish = {**PART, "seeds": [3, 4], "variants": 2}
    result, folder = studio.run("generate", **wish, check="retry")
    plain, other = studio.run("generate", **wish, check="off")
    assert np.array_equal(sound(result, folder), sound(plain, other))
    assert not np.array_equal(sound(result, folder, 1), sound(plain, other, 1))
    assert result.seeds[0] == 3 and result.seeds[1] != 4


def test_a_part_within_half_a_percent_is_conformed_and_keeps_its_length(studio, ear):
    ear += [right(1.004)]
    result, folder = studio.run("generate", **PART, check="conform")
    assert len(sound(result, folder)) == 60_000
    assert np.abs(sound(result, folder)[-200:]).max() > 0
    assert any("heard and conformed" in note and "+6.9 cents" in note for note in result.notes)
    ear += [right(1.02)]
    result, _ = studio.run("generate", **PART, check="conform")
    assert not any("conformed" in note for note in result.notes)


def test_models_that_were_not_trained_and_edits_are_not_listened_to(studio, song, monkeypatch):
    """Noise says nothing, and an edit lies in its song."""
    monkeypatch.setattr(checking, "judge", None)
    assert "check" not in studio.run("generate", **PART)[0].data
