"""Extract cuts its stem out of what it works on: the two parts never hold more than the whole."""

from __future__ import annotations

import random

import numpy as np
import pytest
import soundfile

from acestep.api.limits import MAX_SEED
from acestep.codec.mask import masked


def power(sound: np.ndarray) -> float:
    return float(np.square(sound).mean())


def test_a_masked_stem_takes_its_power_out_of_the_mix(runner, song):
    """Even a model of random weights cannot take more than there is; unmasked, what it made up is added to the residual."""
    mix = soundfile.read(song(rate=44_100), always_2d=True)[0].T[:, 1_001:90_002]
    left = {}
    for asked in (True, False):
        result, folder = runner.run(
            "extract", source=str(song(rate=44_100)), start=1_001, end=90_002, track="drums", soft_mask=asked,
            returns=["stem", "residual"], format="wav32f", seed=1, steps=2,
        )  # fmt: skip
        stem, residual = (soundfile.read(folder / file.name, always_2d=True)[0].T for file in result.files)
        assert stem.shape == mix.shape and np.abs(stem + residual - mix).max() < 1e-6
        left[asked] = power(stem) + power(residual)
    assert left[True] <= 1.001 * power(mix) < left[False]


def test_a_stem_of_something_new_is_a_part_of_it(runner):
    """In a chain the mix is what the stage before made."""
    stages = [{"type": "generate", "steps": 2, "seed": 1, "preview": True},
              {"type": "extract", "track": "vocals", "steps": 2, "seed": 2}]  # fmt: skip
    result, folder = runner.run("render", stages=stages, output={"length": 96_000, "rate": 48_000})
    whole, stem = (soundfile.read(folder / file.name, always_2d=True)[0].T for file in result.files)
    assert power(stem) + power(whole - stem) <= 1.001 * power(whole)


def test_more_takes_make_one_stem(runner, song, monkeypatch):
    """The stem is made of the takes of its seeds, repeats exactly, and counts its work as one; its latent is one, too."""
    given = []

    def listen(takes, *rest):
        given.append(takes)
        return masked(takes, *rest)

    monkeypatch.setattr("acestep.engine.render.masked", listen)
    path, shared = str(song(rate=48_000)), {"track": "drums", "end": 96_000, "format": "wav32f", "steps": 2}

    def stem(found, folder) -> np.ndarray:
        return soundfile.read(folder / found.files[0].name)[0]

    several, folder = runner.run("extract", source=path, takes=3, seed=5, returns=["stem", "latent"], **shared)
    counts = {(done, of) for stage, done, of, _ in runner.ticks if stage == "extract"}
    assert (1, 6) in counts and (6, 6) in counts
    assert [file.role for file in several.files] == ["stem", "latent"]
    recipe = several.recipe["request"]
    assert recipe["stages"][0]["takes"] == 3 and np.array_equal(stem(*runner.run_recipe(recipe)), stem(several, folder))
    together = given[0]
    seeds = [5, *(random.Random(f"5/{take}").randint(0, MAX_SEED) for take in (1, 2))]
    singles = [stem(*runner.run("extract", source=path, takes=1, seed=seed, **shared)) for seed in seeds]
    alone = [takes[0] for takes in given[-3:]]
    assert len(together) == 3 and np.allclose(together, alone, atol=1e-6)
    assert power(stem(several, folder)) > power(np.mean(singles, 0)), "near the loudest, where takes disagree"
    assert not np.allclose(singles[0], singles[1], atol=1e-3)


def test_takes_that_agree_are_enough(runner, song, monkeypatch):
    """No more are made, and the recipe, which holds the most there may be, gives the same again."""
    given = []
    monkeypatch.setattr(
        "acestep.engine.render.masked", lambda takes, *rest: given.append(len(takes)) or masked(takes, *rest)
    )
    path, shared = str(song(rate=48_000)), {"track": "drums", "end": 48_000, "format": "wav32f", "steps": 1}
    for least, made in ((100.0, 3), (0.0, 5)):
        monkeypatch.setattr("acestep.codec.mask.UNCERTAIN", least)
        first, _ = runner.run("extract", source=path, takes=5, variants=2, **shared)
        again, _ = runner.run_recipe(first.recipe["request"])
        assert [file.sha256 for file in again.files] == [file.sha256 for file in first.files]
        assert given == 4 * [made] and first.recipe["request"]["stages"][0]["takes"] == 5
        given.clear()


@pytest.mark.parametrize("soft_mask", [True, False])
def test_only_a_rendered_stem_is_its_latent(runner, song, soft_mask):
    """An edit of a masked stem encodes what is heard; the stem that the model rendered itself has a stored latent."""
    asked = {"track": "drums", "end": 96_000, "steps": 1, "soft_mask": soft_mask}
    stem, folder = runner.run("extract", source=str(song(rate=48_000)), returns=["stem", "latent"], seed=1, **asked)
    edited, _ = runner.run("repaint", source=str(folder / stem.files[0].name), start=10_000, end=50_000, steps=1)
    assert any("stored latent" in note for note in edited.notes) != soft_mask


def test_a_silent_stem_says_that_nothing_was_found(runner, song, tmp_path):
    """Out of silence comes a note that names the track and what to do; out of a song comes none."""
    shared = {"track": "backing_vocals", "end": 96_000, "format": "wav32f", "steps": 2, "seed": 1}
    soundfile.write(tmp_path / "silence.wav", np.zeros((96_000, 2)), 48_000)
    found, _ = runner.run("extract", source=str(tmp_path / "silence.wav"), **shared)
    assert [
        note for note in found.notes if "backing vocals: nothing was found here" in note and "try another track" in note
    ]
    found, _ = runner.run("extract", source=str(song(rate=48_000)), **shared)
    assert not [note for note in found.notes if "was found here" in note]
