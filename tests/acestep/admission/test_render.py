"""Everything that can be refused is refused at the door, and what passes is canonical."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestep.admission.render import admit_render
from acestep.api import samples
from acestep.api.errors import (
    BadPreset,
    BadRequest,
    ModelMissing,
    ModelUnsuited,
    NotFound,
    RegionOutside,
    TooLarge,
    UnknownName,
    UnsupportedChannels,
)

SOURCE = {"source": "/song.wav"}


def test_an_admitted_render_admitted_again_is_itself(registry, host):
    first = admit_render(
        registry, "edit", {**SOURCE, "start_seconds": 1.0, "end": 90_000, "key": "f#m", "track": "Drums"}, host
    )
    again = admit_render(registry, "render", first.render.to_recipe(), host)
    assert again.render == first.render


def test_seconds_become_samples_by_one_rule(registry, host):
    got = admit_render(registry, "edit", {**SOURCE, "start_seconds": 1.00001, "end_seconds": 2.5}, host).render.source
    assert (got.start, got.length) == (samples(1.00001, 44_100), samples(2.5, 44_100) - samples(1.00001, 44_100))


@given(st.integers(0, 10**9), st.sampled_from([44_100, 48_000, 88_200, 96_000]))
def test_a_sample_position_survives_the_way_through_seconds(position, rate):
    assert samples(position / rate, rate) == position


def test_without_a_region_the_whole_file_is_meant(registry, host):
    got = admit_render(registry, "edit", SOURCE, host).render.source
    assert (got.start, got.length) == (0, host.facts.frames)


def test_names_and_aliases_are_resolved_and_mapped_methods_are_told(registry, host):
    wish = {"track": "BV", "sampler": "ode", "schedule": "karras", "guidance": "cfg_zero"}
    got = admit_render(registry, "edit", {**SOURCE, **wish}, host)
    params = got.render.stages[0].params
    assert (params.track, params.sampler) == ("backing_vocals", "euler")
    assert (params.schedule, params.guidance) == ("linear", "cfg_zero_star")
    told = ("sampler ode runs as euler", "schedule karras runs as linear", "guidance cfg_zero runs as cfg_zero_star")
    assert got.notes == told


def test_methods_called_by_their_own_names_are_not_told(registry, host):
    got = admit_render(registry, "edit", {**SOURCE, "sampler": "euler", "schedule": "linear"}, host)
    assert got.notes == ()


def test_every_variant_gets_a_seed_of_its_own_and_given_ones_stay(registry, host):
    params = (
        admit_render(registry, "edit", {**SOURCE, "variants": 4, "seeds": [7, -1, 9]}, host).render.stages[0].params
    )
    assert (params.seeds[0], params.seeds[2], len(params.seeds)) == (7, 9, 4)
    assert params.seed == 7 and all(seed >= 0 for seed in params.seeds)


@pytest.mark.parametrize(
    ("wish", "error", "field"),
    [
        ({"source": "/missing.wav"}, NotFound, "source"),
        ({}, BadRequest, "source"),
        ({**SOURCE, "upload": "u1"}, BadRequest, "source"),
        ({**SOURCE, "start": 10, "end": 10}, RegionOutside, "end"),
        ({**SOURCE, "start": 20, "end": 10}, RegionOutside, "end"),
        ({**SOURCE, "start": -1, "end": 10}, RegionOutside, "start"),
        ({**SOURCE, "start": 0, "end": 44_100 * 60 + 1}, RegionOutside, "end"),
        ({**SOURCE, "start": 1, "start_seconds": 0.5}, BadRequest, "start_seconds"),
        ({**SOURCE, "track": "kazoo"}, UnknownName, "track"),
        ({**SOURCE, "sampler": "nope"}, UnknownName, "sampler"),
        ({**SOURCE, "language": "xx"}, UnknownName, "language"),
        ({**SOURCE, "key": "H moll"}, BadRequest, "key"),
        ({**SOURCE, "time_signature": "7/5"}, BadRequest, "time_signature"),
        ({**SOURCE, "model": "turbo"}, ModelUnsuited, "model"),
        ({**SOURCE, "model": "gone"}, ModelMissing, "model"),
        ({**SOURCE, "returns": ["stem"]}, BadRequest, "returns"),
        ({**SOURCE, "returns": ["span"]}, BadRequest, "span_start"),
        (
            {**SOURCE, "start": 9, "end": 20, "returns": ["span"], "span_start": 15, "span_end": 30},
            RegionOutside,
            "span_start",
        ),
        ({**SOURCE, "caption": "x" * 1_000_000}, BadRequest, "caption"),
        ({**SOURCE, "variants": 9}, BadRequest, "variants"),
        ({**SOURCE, "steps": 0}, BadRequest, "steps"),
        ({**SOURCE, "guidance_start": 0.9, "guidance_end": 0.1}, BadRequest, "guidance_start"),
        ({**SOURCE, "timesteps": [0.5, 0.9]}, BadRequest, "timesteps"),
        ({**SOURCE, "seeds": [2**32]}, BadRequest, "seeds"),
        ({**SOURCE, "audio_codes": [64_000]}, BadRequest, "audio_codes"),
    ],
)
def test_bad_input_is_one_error_that_names_the_field(registry, host, wish, error, field):
    with pytest.raises(error) as caught:
        admit_render(registry, "edit", wish, host)
    assert caught.value.field == field


def test_a_refused_model_names_those_that_can(registry, host):
    with pytest.raises(ModelUnsuited, match="base"):
        admit_render(registry, "edit", {**SOURCE, "model": "turbo"}, host)


def test_more_than_two_channels_are_refused(registry, host):
    host.facts = type(host.facts)(rate=48_000, channels=6, frames=48_000)
    with pytest.raises(UnsupportedChannels):
        admit_render(registry, "edit", SOURCE, host)


@pytest.mark.parametrize(("wish", "length"), [({"length": 1}, 1), ({"duration": 600.0}, 28_800_000), ({}, 1_440_000)])
def test_a_part_is_one_sample_to_ten_minutes(registry, host, wish, length):
    assert admit_render(registry, "make", wish, host).render.output.length == length


@pytest.mark.parametrize("wish", [{"duration": 0.0}, {"length": 28_800_001}])
def test_a_part_beyond_the_limits_is_too_large(registry, host, wish):
    with pytest.raises(TooLarge):
        admit_render(registry, "make", wish, host)


@pytest.mark.parametrize(
    ("stages", "error", "field"),
    [
        ([], BadRequest, "stages"),
        ([{"type": "make"}] * 17, BadRequest, "stages"),
        ([{"type": "nope"}], UnknownName, "stages[0].type"),
        ([{"type": "make", "input": 0}], BadPreset, "stages[0].input"),
        ([{"type": "make"}, {"type": "make", "steps": "many"}], BadRequest, "stages[1].steps"),
    ],
)
def test_a_bad_chain_names_the_stage(registry, host, stages, error, field):
    with pytest.raises(error) as caught:
        admit_render(registry, "render", {"stages": stages}, host)
    assert caught.value.field == field


def test_a_recipe_from_the_future_is_refused(registry, host):
    with pytest.raises(BadPreset):
        admit_render(registry, "render", {"stages": [{"type": "make"}], "version": 99}, host)


def test_a_stage_sees_what_the_stage_before_it_made(registry, host):
    """An edit after a generation needs no source of its own."""
    stages = [{"type": "make"}, {"type": "edit", "track": "bass"}]
    render = admit_render(
        registry, "render", {"stages": stages, "output": {"length": 4_410, "rate": 44_100}}, host
    ).render
    assert render.output.length == 4_410


def test_an_edit_at_the_head_of_a_chain_needs_audio(registry, host):
    with pytest.raises(BadRequest, match="needs a source"):
        admit_render(registry, "render", {"stages": [{"type": "edit"}, {"type": "make"}]}, host)
