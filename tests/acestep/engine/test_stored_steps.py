"""A stored step goes on only in a run of its own kind, and every refusal says what differs."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import soundfile
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from acestep.api.errors import BadLatent, BadRequest, NotFound
from acestep.audio.latent_header import read_latent_facts

WISH = {"length": 48_000, "rate": 48_000, "steps": 4, "seed": 3, "guidance": "apg", "guidance_scale": 3.0}


def store(runner, operation="generate", **params) -> str:
    """Run with a stored step after step 2; its id."""
    result, folder = runner.run(operation, **{**WISH, "checkpoint_step": 2, **params})
    return next(f"{folder.name}/{file.name}" for file in result.files if "-step-" in file.name)


@pytest.fixture(scope="module")
def stored(runner) -> str:
    return store(runner)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"length": 960_000}, r"length of 10.00 s \(250 frames\), and this stage works on 20.00 s \(500 frames\)"),
        ({"sampler": "heun"}, "sampler euler, not heun"),
        ({"sampler": "dpmpp_2m"}, "sampler euler, not dpmpp_2m"),
        ({"guidance": "cfg"}, "guidance apg, not cfg"),
        ({"guidance_scale": 1.0}, "guidance apg, not none"),
        ({"velocity_average": 0.2}, "velocity_average off, not on"),
        ({"steps": 6}, "schedule"),
        ({"shift": 1.0}, "schedule"),
        ({"sampler": "sde", "guidance": "none"}, "sampler euler, not sde, guidance apg, not none"),
    ],
    ids=lambda value: "-".join(f"{name}={given}" for name, given in value.items()) if isinstance(value, dict) else "",
)
def test_a_run_of_another_kind_is_refused(runner, stored, change, difference):
    with pytest.raises(BadLatent, match=difference) as caught:
        runner.run("generate", **{**WISH, **change}, resume=stored)
    assert caught.value.field == "resume"


def test_a_guided_run_cannot_go_on_from_an_unguided_one(runner):
    name = store(runner, guidance_scale=1.0)
    with pytest.raises(BadLatent, match="guidance none, not apg") as caught:
        runner.run("generate", **WISH, resume=name)
    assert caught.value.field == "resume"


def test_another_stage_type_is_refused(runner, stored, song):
    wish = {**WISH, "source": str(song(seconds=1.0)), "t_start": 1.0}
    with pytest.raises(BadLatent, match="stage type generate, not refine") as caught:
        runner.run("refine", **{name: value for name, value in wish.items() if name != "length"}, resume=stored)
    assert caught.value.field == "resume"


def test_a_step_of_a_later_stage_is_known_by_its_own_stage(runner):
    """What is compared are the settings of the stage that stored the step, not those of the chain's first."""
    stages = [
        {"type": "generate", "steps": 2, "seed": 1, "returns": []},
        {"type": "generate", "steps": 4, "seed": 3, "sampler": "heun", "checkpoint_step": 2},
    ]
    result, folder = runner.run("render", stages=stages, output={"length": 48_000, "rate": 48_000})
    name = next(f"{folder.name}/{file.name}" for file in result.files if "-step-" in file.name)
    again = {"length": 48_000, "rate": 48_000, "steps": 4, "resume": name}
    resumed, place = runner.run("generate", sampler="heun", **again)
    sounds = [
        soundfile.read(where / next(file.name for file in found.files if file.role == "part"))[0]
        for where, found in ((place, resumed), (folder, result))
    ]
    assert np.array_equal(*sounds)
    with pytest.raises(BadLatent, match="sampler heun, not euler"):
        runner.run("generate", **again)


def rewrite(runner, name, *, tensors=None, drop=()) -> str:
    """The stored step with other tensors or without keys of its description's checkpoint."""
    path = runner.library / name
    with safe_open(path, "pt") as file:
        description = file.metadata()
    for key in drop:
        description = {entry: text.replace(f'"{key}":', f'"other-{key}":') for entry, text in description.items()}
    save_file({**load_file(path), **(tensors or {})}, path, metadata=description)
    return name


def test_a_state_that_contradicts_itself_is_refused(runner):
    name = store(runner)
    shorter = load_file(runner.library / name)["state.x"][:, :10].contiguous()
    with pytest.raises(BadLatent, match="contradicts") as caught:
        runner.run("generate", **WISH, resume=rewrite(runner, name, tensors={"state.x": shorter}))
    assert caught.value.field == "resume"


@pytest.mark.parametrize(("key", "sentence"), [("stage", "which stage"), ("velocity_average", "lacks")])
def test_a_step_that_does_not_say_what_it_was_is_refused(runner, key, sentence):
    with pytest.raises(BadLatent, match=sentence) as caught:
        runner.run("generate", **WISH, resume=rewrite(runner, store(runner), drop=[key]))
    assert caught.value.field == "resume"


def test_a_damaged_or_missing_step_names_the_field(runner):
    name = store(runner)
    path = runner.library / name
    path.write_bytes(path.read_bytes()[:-100])
    for given, error in ((name, BadLatent), (f"{name}x", NotFound)):
        with pytest.raises(error) as caught:
            runner.run("generate", **WISH, resume=given)
        assert caught.value.field == "resume"


@pytest.mark.parametrize(
    ("operation", "params", "last"),
    [
        ("generate", {"steps": 4}, 4),
        ("generate", {"timesteps": [1.0, 0.5]}, 2),
        ("refine", {"steps": 4, "shift": 1.0, "t_start": 0.4}, 2),
    ],
)
def test_a_step_beyond_the_last_is_refused(runner, song, operation, params, last):
    """The last step is the last of the run itself: a run that starts later has fewer."""
    wish = {"length": 9_000} if operation == "generate" else {"source": str(song(seconds=1.0))}
    with pytest.raises(BadRequest) as caught:
        runner.run(operation, **wish, **params, checkpoint_step=last + 1)
    assert (caught.value.field, caught.value.limits) == ("checkpoint_step", {"min": 1, "max": last})
    result, _ = runner.run(operation, **wish, **params, checkpoint_step=last)
    assert any(f"-step-{last}" in file.name for file in result.files)


def test_a_step_behind_the_stored_one_is_refused(runner, stored):
    """A run that goes on after step 2 never comes past step 2 again."""
    with pytest.raises(BadRequest) as caught:
        runner.run("generate", **WISH, resume=stored, checkpoint_step=2)
    assert (caught.value.field, caught.value.limits) == ("checkpoint_step", {"min": 3, "max": 4})
    result, _ = runner.run("generate", **WISH, resume=stored, checkpoint_step=3)
    assert any("-step-3" in file.name for file in result.files)


def test_two_stages_of_one_type_keep_two_files(runner):
    """Each stored step has a name of its own, and the file that its entry describes."""
    refine = {"type": "refine", "t_start": 0.9, "steps": 3, "checkpoint_step": 1}
    result, folder = runner.run(
        "render",
        stages=[{"type": "generate", "steps": 1, "seed": 1}, {**refine, "seed": 2}, {**refine, "seed": 3}],
        output={"length": 48_000, "rate": 48_000},
    )
    steps = [file for file in result.files if "-step-" in file.name]
    assert [file.name for file in steps] == ["2-refine-1-step-1.safetensors", "3-refine-1-step-1.safetensors"]
    assert [read_latent_facts(folder / file.name).seed for file in steps] == [2, 3]
    assert all(hashlib.sha256((folder / file.name).read_bytes()).hexdigest() == file.sha256 for file in steps)
