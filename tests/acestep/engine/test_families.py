"""Another model family behind the same engine: the same contract for whatever it makes, and clear words for what it cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from acestep.api.errors import AceError, BadLatent, BadRequest, Cancelled, ModelMissing, ModelUnsuited
from acestep.audio.latent_header import read_latent_facts
from acestep.families.ace_step_v1 import romanise
from acestep.families.ace_step_v1.codec import MusicCodec
from acestep.families.ace_step_v1.load import open_checkpoint
from acestep.families.ace_step_v1.published import VOCABULARY
from acestep.families.ace_step_v1.runtime import image_of
from acestep.families.ace_step_v1.tiny import FOLDER, build_tiny
from acestep.latents.latent_file import load_latent

V1 = "v1-tiny"
QUICK = {"model": V1, "steps": 2, "seed": 4, "caption": "soft piano"}


@pytest.fixture(scope="module", autouse=True)
def tiny_v1(runner) -> Path:
    """A tiny checkpoint among the runner's."""
    return build_tiny(runner.home / "checkpoints")


@pytest.fixture(scope="module")
def part(runner, tiny_v1):
    """A new part of 6 s, its result and file."""
    result, folder = runner.run("generate", duration=6.0, lyrics="[Verse]\nhello there", format="wav32f", **QUICK)
    return result, folder / result.files[0].name


@pytest.fixture
def long_song(song):
    return song(rate=48_000, seconds=9.0)


def samples(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="float64", always_2d=True)[0]


def test_a_part_has_the_asked_samples_and_its_recipe_makes_it_again(runner, part):
    """48 kHz as usual, to the sample; the same recipe gives the same samples."""
    result, path = part
    first = samples(path)
    assert first.shape == (288_000, 2) and np.abs(first).max() > 0
    again, folder = runner.run_recipe(result.recipe["request"])
    assert np.array_equal(samples(folder / again.files[0].name), first)
    assert result.recipe["licenses"] == {V1: "Apache-2.0"} and any("random weights" in note for note in result.notes)


def test_the_native_rate_is_the_codecs_own_samples(runner, tiny_v1):
    """44.1 kHz on request: what the vocoder made, and no resampler between."""
    result, folder = runner.run("generate", duration=5.5, rate=44_100, format="wav32f", **QUICK)
    made = samples(folder / result.files[0].name)
    assert made.shape == (242_550, 2)
    latents, _ = load_latent(next(folder.glob("*latent*")), "ace-step-v1-random")[:2]
    model = open_checkpoint(tiny_v1)
    whole = MusicCodec(model.autoencoder, model.vocoder).decode(image_of(latents)).numpy().T
    assert np.array_equal(made, whole[: len(made)].astype(np.float32)) and made.any()


def test_the_recipe_holds_everything_that_the_family_decided(part):
    """Options, steps and guidance stand in it, those that nobody named among them."""
    (stage,) = part[0].recipe["request"]["stages"]
    assert (stage["steps"], stage["guidance"], stage["guidance_scale"], stage["schedule"]) == (
        2,
        "apg",
        15.0,
        "double_shift",
    )
    assert {"omega=10", "guidance_interval=0.5", "erg_lyric=on", "variance=1"} <= set(stage["options"])


@pytest.mark.parametrize(
    ("operation", "more"),
    [
        ("repaint", {"start": 100_001, "end": 200_003}),
        ("repaint", {"start": 100_001, "end": 200_003, "options": ["variance=0.6"]}),
        ("cover", {"start": 96_000, "end": 300_001, "noise_strength": 0.3}),
        ("refine", {"start": 96_000, "end": 300_001, "t_start": 0.6}),
        ("flow-edit", {"start": 96_000, "end": 300_001, "source_caption": "guitar", "n_min": 0.0, "n_max": 0.5}),
    ],
)
def test_an_edit_leaves_everything_outside_bit_for_bit(runner, long_song, operation, more):
    """The whole file has the source's samples outside region and crossfade, and others inside."""
    result, folder = runner.run(operation, source=str(long_song), returns=["whole"], crossfade=10.0, **QUICK, **more)
    before, after = samples(long_song), samples(folder / result.files[0].name)
    low, high = more["start"] - 480, more["end"] + 480
    assert np.array_equal(after[:low], before[:low]) and np.array_equal(after[high:], before[high:])
    assert not np.array_equal(after[more["start"] : more["end"]], before[more["start"] : more["end"]])


