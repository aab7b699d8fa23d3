"""A recipe makes the same samples again; variants are what they would be alone."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.admission.render import admit_render
from acestep.api.errors import BadRequest, WeightsChanged

OPERATIONS = {
    "generate": {"length": 50_000, "rate": 44_100, "caption": "calm", "bpm": 100.0},
    "repaint": {"start": 10_000, "end": 50_000, "returns": ["whole", "patch"]},
    "extend": {"start": 120_000, "end": 200_000, "returns": ["whole"]},
    "refine": {"start": 0, "end": 60_000, "t_start": 0.5},
    "cover": {"start": 0, "end": 60_000, "strength": 0.5, "noise_strength": 0.3},
    "extract": {"track": "drums", "returns": ["stem", "residual"]},
    "lego": {"track": "bass", "guidance_scale": 3.0},
    "complete": {"tracks": ["drums", "keys"], "sampler": "sde"},
    "flow-edit": {"source_caption": "piano", "caption": "organ", "end": 60_000},
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_recipe_gives_the_same_file(runner, song, operation):
    """The recipe of a result, run in an engine that knows nothing of it, gives files of the same sha256."""
    params = {"steps": 2, **OPERATIONS[operation]}
    if operation != "generate":
        params["source"] = str(song())
    first, _ = runner.run(operation, **params)
    again, _ = runner.run_recipe(first.recipe["request"], runner.fresh_engine())
    assert [file.sha256 for file in again.files] == [file.sha256 for file in first.files]
    assert again.recipe == first.recipe


def test_recipe_leaves_nothing_open(runner):
    """Steps, sampler, schedule, shift, guidance, seed and model stand in the recipe, and what it ran on."""
    result, _ = runner.run("generate", length=1_000)
    stage = result.recipe["request"]["stages"][0]
    assert all(
        stage[name] not in (None, "auto", "") for name in ("steps", "sampler", "schedule", "shift", "guidance", "model")
    )
    assert stage["seeds"] == list(result.seeds) and stage["seed"] >= 0
    assert result.recipe["weights"]["tiny"] and result.recipe["dtype"] == "float32"


def test_variants_are_what_they_are_alone(runner, song):
    """Each of several variants is bit-equal to a single run with its seed, and they differ from each other."""
    path = str(song())
    both, folder = runner.run("repaint", source=path, start=1_000, end=40_000, seeds=[7, 8], variants=2, steps=2)
    sounds = [soundfile.read(folder / file.name)[0] for file in both.files]
    assert not np.array_equal(*sounds)
    for seed, sound in zip((7, 8), sounds, strict=True):
        alone, place = runner.run("repaint", source=path, start=1_000, end=40_000, seed=seed, steps=2)
        assert np.array_equal(soundfile.read(place / alone.files[0].name)[0], sound)


def test_variation_zero_is_the_seeds_own_take(runner):
    """The retake mix starts at the seed's own take and leaves it from there."""
    takes = [
        runner.run("generate", length=9_000, seed=3, variation=amount, variation_seed=9, steps=2)
        for amount in (0.0, 0.0, 0.3)
    ]
    digests = [result.files[0].sha256 for result, _ in takes]
    sounds = [soundfile.read(folder / result.files[0].name)[0] for result, folder in takes]
    assert digests[0] == digests[1]
    assert not np.array_equal(sounds[0], sounds[2])


def test_untrained_weights_are_called_noise(runner):
    """Nobody takes a random checkpoint's output for music."""
    result, _ = runner.run("generate", length=100, steps=1)
    assert any("noise" in note for note in result.notes)


@pytest.mark.parametrize("operation", ["generate", "repaint", "cover", "extract"])
def test_batches_equal_single_runs_to_rounding(runner, song, operation):
    """Variants that run together differ from those that run alone by no more than 1e-3 of full scale."""
    params = {"steps": 2, "seeds": [7, 8, 9], "variants": 3, "format": "wav32f", **OPERATIONS[operation]}
    if operation != "generate":
        params |= {"source": str(song())}
    params |= {"returns": ["patch" if operation == "repaint" else "stem" if operation == "extract" else "part"]}
    (alone, folder), (together, place) = (runner.run(operation, **params, batch=batch) for batch in (False, True))
    assert any("batch" in note for note in together.notes)
    for one, other in zip(alone.files, together.files, strict=True):
        difference = np.abs(soundfile.read(folder / one.name)[0] - soundfile.read(place / other.name)[0]).max()
        assert difference < 1e-3


