"""Fields that the original gained lately: they do what they do there, under its names too, and are never ignored in silence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

from acestep.api.errors import BadRequest
from acestep.checkpoints.info import read_info
from acestep.checkpoints.tiny import build_tiny
from acestep.latents.latent_file import load_latent

WISH = {"length": 20_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f", "model": "tiny"}


def latent(runner, **params) -> torch.Tensor:
    result, folder = runner.run("generate", **WISH, returns=["part", "latent"], **params)
    name = next(file.name for file in result.files if file.role == "latent")
    return load_latent(folder / name, runner.engine.models.info("tiny").latent_family)[0]


def sound(runner, operation: str = "generate", **params) -> np.ndarray:
    result, folder = runner.run(operation, **{**WISH, **params})
    return soundfile.read(folder / result.files[0].name)[0]


def test_latents_are_rescaled_then_shifted(runner):
    """x * latent_rescale + latent_shift, in what is stored as in what is heard."""
    bare, moved = latent(runner), latent(runner, latent_rescale=0.5, latent_shift=0.25)
    made = WISH["length"] // 1920  # whole frames of the part; what pads it to the model's minimum stays as it is
    torch.testing.assert_close(moved[:, :made], bare[:, :made] * 0.5 + 0.25, atol=2e-3, rtol=2e-3)
    assert torch.equal(moved[:, made + 1 :], bare[:, made + 1 :])
    assert not np.array_equal(sound(runner), sound(runner, latent_rescale=0.5, latent_shift=0.25))


def test_an_edit_is_moved_inside_its_region_only(runner, tmp_path):
    """What a repaint was given around the region stays as it was encoded; the file outside it is the source's own."""
    source = tmp_path / "source.wav"
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (96_000, 2))
    soundfile.write(source, audio, 48_000, subtype="FLOAT")
    params = {
        "source": str(source),
        "start": 30_000,
        "end": 60_000,
        "seed": 1,
        "steps": 2,
        "model": "tiny",
        "returns": ["whole"],
    }
    result, folder = runner.run("repaint", **params, latent_rescale=0.5, latent_shift=0.2)
    made = soundfile.read(folder / result.files[0].name)[0]
    before = soundfile.read(source)[0]
    assert np.array_equal(made[:24_000], before[:24_000]) and np.array_equal(made[66_000:], before[66_000:])


@pytest.mark.parametrize(
    ("theirs", "ours"), [("velocity_norm_threshold", "velocity_limit"), ("velocity_ema_factor", "velocity_average")]
)
def test_the_originals_names_mean_ours(runner, theirs, ours):
    """In a flat request and in a stage of a chain; said twice is refused; the recipe has our word."""
    wanted = sound(runner, **{ours: 0.5})
    assert np.array_equal(sound(runner, **{theirs: 0.5}), wanted)
    own = {"type": "generate", "model": "tiny", "seed": 3, "steps": 2, theirs: 0.5}
    output = {"length": 20_000, "rate": 48_000, "format": "wav32f"}
    result, folder = runner.run("render", stages=[own], output=output)
    assert np.array_equal(soundfile.read(folder / result.files[0].name)[0], wanted)
    assert result.recipe["request"]["stages"][0][ours] == 0.5 and theirs not in result.recipe["request"]["stages"][0]
    with pytest.raises(BadRequest) as twice:
        runner.run("render", stages=[{**own, ours: 0.5}], output=output)
    assert twice.value.field == f"stages[0].{theirs}"


@pytest.mark.parametrize("theirs", ["velocity_norm_threshold", "velocity_ema_factor"])
def test_flow_edit_refuses_them(runner, tmp_path, theirs):
    """Its Euler steps have no such limit; nothing is ignored."""
    source = tmp_path / "source.wav"
    soundfile.write(source, np.zeros((48_000, 2)) + 0.1, 48_000)
    with pytest.raises(BadRequest, match="velocity_"):
        runner.run("flow-edit", source=str(source), start=0, end=24_000, caption="x", model="tiny", **{theirs: 0.5})


def test_a_song_caption_is_read_by_models_tuned_on_stems_only(runner):
    """Their config says so; every other model leaves it out and the result says that."""
    result, folder = runner.run("generate", **WISH, global_caption="a funk song")
    (note,) = [note for note in result.notes if "global_caption" in note]
    assert "tiny" in note and np.array_equal(soundfile.read(folder / result.files[0].name)[0], sound(runner))
    stems = build_tiny(runner.home / "checkpoints", config={"is_lego_sft": True}, name="acestep-v15-stems")
    assert json.loads((stems / "config.json").read_text())["is_lego_sft"] and read_info(stems).stem_captions
    first, second = (sound(runner, model="stems", global_caption=text) for text in ("a funk song", "a waltz"))
    assert not np.array_equal(first, second)