def test_extends_to_both_sides(runner, long_song):
    """The file grows by what was asked for, and what was there stays."""
    length = 432_000
    for start, end in ((length - 1, length + 100_000), (-70_001, 1)):
        result, folder = runner.run("extend", source=str(long_song), start=start, end=end, returns=["whole"], **QUICK)
        made, before = samples(folder / result.files[0].name), samples(long_song)
        assert len(made) == max(end, length) - min(start, 0)
        kept = made[max(0, -start) :][5_000 : length - 5_000]
        assert np.array_equal(kept, before[5_000 : length - 5_000])


def test_seeds_retakes_and_options_change_what_is_made(runner, part):
    """Another seed, a variation, the guidance of text and lyrics apart, another omega: none is ignored.

    (The tiny networks have none of the layers that entropy-rectifying guidance weakens, so it shows only when it is off.)
    """
    made = {}
    for name, change in {
        "seed": {"seed": 5},
        "retake": {"variation": 0.3, "variation_seed": 9},
        "apart": {"options": ["guidance_text=5", "guidance_lyric=1.5", "guidance_interval=1"]},
        "omega": {"options": ["omega=80"]},
        "weak": {"options": ["erg_lyric=off"]},
        "heun": {"sampler": "heun"},
        "pingpong": {"sampler": "pingpong"},
        "cfg": {"guidance": "cfg", "guidance_scale": 3.0, "options": ["erg_lyric=off"]},
        "star": {"guidance": "cfg_zero_star", "options": ["erg_lyric=off"]},
    }.items():
        asked = {**QUICK, **change}
        result, folder = runner.run("generate", duration=6.0, lyrics="[Verse]\nhello there", format="wav32f", **asked)
        made[name] = samples(folder / result.files[0].name).tobytes()
    made["plain"] = samples(part[1]).tobytes()
    same = [(one, other) for one in made for other in made if one < other and made[one] == made[other]]
    assert same == []


def test_progress_comes_after_every_evaluation_and_a_cancel_is_heard_at_each(runner):
    """Two steps, the second guided or not as the interval says; the fraction never falls."""
    runner.run("generate", duration=5.0, options=["guidance_interval=1"], **QUICK)
    ticks = list(runner.ticks)
    fractions = [tick[3] for tick in ticks]
    assert fractions == sorted(fractions)
    assert [tick[1:3] for tick in ticks if tick[0] == "generate"] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for stop in range(1, len(ticks), 3):
        context = runner.context(runner.library / f"stopped-{stop}")
        seen: list[int] = []

        def report(*tick, context=context, seen=seen, stop=stop):
            seen.append(1)
            if len(seen) == stop:
                context.cancel()

        context._report = report
        with pytest.raises(Cancelled):
            runner.engine.run("render", _recipe(runner), context)
        assert len(seen) == stop


def _recipe(runner) -> dict:
    from acestep.admission.render import admit_render

    asked = {"duration": 5.0, "options": ["guidance_interval=1"], **QUICK}
    return admit_render(runner.registry, "generate", asked, runner.engine.host).render.to_recipe()


def test_stored_latents_stay_within_their_family(runner, part):
    """A latent of v1 is gone on with by v1, sound by sound; another family's model refuses it, and a chain across the two."""
    path = next(part[1].parent.glob("*latent*"))
    facts = read_latent_facts(path)
    assert (facts.family, facts.frames) == ("ace-step-v1-random", 65)
    name = f"{part[1].parent.name}/{path.name}"
    result, folder = runner.run("refine", source_latent=name, returns=["part"], **QUICK)
    assert samples(folder / result.files[0].name).shape == (288_000, 2)
    with pytest.raises(BadLatent, match="family"):
        runner.run("refine", source_latent=name, steps=2, model="tiny")
    with pytest.raises(BadLatent, match="cannot continue from a latent of v1-tiny"):
        stages = [{"type": "generate", "model": V1, "steps": 1}, {"type": "refine", "model": "tiny", "steps": 1}]
        runner.run("render", stages=stages, conditioning={"duration": 5.0})
    chain = [
        {"type": "generate", "model": V1, "steps": 1, "preview": True},
        {"type": "refine", "model": "tiny", "steps": 1, "source": {"stage": 1, "start": 0}},
    ]
    result, folder = runner.run("render", stages=chain, conditioning={"duration": 5.0})
    assert samples(folder / result.files[0].name).shape == (240_000, 2), (
        "through the sound they may go on from each other"
    )
    assert [preview["preview"] for preview in runner.previews] == [True]