def test_a_source_is_needed_for_its_patch(runner):
    """Files that are made of the source's samples are refused where there is no source."""
    with pytest.raises(BadRequest, match="whole"):
        runner.run(
            "render", stages=[{"type": "generate"}, {"type": "refine"}], output={"length": 99, "returns": ["whole"]}
        )


def test_a_recipe_is_closed_against_another_default_model(runner):
    """The model, its steps and its guide stand in it: an engine whose default is another one gives the same samples."""
    first, _ = runner.run("generate", length=20_000, rate=48_000, steps=2, seed=5, bpm=120.0)
    request = first.recipe["request"]
    assert request["stages"][0]["model"] == "tiny" and request["stages"][0]["guide"] == "none"
    assert request["weights"] == first.recipe["weights"] and request["made_on"] == "cpu float32"
    again, _ = runner.run_recipe(request, runner.fresh_engine(model="nano"))
    assert [file.sha256 for file in again.files] == [file.sha256 for file in first.files]
    assert again.recipe == first.recipe


def test_the_guide_of_a_model_stands_in_the_recipe(runner):
    """The small model's own beat, chosen where the request named none, is written out."""
    result, _ = runner.run("generate", model="nano", length=20_000, rate=48_000, steps=1, seed=5, bpm=120.0)
    assert result.recipe["request"]["stages"][0]["guide"] == "auto"
    again, _ = runner.run_recipe(result.recipe["request"], runner.fresh_engine())
    assert [file.sha256 for file in again.files] == [file.sha256 for file in result.files]


def test_a_recipe_file_runs_as_it_is(runner):
    """The sidecar itself, wrapper and all, is a request of render."""
    first, _ = runner.run("generate", length=9_000, rate=48_000, steps=1)
    admitted = admit_render(runner.registry, "render", first.recipe, runner.engine.host)
    again, _ = runner.run_recipe(admitted.render.to_recipe())
    assert [file.sha256 for file in again.files] == [file.sha256 for file in first.files]


def test_other_weights_under_the_same_name_are_said(runner):
    """The samples could not come back, and the sentence says whose fault it is and what can be done."""
    first, _ = runner.run("generate", length=9_000, rate=48_000, steps=1)
    changed = {**first.recipe["request"], "weights": {"tiny": "0" * 32}}
    with pytest.raises(WeightsChanged, match="other weights of tiny") as caught:
        runner.run_recipe(changed)
    assert caught.value.field == "weights"
    del changed["weights"]
    runner.run_recipe(changed)


def test_another_device_or_number_type_is_told(runner):
    """Samples come back to rounding only, and the result says so."""
    first, _ = runner.run("generate", length=9_000, rate=48_000, steps=1)
    elsewhere = {"made_on": "cuda bfloat16", "precision": {"tiny": "bfloat16"}}
    again, _ = runner.run_recipe({**first.recipe["request"], **elsewhere})
    assert (
        "the recipe was made on cuda bfloat16 and ran on cpu float32: the samples are the same only up to rounding"
        in again.notes
    )
    assert not any("was made on" in note for note in first.notes)


def test_version_1_of_a_recipe_is_still_read(runner):
    """As it was written: inputs counted from 0, and files of the last stage alone."""
    shared = {"steps": 2, "seeds": [3]}
    new, folder = runner.run(
        "render",
        stages=[{"type": "generate", **shared}, {"type": "refine", **shared, "source": {"stage": 1}}],
        output={"length": 9_000, "rate": 48_000},
    )
    old = {**new.recipe["request"], "version": 1}
    old["stages"] = [{name: value for name, value in stage.items() if name != "source"} for stage in old["stages"]]
    old["stages"][1]["input"] = 0
    recipe = {**new.recipe, "version": 1, "request": old}
    admitted = admit_render(runner.registry, "render", recipe, runner.engine.host)
    again, place = runner.run_recipe(admitted.render.to_recipe())
    assert len(again.files) == len(new.files) == 1
    sounds = [soundfile.read(where / found.files[0].name)[0] for found, where in ((new, folder), (again, place))]
    assert np.array_equal(*sounds)
