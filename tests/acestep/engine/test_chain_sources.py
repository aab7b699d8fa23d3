"""Stages that choose their audio: the job's own source, another file, an earlier stage's file, each with its region."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from acestep.admission.render import admit_render
from acestep.api.errors import BadLatent, BadPreset, BadRequest, RegionOutside
from acestep.api.music import TRACKS

SHARED = {"seeds": [4], "steps": 2}
EXACT = {"format": "wav32f"}


def sound(result, folder, *, stage: int, role: str, variant: int = 0):
    """The samples of one file of a result."""
    (name,) = (file.name for file in result.files if (file.stage, file.role, file.variant) == (stage, role, variant))
    return soundfile.read(folder / name, always_2d=True)[0]


def chain(runner, stages, **rest):
    """Run stages given as maps."""
    return runner.run("render", None, stages=[{**SHARED, **stage} for stage in stages], **rest)


def test_two_stems_of_one_upload_are_each_taken_out_of_the_upload(runner, song):
    """Bass is taken out of the song, not out of its drums: both are what two submits of one stem give."""
    path = str(song())
    tracks = ("drums", "bass")
    both, folder = chain(
        runner,
        [{"type": "extract", "track": track, "source": {}} for track in tracks],
        source={"path": path},
        output={**EXACT, "returns": ["stem", "residual"]},
    )
    assert [(file.stage, file.role, file.track) for file in both.files] == [
        (1, "stem", "drums"), (1, "residual", "drums"), (2, "stem", "bass"), (2, "residual", "bass"),
    ]  # fmt: skip
    assert [file.name for file in both.files[::2]] == ["1-extract-drums-stem.wav", "2-extract-bass-stem.wav"]
    for stage, track in enumerate(tracks, 1):
        one, place = runner.run("extract", source=path, track=track, returns=["stem"], **SHARED, **EXACT)
        assert np.array_equal(sound(one, place, stage=1, role="stem"), sound(both, folder, stage=stage, role="stem"))


def test_generate_and_repaint_a_region_of_it_in_one_submit(runner):
    """The same samples as a generation and a repaint of its file, latent and all; the outside of the region untouched."""
    output = {"length": 12 * 48_000, "rate": 48_000, **EXACT}
    region = {"start_seconds": 4.0, "end_seconds": 6.5}
    both, folder = chain(
        runner,
        [{"type": "generate", "returns": ["part"]}, {"type": "repaint", "source": {"stage": 1, **region}}],
        conditioning={"caption": "calm"},
        output=output,
    )
    part, place = runner.run("generate", caption="calm", **SHARED, **output)
    path = str(place / part.files[0].name)
    edit, there = runner.run("repaint", caption="calm", source=path, **region, returns=["whole"], **SHARED)
    made, whole = sound(both, folder, stage=1, role="part"), sound(both, folder, stage=2, role="whole")
    assert np.array_equal(made, soundfile.read(path)[0])
    assert np.array_equal(whole, sound(edit, there, stage=1, role="whole"))
    first, last, handle = 4 * 48_000, round(6.5 * 48_000), 2400
    assert np.array_equal(whole[: first - handle], made[: first - handle])
    assert np.array_equal(whole[last + handle :], made[last + handle :])
    assert not np.array_equal(whole[first:last], made[first:last])
    assert not (folder / ".stages").exists()


def test_every_variant_goes_on_from_its_own(runner):
    """Two variants of a generation are repainted each in its own file."""
    stages = [
        {"type": "generate", "seeds": [1, 2], "returns": ["part"]},
        {"type": "repaint", "seeds": [5, 6], "source": {"stage": 1, "start": 100_000, "end": 200_000}},
    ]
    result, folder = chain(runner, stages, output={"length": 480_000, "rate": 48_000, "variants": 2, **EXACT})
    for variant in (0, 1):
        made = sound(result, folder, stage=1, role="part", variant=variant)
        whole = sound(result, folder, stage=2, role="whole", variant=variant)
        assert np.array_equal(whole[:90_000], made[:90_000]) and np.array_equal(whole[210_000:], made[210_000:])
        assert not np.array_equal(whole[100_000:200_000], made[100_000:200_000])


def test_a_list_of_regions_is_one_submit(runner, song):
    """Patches are those of edits that follow one another, and the whole holds them all, bit-identical outside."""
    path = song(seconds=12.0)
    regions = [{"start": 44_100, "end": 66_150}, {"start_seconds": 8.0, "end_seconds": 9.0}]
    result, folder = runner.run("repaint", source=str(path), regions=regions, returns=["patch", "whole"], **SHARED)
    assert [(file.stage, file.role) for file in result.files] == [(1, "patch"), (2, "patch"), (2, "whole")]
    first, place = runner.run("repaint", source=str(path), **regions[0], returns=["patch", "whole"], **SHARED)
    second, there = runner.run(
        "repaint", source=str(place / first.files[1].name), **regions[1], returns=["patch", "whole"], **SHARED
    )
    for single, where, role, stage in (
        (first, place, "patch", 1),
        (second, there, "patch", 2),
        (second, there, "whole", 2),
    ):
        assert np.array_equal(sound(single, where, stage=1, role=role), sound(result, folder, stage=stage, role=role))
    whole, given = sound(result, folder, stage=2, role="whole"), soundfile.read(path)[0]
    edited = np.zeros(len(given), bool)
    edited[44_100 - 2205 : 66_150 + 2205] = edited[8 * 44_100 - 2205 : 9 * 44_100 + 2205] = True
    assert np.array_equal(whole[~edited], given[~edited]) and not np.array_equal(whole, given)


def test_regions_of_a_stage_that_makes_stems_stand_side_by_side(runner, song):
    """Each is what a submit of its own gives."""
    path = str(song())
    regions = [{"start": 0, "end": 40_000}, {"start": 30_000, "end": 90_000}]
    result, folder = runner.run("extract", source=path, track="vocals", regions=regions, **SHARED, **EXACT)
    assert [(file.stage, file.start, file.length) for file in result.files] == [(1, 0, 40_000), (2, 30_000, 60_000)]
    for stage, region in enumerate(regions, 1):
        one, place = runner.run("extract", source=path, track="vocals", **region, **SHARED, **EXACT)
        assert np.array_equal(sound(one, place, stage=1, role="stem"), sound(result, folder, stage=stage, role="stem"))


def test_stages_on_two_inputs(runner, song):
    """One job works on two files, each with a region of its own and at its own rate."""
    mine, other = song(seconds=3.0), song(seconds=4.0, rate=48_000, seed=2)
    stages = [
        {"type": "cover", "source": {"start": 1000, "end": 50_000}},
        {"type": "extract", "track": "drums", "source": {"path": str(other), "start_seconds": 1.0}, "preview": True},
        {"type": "repaint", "source": {"path": str(other), "start": 5_000, "length": 48_000}, "returns": ["patch"]},
    ]
    result, folder = chain(runner, stages, source={"path": str(mine)}, output={"returns": ["patch"]})
    placed = [(file.stage, file.role, file.start, file.rate) for file in result.files if file.role != "patch"]
    assert placed == [(2, "stem", round(1.0 * 44_100), 44_100)]
    assert [(file.stage, file.rate) for file in result.files if file.role == "patch"] == [(1, 44_100), (3, 48_000)]
    assert [file["stage"] for file in runner.previews] == [2]
    assert soundfile.info(folder / result.files[1].name).frames == 3 * 44_100


def test_a_later_stage_may_go_back_to_the_upload(runner, song):
    """A source of its own stands above the stage before."""
    path = str(song())
    stages = [{"type": "extract", "track": "drums"}, {"type": "cover", "source": {}, "returns": ["part"]}]
    result, folder = chain(runner, stages, source={"path": path, "start": 0, "length": 60_000}, output=EXACT)
    alone, place = runner.run("cover", source=path, start=0, end=60_000, returns=["part"], **SHARED, **EXACT)
    assert np.array_equal(sound(result, folder, stage=2, role="part"), sound(alone, place, stage=1, role="part"))


def test_the_recipe_of_a_chain_with_sources_makes_the_same_samples(runner, song):
    """In an engine that knows nothing of it."""
    stages = [
        {"type": "generate", "returns": ["part"]},
        {"type": "repaint", "source": {"stage": 1, "start": 100_000, "end": 150_000}},
        {"type": "extract", "track": "bass", "source": {}},
    ]
    first, _ = chain(runner, stages, source={"path": str(song())}, output={"length": 480_000, "rate": 48_000})
    again, _ = runner.run_recipe(first.recipe["request"], runner.fresh_engine())
    assert [file.sha256 for file in again.files] == [file.sha256 for file in first.files]
    assert again.recipe == first.recipe


def after_generate(**stage):
    """A chain whose second stage is wrong."""
    return [{"type": "generate"}, {"type": "repaint", **stage}]


@pytest.mark.parametrize(
    ("stages", "error", "field", "said"),
    [
        (after_generate(source={"stage": 2}), BadPreset, "stages[1].source.stage", "stage 2: its source is stage 2"),
        (
            after_generate(source={"stage": 0}),
            BadRequest,
            "stages[1].source.stage",
            "stage is 0; it takes a whole number",
        ),
        (after_generate(source={}), BadRequest, "stages[1].source", "stage 2: the job has no source"),
        (
            [{"type": "generate", "source": {"path": "SONG"}}],
            BadRequest,
            "stages[0].source",
            "generate makes a new part",
        ),
        (
            [{"type": "cover", "source": {"path": "SONG", "upload": "x"}}],
            BadRequest,
            "stages[0].source",
            "path and upload",
        ),
        (after_generate(source={"stage": 1, "start": 10**8}), RegionOutside, "stages[1].source.start", "stage 2"),
        (after_generate(source={"stage": 1, "end": 10**6}), RegionOutside, "stages[1].source.end", "stage 2"),
        (after_generate(source={"stage": 1, "end": 5, "length": 5}), BadRequest, "stages[1].source.length", "not both"),
        (after_generate(input=0, source={}), BadRequest, "stages[1].input", "source or input"),
        (after_generate(stps=3), BadRequest, "stages[1].stps", "stage 2: there is no field 'stps'"),
        ([*after_generate(returns=["stem"]), {"type": "refine"}], BadRequest, "stages[1].returns", "stage 2"),
        (after_generate(model="nano"), BadLatent, "stages[1].model", "stage 2: nano cannot continue"),
    ],
)
def test_a_source_that_is_none_is_refused_at_the_door(runner, song, stages, error, field, said):
    """The error counts stages as files do, names the field, and comes before anything is rendered."""
    path = str(song())
    stages = [
        {**stage, "source": {**stage["source"], "path": path}}
        if stage.get("source", {}).get("path") == "SONG"
        else stage
        for stage in stages
    ]
    with pytest.raises(error) as caught:
        admit_render(runner.registry, "render", {"stages": stages, "output": {"length": 480_000}}, runner.engine.host)
    assert caught.value.field == field and said in caught.value.message


def test_regions_that_cannot_be(runner, song):
    """Overlapping edits, a region beside the list, none of the file."""
    path = str(song())
    for regions, beside, field in (
        ([{"start": 0, "end": 9_000}, {"start": 8_000, "end": 10_000}], {}, "regions"),
        ([{"start": 0, "end": 9_000}], {"start": 5}, "regions"),
        ([{"start": 0, "end": 9_000}, {"start": 9, "end": 9}], {}, "regions[1].end"),
        ([{"strat": 0}], {}, "regions[0].strat"),
    ):
        with pytest.raises((RegionOutside, BadRequest)) as caught:
            admit_render(runner.registry, "repaint", {"source": path, "regions": regions, **beside}, runner.engine.host)
        assert caught.value.field == field


def test_an_unused_source_is_told(runner, song):
    """Nobody works on it, and the result says so."""
    result, _ = chain(runner, [{"type": "generate"}], source={"path": str(song())})
    assert any("no stage uses the source" in note for note in result.notes)


def test_all_stems_in_one_submit(runner, song):
    """Twelve tracks, each out of the mix itself, announced as soon as they are there."""
    path = str(song())
    result, folder = runner.run("split-into-stems", source=path, start=0, end=20_000, seed=4, models=["tiny"], **EXACT)
    assert sorted(file.track for file in result.files) == sorted(TRACKS)
    assert [file["stage"] for file in runner.previews] == list(range(1, 12))
    bass = next(file for file in result.files if file.track == "bass")
    alone, place = runner.run("extract", source=path, start=0, end=20_000, seed=4, track="bass", **EXACT)
    assert np.array_equal(soundfile.read(folder / bass.name)[0], soundfile.read(place / alone.files[0].name)[0])
