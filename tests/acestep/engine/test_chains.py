"""Stages that chain in latent space, stored latents, and runs that are broken off and gone on with."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.api.errors import BadLatent, BadPreset, BadRequest, NotFound
from acestep.audio.latent_header import read_latent_facts
from acestep.audio.sniff import probe

SHARED = {"seeds": [4], "steps": 3}


def chain(runner, stages, engine=None, **rest):
    """Run stages given as maps."""
    return runner.run("render", engine, stages=stages, **rest)


def test_a_chain_is_one_run_without_a_decode(runner):
    """Generate then refine: one sound, two reports, and no decoding of the first stage."""
    result, folder = chain(
        runner,
        [{"type": "generate", **SHARED}, {"type": "refine", "t_start": 0.5, **SHARED}],
        output={"length": 30_000, "rate": 44_100},
    )
    assert [report.type for report in result.stages] == ["generate", "refine"]
    assert "decode" not in result.stages[0].seconds and "decode" in result.stages[1].seconds
    assert soundfile.info(folder / result.files[0].name).frames == 30_000


def test_chain_continues_the_latent_itself(runner):
    """Refining the stored latent of a take is bit-equal to doing both in one job."""
    both, _ = chain(
        runner,
        [{"type": "generate", **SHARED}, {"type": "refine", "t_start": 0.5, **SHARED}],
        output={"length": 30_000, "rate": 48_000, "format": "wav32f"},
    )
    _first, folder = runner.run("generate", length=30_000, returns=["part", "latent"], format="wav32f", seed=4, steps=3)
    name = f"{folder.name}/generate-latent.safetensors"
    second, place = runner.run("refine", source_latent=name, t_start=0.5, format="wav32f", seed=4, steps=3)
    expected = soundfile.read(runner.library / f"job-{runner.count - 2}" / both.files[0].name)[0]
    assert np.array_equal(soundfile.read(place / second.files[0].name)[0], expected)


def test_a_stage_may_continue_any_earlier_one(runner):
    """The input index reaches back over the stage before."""
    stages = [
        {"type": "generate", **SHARED},
        {"type": "refine", "t_start": 0.9, **SHARED},
        {"type": "refine", "t_start": 0.5, "input": 0, **SHARED},
    ]
    result, folder = chain(runner, stages, version=1, output={"length": 9_000, "rate": 48_000})
    assert len(result.files) == 1, "in version 1 the last stage alone returns files"
    short, place = chain(runner, [stages[0], {**stages[2], "input": None}], output={"length": 9_000, "rate": 48_000})
    sounds = [soundfile.read(where / found.files[0].name)[0] for found, where in ((result, folder), (short, place))]
    assert np.array_equal(*sounds)


def test_later_input_is_refused(runner):
    """A stage that names itself or a later one is not a chain."""
    with pytest.raises(BadPreset):
        chain(runner, [{"type": "generate"}, {"type": "refine", "input": 1}], output={"length": 10})


def test_generate_and_extract_without_a_file(runner):
    """An extracted stem of something new has its exact length."""
    result, folder = chain(
        runner,
        [{"type": "generate", **SHARED}, {"type": "extract", "track": "vocals", **SHARED}],
        output={"length": 12_345, "rate": 44_100},
    )
    assert result.files[0].role == "stem" and result.files[0].track == "vocals"
    assert soundfile.info(folder / result.files[0].name).frames == 12_345


def test_preview_decodes_on_the_way(runner):
    """A stage with preview leaves a file of its own and tells of it before the job is done."""
    result, folder = chain(
        runner,
        [{"type": "generate", "preview": True, **SHARED}, {"type": "refine", **SHARED}],
        output={"length": 5_000, "rate": 48_000},
    )
    assert [preview["name"] for preview in runner.previews] == ["1-generate-preview-part.wav"]
    assert soundfile.info(folder / "1-generate-preview-part.wav").frames == 5_000
    assert len(result.files) == 2


def test_own_results_are_edited_from_their_latent(runner):
    """A repaint of a part that lies beside its latent uses that latent; the outside stays the file's own samples."""
    part, folder = runner.run("generate", length=20 * 48_000, returns=["part", "latent"], seed=1, steps=2)
    path = folder / part.files[0].name
    by_file, place = runner.run(
        "repaint", source=str(path), start=480_000, end=500_000, returns=["whole"], seed=2, steps=2
    )
    assert any("stored latent" in note for note in by_file.notes)
    by_name, other = runner.run(
        "repaint", source_latent=f"{folder.name}/generate-latent.safetensors", start=480_000, end=500_000,
        returns=["whole"], seed=2, steps=2,
    )  # fmt: skip
    sounds = [soundfile.read(where / found.files[0].name)[0] for found, where in ((by_file, place), (by_name, other))]
    assert np.array_equal(*sounds)
    path.write_bytes(path.read_bytes()[:-2000] + bytes(2000))
    changed, _ = runner.run("repaint", source=str(path), start=480_000, end=500_000, seed=2, steps=1)
    assert not any("stored latent" in note for note in changed.notes)


