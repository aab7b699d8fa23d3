"""What ``auto`` means for each of the model's nine variants, as its authors recommend (reference, sections 2.4 and 4.1)."""

from __future__ import annotations

import pytest

from acestep.api import Registry
from acestep.api.conditioning import Conditioning
from acestep.api.errors import ModelUnsuited
from acestep.api.plan import Plan, SourceFacts, require_task
from acestep.api.request import Stage, StageParams
from acestep.api.resolve import guide_text, resolve_stage
from acestep.api.variants import VARIANTS, ModelInfo

SHARED = {"text2music", "repaint", "cover"}
EVERY = SHARED | {"extract", "lego", "complete"}

RECOMMENDED = {
    "turbo": (8, 3.0, "discrete", "none", 1.0, SHARED),
    "turbo-shift1": (8, 1.0, "discrete", "none", 1.0, SHARED),
    "turbo-shift3": (8, 3.0, "discrete", "none", 1.0, SHARED),
    "turbo-continuous": (8, 3.0, "continuous", "none", 1.0, SHARED),
    "base": (50, 1.0, "linear", "apg", 7.0, EVERY),
    "sft": (50, 1.0, "linear", "apg", 7.0, SHARED),
    "xl-turbo": (8, 3.0, "discrete", "none", 1.0, SHARED),
    "xl-base": (50, 1.0, "linear", "apg", 7.0, EVERY),
    "xl-sft": (50, 1.0, "linear", "apg", 7.0, SHARED),
}
"""Steps, shift, schedule, guidance, its scale, tasks."""

TABLES = {
    1.0: [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0],
    3.0: [1.0, 0.954545, 0.9, 0.833333, 0.75, 0.642857, 0.5, 0.3, 0.0],
}
"""The published times of turbo by shift."""


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


def model(variant: str) -> ModelInfo:
    return ModelInfo(name=variant, path="", variant=variant, task_types=VARIANTS[variant].tasks)


def resolve(registry: Registry, variant: str, **wish):
    """A generate stage on a variant."""
    params = StageParams(**wish)
    info = model(variant)
    return resolve_stage(registry, Stage("generate", params), registry.stage("generate").plan(params, None, info), info)


def test_the_nine_published_variants_are_known():
    assert set(VARIANTS) - {"nano", "tiny"} == set(RECOMMENDED)


@pytest.mark.parametrize("variant", RECOMMENDED)
def test_auto_is_what_the_authors_recommend(registry, variant):
    steps, shift, schedule, guidance, scale, _ = RECOMMENDED[variant]
    stage = resolve(registry, variant)
    params = stage.params
    assert (params.steps, params.shift, params.schedule) == (steps, shift, schedule)
    assert (params.guidance, params.guidance_scale, params.sampler, params.model) == (guidance, scale, "euler", variant)
    assert len(stage.times) == steps + 1 and (stage.times[0], stage.times[-1]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("variant", "asked", "share"),
    [("nano", {}, 0.01), ("nano", {"noise_strength": 0.0}, 0.0), ("base", {}, 0.0)],
)
@pytest.mark.parametrize("task", ["extract", "lego"])
def test_the_embedded_model_begins_a_stem_with_a_hint_of_the_mix(registry, task, variant, asked, share):
    """Unless told otherwise; the number of steps is as asked, and the recipe holds the share."""
    stage = settled(registry, task, variant, track="drums", **asked)
    assert stage.params.noise_strength == share and stage.plan.start_from_source == (share > 0)
    assert stage.times[0] == pytest.approx(1.0 - share) and len(stage.times) - 1 == stage.params.steps


@pytest.mark.parametrize("variant", [name for name, row in RECOMMENDED.items() if row[0] == 8])
def test_turbo_runs_at_its_published_times_without_guidance(registry, variant):
    """Also when guidance is asked for, which the result says."""
    stage = resolve(registry, variant, guidance="apg", guidance_scale=7.0)
    assert stage.times == pytest.approx(TABLES[RECOMMENDED[variant][1]], abs=1e-6)
    assert (stage.params.guidance, stage.params.guidance_scale) == ("none", 1.0)
    assert any("distilled" in note for note in stage.notes)


def test_the_embedded_model_is_guided_where_its_own_interval_says(registry):
    """The recipe names the interval; a wish of one's own, or an end below its start, replaces it."""

    def start(**wish):
        return resolve(registry, "nano", **wish).params.guidance_start

    nano = VARIANTS["nano"]
    assert resolve(registry, "nano").params.guidance_scale == nano.guidance_scale > 1.0
    assert start() == nano.guidance_start > 0.0
    assert start(guidance_start=0.0) == 0.0 and start(guidance_start=0.5) == 0.5 and start(guidance_end=0.5) == 0.0
    assert resolve(registry, "base").params.guidance_start == 0.0