@pytest.mark.parametrize(
    ("operation", "asked", "field", "words"),
    [
        ("lego", {"track": "drums"}, "model", "v1-tiny (ACE-Step v1) cannot do lego"),
        ("generate", {"duration": 241.0}, "duration", "makes 5 to 240 s at once"),
        ("generate", {"sampler": "dpmpp_2m"}, "sampler", "it knows euler, heun, pingpong"),
        ("generate", {"guide": "pulse"}, "guide", "does not follow guide; ACE-Step 1.5 can (turbo"),
        ("generate", {"thinking": True}, "thinking", "does not follow thinking"),
        ("generate", {"timesteps": [1.0, 0.5, 0.0]}, "timesteps", "does not follow timesteps"),
        ("generate", {"options": ["omega=300"]}, "options", "omega"),
        ("generate", {"options": ["colour=blue"]}, "options", "the model has these of its own: omega"),
        ("generate", {"options": ["erg_text=perhaps"]}, "options", "on or off"),
        ("generate", {"quality": "best"}, "quality", "it has fast, quality"),
        ("generate", {"shift": 2.0}, "shift", "shift is 3 with v1-tiny"),
        ("repaint", {"mode": "aggressive"}, "mode", "does not follow mode"),
        ("generate", {"lyrics": "こんにちは"}, "lyrics", "Japanese lyrics need the package unidic-lite: pip install"),
        ("generate", {"lyrics": "你好"}, "lyrics", "Chinese lyrics need the package pypinyin: pip install"),
        ("flow-edit", {"source_lyrics": "你好"}, "lyrics", "Chinese lyrics need the package pypinyin: pip install"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name_before_any_work(
    runner, long_song, monkeypatch, operation, asked, field, words
):
    """One sentence with the field; where another family can, its models are named. (No package of a language is installed.)"""
    for package in ("unidic_lite", "cutlet", "pypinyin"):
        monkeypatch.setitem(sys.modules, package, None)
    romanise._cutlet.cache_clear()
    given = {**QUICK, **asked}
    if operation != "generate":
        given |= {"source": str(long_song), "start": 0, "end": 48_000}
    with pytest.raises(AceError) as failure:
        runner.run(operation, **given)
    assert failure.value.field == field and words in failure.value.message


def test_lego_names_the_models_that_can(runner, long_song):
    with pytest.raises(ModelUnsuited) as failure:
        runner.run("lego", source=str(long_song), track="drums", **QUICK)
    assert failure.value.limits["choices"] == ["base", "xl-base"]


def test_quality_fills_what_is_left_open(runner):
    """27 and 60 steps; a number that is named stands above it, and the result says so."""
    from acestep.admission.render import admit_render

    for quality, steps in (("fast", 27), ("quality", 60)):
        asked = {"model": V1, "duration": 5.0, "quality": quality}
        admitted = admit_render(runner.registry, "generate", asked, runner.engine.host)
        assert admitted.render.stages[0].params.steps == steps
    asked = {"model": V1, "duration": 5.0, "quality": "fast", "steps": 3}
    admitted = admit_render(runner.registry, "generate", asked, runner.engine.host)
    assert admitted.render.stages[0].params.steps == 3 and "steps 3 overrides quality fast" in admitted.notes
    with pytest.raises(BadRequest, match="it has none"):
        admit_render(runner.registry, "generate", {"model": "tiny", "quality": "fast"}, runner.engine.host)


def test_without_its_vocabulary_it_makes_instrumental_music(runner, tmp_path):
    """Words are refused with where the vocabulary is to be had; without words it runs."""
    folder = tmp_path / "checkpoints"
    root = build_tiny(folder)
    (root / VOCABULARY).unlink()
    engine = runner.fresh_engine(checkpoints=[folder])
    with pytest.raises(ModelMissing, match="instrumental music works without it"):
        runner.run("generate", engine, duration=5.0, lyrics="la la", **QUICK)
    result, made = runner.run("generate", engine, duration=5.0, lyrics="[Instrumental]", **QUICK)
    assert samples(made / result.files[0].name).shape == (240_000, 2)


def test_models_and_problems_of_all_families_are_found(runner, tmp_path):
    """A checkpoint with a part missing is told by its sentence and by no other; the shipped model stays what it was."""
    from acestep.checkpoints.families import find_models, model_problems

    families = runner.registry.families
    assert V1 in {info.name for info in find_models([runner.home / "checkpoints"], families)}
    root = build_tiny(tmp_path / "broken")
    (root / "music_vocoder" / "config.json").unlink()
    assert model_problems([tmp_path / "broken"], families) == {
        str(root): f"{FOLDER} is not complete: music_vocoder/config.json is missing; download the model again"
    }


def test_adapters_change_what_is_made_and_are_told(runner, tmp_path):
    """An adapter of v1 works at its scale, stands in notes and recipe; another family's model refuses it, and v1 refuses theirs."""
    place = runner.home / "loras" / "rap"
    place.mkdir(parents=True)
    generator = torch.Generator().manual_seed(2)
    factors = {
        f"transformer_blocks.0.attn.{layer}.{side}.weight": torch.randn(shape, generator=generator)
        for layer in ("to_q", "to_v")
        for side, shape in (("lora_A", (4, 256)), ("lora_B", (256, 4)))
    }
    save_file(factors, place / "pytorch_lora_weights.safetensors")
    made = []
    for lora in ([], ["rap=0.5"], []):
        result, folder = runner.run("generate", duration=5.0, lora=lora, format="wav32f", **QUICK)
        made.append(samples(folder / result.files[0].name))
        assert ("lora/rap" in result.recipe["weights"]) == bool(lora)
    assert np.array_equal(made[0], made[2]) and not np.array_equal(made[0], made[1])
    with pytest.raises(AceError, match="made for ACE-Step v1"):
        runner.run("generate", duration=10.0, steps=1, model="tiny", lora=["rap"])
    layer = "base_model.model.layers.0.self_attn.q_proj"
    (place.parent / "newer").mkdir()
    save_file(
        {f"{layer}.lora_A.weight": torch.zeros(4, 64), f"{layer}.lora_B.weight": torch.zeros(64, 4)},
        place.parent / "newer" / "adapter_model.safetensors",
    )
    with pytest.raises(AceError, match=r"made for ACE-Step 1.5") as failure:
        runner.run("generate", duration=5.0, lora=["newer"], **QUICK)
    assert failure.value.field == "lora"


def test_a_shard_that_came_half_and_a_file_of_another_family_are_told(runner, tmp_path):
    """Each by one sentence of its own family; neither is offered as a model."""
    from acestep.checkpoints.families import find_models, model_problems

    families = runner.registry.families
    root = build_tiny(tmp_path / "models")
    weights = root / "music_dcae_f8c8" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    alone = {
        "model.diffusion_model.lyric_embs.weight": torch.zeros(3, 4),
        "model.diffusion_model.lyric_proj.weight": torch.zeros(4, 4),
    }
    save_file(alone, tmp_path / "models" / "half.safetensors")
    assert find_models([tmp_path / "models"], families) == []
    problems = model_problems([tmp_path / "models"], families)
    assert set(problems) == {str(root), str(tmp_path / "models" / "half.safetensors")}
    assert (
        "music_dcae_f8c8" in problems[str(root)]
        and "holds no" in problems[str(tmp_path / "models" / "half.safetensors")]
    )


def test_a_check_by_headers_compares_every_part(runner, tiny_v1):
    """All four parts are whole, and the check says what the model does."""
    from acestep.checkpoints.checking import check_place

    (check,) = check_place(tiny_v1, families=runner.registry.families)
    assert check.usable and check.kind == "model, ACE-Step v1" and "flow-edit" in check.tasks
    assert [(part.part, part.whole, part.total > 0) for part in check.parts] == [
        (part, True, True) for part in ("ace_step_transformer", "music_dcae_f8c8", "music_vocoder", "umt5-base")
    ]