def test_latent_says_what_it_is(runner):
    """Shape, model, caption, seed and recipe stand in the file; the door reads them without torch."""
    result, folder = runner.run("generate", length=44_100, rate=44_100, caption="blue", returns=["latent"], steps=1)
    path = folder / result.files[0].name
    facts = read_latent_facts(path)
    assert (facts.model, facts.caption, facts.samples, facts.rate) == ("tiny", "blue", 44_100, 44_100)
    assert facts.seed == result.seeds[0] and facts.recipe == result.recipe
    assert (probe(path).frames, probe(path).rate) == (44_100, 44_100)
    decoded, place = runner.run("refine", source_latent=f"{folder.name}/{path.name}", t_start=0.2, steps=2)
    assert soundfile.info(place / decoded.files[0].name).frames == 44_100


@pytest.mark.parametrize("damage", ["cut", "text", "family", "nan"])
def test_bad_latents_are_refused(runner, damage):
    """Truncated, foreign, of another family, not finite: one error, nothing else lost."""
    result, folder = runner.run("generate", length=9_000, returns=["latent"], steps=1)
    path = folder / result.files[0].name
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-100])
    elif damage == "text":
        path.write_bytes(b"no latent at all, but some text")
    elif damage == "family":
        path.write_bytes(data.replace(b"nano-random", b"none-random"))
    else:
        path.write_bytes(data[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(BadLatent):
        runner.run("refine", source_latent=f"{folder.name}/{path.name}", steps=1)


@pytest.mark.parametrize("name", ["job-1/none.safetensors", "../x/y.safetensors", "job-1", "/etc/passwd", "job-1/../a"])
def test_latents_are_found_in_the_library_only(runner, name):
    """Whatever the name spells, nothing outside the library is opened."""
    with pytest.raises(NotFound):
        runner.run("refine", source_latent=name, steps=1)


@pytest.mark.parametrize("sampler", ["euler", "heun", "dpmpp_2m", "sde", "pingpong", "dpmpp_2m_sde"])
def test_a_stored_step_goes_on_as_if_unbroken(runner, sampler):
    """For every sampler: stored after step 3 of 5 and gone on with, the samples are those of the unbroken run."""
    wish = {"length": 20_000, "rate": 48_000, "sampler": sampler, "steps": 5, "seed": 6, "guidance": "apg",
            "guidance_scale": 4.0, "velocity_average": 0.2, "format": "wav32f"}  # fmt: skip
    whole, folder = runner.run("generate", **wish, checkpoint_step=3)
    stored = next(file for file in whole.files if "step" in file.name)
    assert read_latent_facts(folder / stored.name).checkpoint["index"] == 2
    again = {**wish, "resume": f"{folder.name}/{stored.name}", "seed": -1}
    resumed, place = runner.run("generate", runner.fresh_engine(), **again)
    assert resumed.seeds == (6,)
    sounds = [
        soundfile.read(where / next(file.name for file in found.files if file.role == "part"))[0]
        for found, where in ((whole, folder), (resumed, place))
    ]
    assert np.array_equal(*sounds)
    assert sum(tick[0] == "generate" for tick in runner.ticks) == (4 if sampler == "heun" else 2) - (sampler == "heun")


def test_a_finished_latent_is_no_stored_step(runner):
    """Resuming needs the whole state of a run."""
    result, folder = runner.run("generate", length=9_000, returns=["latent"], steps=1)
    with pytest.raises(BadLatent):
        runner.run("generate", length=9_000, steps=1, resume=f"{folder.name}/{result.files[0].name}")


def test_resuming_on_another_schedule_is_refused(runner):
    """A stored step belongs to its own times, and to one take."""
    whole, folder = runner.run("generate", length=9_000, steps=5, checkpoint_step=2)
    name = next(f"{folder.name}/{file.name}" for file in whole.files if "step" in file.name)
    with pytest.raises(BadLatent, match="schedule"):
        runner.run("generate", length=9_000, steps=6, resume=name)
    with pytest.raises(BadRequest):
        runner.run("generate", length=9_000, steps=5, resume=name, variants=2)


def test_own_caption_of_a_stage(runner):
    """A stage's caption stands above the shared one."""
    plain = [{"type": "generate", **SHARED, "caption": "organ"}]
    one, _ = chain(runner, plain, conditioning={"caption": "piano"}, output={"length": 5_000, "rate": 48_000})
    two, _ = runner.run("generate", caption="organ", length=5_000, rate=48_000, seed=4, steps=3)
    three, _ = runner.run("generate", caption="piano", length=5_000, rate=48_000, seed=4, steps=3)
    folder = runner.library
    sounds = [
        soundfile.read(folder / f"job-{runner.count - back}" / found.files[0].name)[0]
        for back, found in ((2, one), (1, two), (0, three))
    ]
    assert np.array_equal(sounds[0], sounds[1]) and not np.array_equal(sounds[1], sounds[2])


def test_own_lyrics_of_a_stage(runner):
    """A stage's lyrics stand above the shared ones, and for that stage alone."""
    shared, own = "[Verse]\nla la la", "[Chorus]\noh oh oh"
    stages = [{"type": "generate", **SHARED}, {"type": "refine", "t_start": 0.6, **SHARED}]

    def take(lyrics, *lyrics_of_stages):
        parts = [{**stage, "lyrics": words} for stage, words in zip(stages, lyrics_of_stages, strict=True)]
        output = {"length": 5_000, "rate": 48_000, "format": "wav32f"}
        result, folder = chain(runner, parts, conditioning={"caption": "song", "lyrics": lyrics}, output=output)
        return soundfile.read(folder / result.files[0].name)[0]

    both_shared, second_own = take(shared, None, None), take(shared, None, own)
    assert np.array_equal(take(own, shared, None), second_own)
    assert not np.array_equal(both_shared, second_own)
    assert not np.array_equal(take(shared, own, None), second_own)


@pytest.mark.parametrize(("preset", "files"), [("base-to-turbo-refine", 1), ("generate-and-extract-vocals", 2)])
def test_the_recipe_of_a_preset_makes_the_same_samples(runner, preset, files):
    """In an engine that knows nothing of it; the preview of a stage on the way included."""
    wish = {"models": ["tiny", "tiny"], "length": 9_001, "rate": 44_100, "caption": "calm"}
    first, _ = runner.run(preset, **wish)
    assert len(first.files) == files
    again, _ = runner.run_recipe(first.recipe["request"], runner.fresh_engine())
    assert [file.sha256 for file in again.files] == [file.sha256 for file in first.files]
    assert again.recipe == first.recipe and len(again.stages) == 2


def test_a_preset_runs(runner):
    """A preset's chain on the models that are here."""
    result, folder = runner.run("base-to-turbo-refine", models=["tiny", "tiny"], length=9_001, rate=44_100)
    assert [report.type for report in result.stages] == ["generate", "refine"]
    assert soundfile.info(folder / result.files[0].name).frames == 9_001