@pytest.mark.parametrize(("task", "steps", "takes"), [("extract", 4, 8), ("lego", 8, 1)])
def test_the_embedded_model_runs_each_task_as_suits_it(registry, task, steps, takes):
    """A stem is the mean of many quick takes; neither it nor a new part is pulled from what is heard towards the words."""
    params, info = registry.stage(task).Params(track="drums"), model("nano")
    source = SourceFacts(rate=48000, channels=2, frames=480_000, start=0, length=480_000)
    stage = resolve_stage(registry, Stage(task, params), registry.stage(task).plan(params, source, info), info)
    assert (stage.params.guidance_scale, stage.params.guidance_start) == (1.0, 0.0)
    assert (stage.params.steps, stage.plan.passes) == (steps, takes)


def settled(registry, stage: str, variant: str, **asked):
    """A stage on ten seconds of sound, with what it leaves open filled in."""
    params, info = registry.stage(stage).Params(**asked), model(variant)
    source = SourceFacts(rate=48000, channels=2, frames=480_000, start=0, length=480_000)
    return resolve_stage(registry, Stage(stage, params), registry.stage(stage).plan(params, source, info), info)


@pytest.mark.parametrize(
    ("asked", "takes"), [({}, 8), ({"takes": 3}, 3), ({"soft_mask": False}, 1), ({"takes": 3, "checkpoint_step": 2}, 1)]
)
def test_only_masked_stems_are_made_of_several_takes(registry, asked, takes):
    """What the model renders itself, and what is stored on the way, is a single take; the recipe holds the number."""
    stage = settled(registry, "extract", "nano", track="drums", **asked)
    assert stage.plan.passes == stage.params.takes == takes
    assert bool(stage.plan.notes) == (asked.get("takes", takes) != takes), "a wish that is not followed is said"
    assert settled(registry, "extract", "base", track="drums").plan.passes == 1


@pytest.mark.parametrize(
    ("variant", "asked", "strength"),
    [
        ("nano", {}, 0.05),
        ("nano", {"noise_strength": 0.0}, 0.0),
        ("turbo", {}, 0.0),
        ("turbo", {"noise_strength": 0.3}, 0.3),
    ],
)
def test_the_embedded_model_begins_a_cover_near_its_source(registry, variant, asked, strength):
    """Unless told otherwise; it is guided in the first step all the same, and the recipe holds the share."""
    stage = settled(registry, "cover", variant, **asked)
    assert stage.params.noise_strength == strength and stage.plan.start_from_source == (strength > 0)
    assert stage.times[0] == pytest.approx(1.0 - strength, abs=0.06 if variant == "turbo" else 1e-6)
    if variant == "nano" and strength:
        assert stage.times[1] < stage.params.guidance_start <= stage.times[0] and stage.params.guidance_scale > 1.0


@pytest.mark.parametrize("variant", [name for name, row in RECOMMENDED.items() if row[0] == 50])
def test_guided_models_run_on_an_even_grid(registry, variant):
    assert resolve(registry, variant).times == pytest.approx([1 - k / 50 for k in range(51)], abs=1e-6)


def test_turbo_snaps_its_shift_and_the_continuous_one_holds_it_to_its_range(registry):
    """A shift of 2.5 is none that turbo knows; the continuous model was trained on 1 to 5."""
    times = {shift: resolve(registry, "turbo-continuous", shift=shift).times for shift in (0.5, 1.0, 2.5, 5.0, 9.0)}
    assert times[0.5] == times[1.0] and times[9.0] == times[5.0]
    assert times[2.5][1] == pytest.approx(2.5 * 0.875 / (1 + 1.5 * 0.875))
    snapped = resolve(registry, "turbo", shift=2.4).times
    assert (
        snapped == resolve(registry, "turbo", shift=2.0).times != resolve(registry, "turbo-continuous", shift=2.4).times
    )


@pytest.mark.parametrize("variant", RECOMMENDED)
@pytest.mark.parametrize("task", sorted(EVERY))
def test_tasks_are_those_a_variant_was_trained_for(variant, task):
    if task in RECOMMENDED[variant][-1]:
        require_task(task, model(variant), operation=task)
    else:
        with pytest.raises(ModelUnsuited, match="base"):
            require_task(task, model(variant), operation=task)


@pytest.mark.parametrize(
    ("caption", "guide", "followed"),
    [("solo piano ballad", "", "pulse"), ("rock", "", "auto"), ("rock, no drums", "auto", "pulse"), ("", "", "auto"),
     ("solo piano", "beat four", "beat four"), ("solo piano", "none", ""), ("solo piano", "Am F", "Am F")],
)  # fmt: skip
def test_the_time_of_a_guide_brings_no_drums_that_nobody_asked_for(caption, guide, followed):
    """The model's own guide and `auto` obey the caption; a guide that is named is followed as it is."""
    nano = ModelInfo(name="nano", path="", variant="nano", task_types=("text2music",))
    plan = Plan(task="text2music", instruction="", guide=True)
    assert guide_text(plan, StageParams(), Conditioning(caption=caption, guide=guide), nano) == followed
    own = StageParams(caption=caption, guide=guide or None)
    assert guide_text(plan, own, Conditioning(caption="rock with drums"), nano) == followed
