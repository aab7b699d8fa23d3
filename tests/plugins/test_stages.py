"""Each stage type follows the model's rules of conditioning."""

from __future__ import annotations

import pytest

from acestep.api import VARIANTS, Fill, Length, Mask, ModelInfo, SourceFacts, StageParams
from acestep.api.errors import BadRequest, ModelUnsuited, RegionOutside
from acestep.api.schema import describe
from plugins.stages import STAGES
from plugins.stages.flow_edit import UNUSED

FACTS = SourceFacts(rate=48_000, channels=2, frames=480_000, start=96_000, length=96_000)
TYPES = {stage.name: stage for stage in STAGES}


def model(variant: str = "base") -> ModelInfo:
    return ModelInfo(name=variant, path="", variant=variant, task_types=VARIANTS[variant].tasks)


def plan(name: str, *, source=FACTS, variant="base", **params):
    stage = TYPES[name]()
    return stage.plan(stage.Params(**params), source, model(variant))


def test_generate_begins_from_silence_and_may_follow_codes_or_a_guide():
    made = plan("generate", source=None)
    assert (made.fill, made.mask, made.length, made.semantic_codes, made.guide) == (
        Fill.SILENCE,
        Mask.ALL,
        Length.REQUEST,
        True,
        True,
    )


def test_cover_goes_through_the_bottleneck_unless_told_otherwise():
    assert plan("cover").fill is Fill.BOTTLENECK
    assert plan("cover", bottleneck=False).fill is Fill.SOURCE


def test_cover_strength_is_a_switch_and_noise_strength_a_start():
    made = plan("cover", strength=0.4, noise_strength=0.25)
    assert (made.condition_strength, made.start_from_source, made.t_start) == (0.4, True, 0.75)
    assert plan("cover").start_from_source is False


@pytest.mark.parametrize(
    ("params", "injection", "blend"),
    [
        ({"mode": "conservative"}, 1.0, 25),
        ({"mode": "aggressive"}, 0.0, 0),
        ({}, 0.5, 12),
        ({"strength": 0.2}, 0.8, 20),
        ({"mode": "conservative", "strength": 0.9}, 1.0, 25),
    ],
)
def test_repaint_holds_the_surroundings_as_its_mode_says(params, injection, blend):
    made = plan("repaint", **params)
    assert (made.injection, made.latent_blend) == (pytest.approx(injection), blend)
    assert made.silence_region and made.splice and made.mask is Mask.REGION


def test_lego_keeps_its_context_inside_the_region():
    made = plan("lego", track="bass")
    assert (made.fill, made.silence_region, made.mask) == (Fill.SOURCE, False, Mask.REGION)
    assert made.instruction == "Generate the BASS track based on the audio context:"


def test_extract_sees_the_raw_source_and_may_return_the_rest():
    made = plan("extract", track="backing_vocals")
    assert (made.fill, made.mask, made.residual) == (Fill.SOURCE, Mask.ALL, True)
    assert made.instruction == "Extract the BACKING_VOCALS track from the audio:"


def test_complete_names_its_tracks():
    assert plan("complete", tracks=["drums", "bass"]).instruction == "Complete the input track with DRUMS | BASS:"
    assert plan("complete").instruction == "Complete the input track:"


@pytest.mark.parametrize("name", ["cover", "repaint", "extract", "lego", "complete", "flow-edit"])
def test_work_on_audio_never_takes_codes(name):
    params = {"track": "bass"} if name in ("extract", "lego") else {}
    assert plan(name, **params).semantic_codes is False


@pytest.mark.parametrize("name", ["extract", "lego", "complete"])
@pytest.mark.parametrize("variant", ["turbo", "sft", "xl-turbo"])
def test_base_only_tasks_refuse_other_models_and_name_those_that_can(name, variant):
    params = {"track": "bass"} if name != "complete" else {}
    with pytest.raises(ModelUnsuited, match="base") as caught:
        plan(name, variant=variant, **params)
    assert "xl-base" in caught.value.limits["variants"]


@pytest.mark.parametrize("name", ["cover", "repaint", "extend", "extract", "lego", "complete", "flow-edit"])
def test_work_on_audio_needs_audio(name):
    with pytest.raises(BadRequest) as caught:
        plan(name, source=None)
    assert caught.value.field == "source"


@pytest.mark.parametrize("name", ["extract", "lego"])
def test_a_track_must_be_named(name):
    with pytest.raises(BadRequest) as caught:
        plan(name)
    assert caught.value.field == "track"


@pytest.mark.parametrize(
    ("start", "length", "fits"),
    [
        (-48_000, 48_000, True),
        (480_000, 96_000, True),
        (400_000, 200_000, True),
        (0, 480_000, False),
        (500_000, 100, False),
    ],
)
def test_extend_reaches_outside_the_file_and_touches_it(start, length, fits):
    facts = SourceFacts(rate=48_000, channels=2, frames=480_000, start=start, length=length)
    if fits:
        assert plan("extend", source=facts).extend
    else:
        with pytest.raises(RegionOutside):
            plan("extend", source=facts)


def test_a_variation_of_any_stage_is_a_mix_of_two_noises():
    made = plan("repaint", variation=0.3, variation_seed=9)
    assert (made.variation, made.variation_seed) == (0.3, 9)


def test_flow_edit_names_its_kernel_and_refuses_swapped_phases():
    assert plan("flow-edit", source_caption="jazz").custom_loop_options["source_caption"] == "jazz"
    with pytest.raises(BadRequest):
        plan("flow-edit", n_min=0.9, n_max=0.2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sampler", "heun"),
        ("guidance_start", 0.2),
        ("guidance_end", 0.8),
        ("variation", 0.3),
        ("condition_strength", 0.5),
        ("velocity_limit", 0.5),
        ("velocity_average", 0.5),
        ("correction_low", 0.1),
        ("correction_high", 0.1),
        ("checkpoint_step", 2),
        ("resume", "job/flow-edit-1-step-1.safetensors"),
    ],
)
def test_flow_edit_refuses_what_it_would_ignore(field, value):
    with pytest.raises(BadRequest, match=field) as caught:
        plan("flow-edit", **{field: value})
    assert caught.value.field == field and value not in caught.value.limits["choices"]
    assert plan("flow-edit", sampler="euler").custom_loop


FOLLOWED = {
    "latent_shift",
    "latent_rescale",
    "steps",
    "schedule",
    "shift",
    "timesteps",
    "guidance",
    "guidance_scale",
    "seed",
    "seeds",
    "variation_seed",
    "batch",
}


def test_flow_edit_follows_or_refuses_every_shared_setting_of_a_run():
    groups = {"sampling", "guidance", "advanced"}
    shared = {info.name for info in describe(StageParams) if info.group in groups}
    assert shared == FOLLOWED | set(UNUSED)


def test_a_cover_takes_its_share_once():
    assert plan("cover", condition_strength=0.5).condition_strength == 1.0
    with pytest.raises(BadRequest) as caught:
        plan("cover", strength=0.5, condition_strength=0.4)
    assert caught.value.field == "condition_strength"
