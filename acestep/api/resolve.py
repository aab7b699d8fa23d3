"""From what a stage leaves open (``auto``, none) to what its model wants, written back so that the recipe says it all. No torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from acestep.api.conditioning import AUTO_GUIDE, NO_GUIDE, PULSE_GUIDE, Conditioning
from acestep.api.drum_wish import drums_notes, settle_drums
from acestep.api.drum_words import wants_drums
from acestep.api.errors import BadRequest
from acestep.api.plan import Fill, Plan
from acestep.api.registry import Registry
from acestep.api.request import Stage, StageParams
from acestep.api.sampling import GuidanceSpec, SamplerSpec
from acestep.api.targets import plugin_code
from acestep.api.times import custom_times, schedule_times, trained_start, truncate
from acestep.api.unused import idle_notes, time_notes
from acestep.api.variants import ModelInfo

DEFAULT_SAMPLER = "euler"


@dataclass(frozen=True)
class ResolvedStage:
    """A stage with nothing left open: its parameters, its times, its sampler and guidance."""

    stage: Stage
    plan: Plan
    model: ModelInfo
    times: list[float]
    sampler: SamplerSpec
    guidance: GuidanceSpec
    notes: tuple[str, ...]

    @property
    def params(self) -> StageParams:
        """The parameters, all set."""
        return self.stage.params

    def with_params(self, **changes: object) -> ResolvedStage:
        """The stage with some parameters changed."""
        params = msgspec.structs.replace(self.params, **changes)
        return replace(self, stage=msgspec.structs.replace(self.stage, params=params))


def resolve_stage(registry: Registry, stage: Stage, plan: Plan, model: ModelInfo) -> ResolvedStage:
    """Fill in the model's own values. Raises `UnknownName`, `BadRequest`, `PluginFailed`."""
    params, variant = stage.params, model.defaults
    sampler = registry.sampler(DEFAULT_SAMPLER if params.sampler == "auto" else params.sampler)
    schedule = registry.schedule(variant.schedule if params.schedule == "auto" else params.schedule)
    usual = variant.for_task(plan.task)
    scale = usual.guidance_scale if params.guidance_scale is None else params.guidance_scale
    method = variant.guidance if params.guidance == "auto" else params.guidance
    notes: list[str] = []
    if variant.distilled and (scale > 1.0 or method != "none"):
        if params.guidance not in ("auto", "none") or (params.guidance_scale or 1.0) > 1.0:
            asked = "guidance_scale" if params.guidance in ("auto", "none") else "guidance"
            notes.append(
                f"{model.name} is distilled and runs without guidance: {asked} {getattr(params, asked)} has no effect"
            )
        method, scale = "none", 1.0
    start = params.guidance_start
    if start is None:  # an end below the variant's start asks for an interval of its own; custom loops know none
        start = 0.0 if plan.custom_loop or usual.guidance_start > params.guidance_end else usual.guidance_start
    steps = params.steps or usual.steps
    shift = schedule.held_shift(steps, variant.shift if params.shift is None else params.shift)
    with plugin_code(f"the schedule {schedule.name} failed", "schedule"):
        times = schedule_times(schedule, steps, shift) if params.timesteps is None else custom_times(params.timesteps)
    snapped: dict[str, float] = {}
    if plan.start_from_source:
        begin = trained_start(plan.t_start, schedule.trained) if params.timesteps is None else plan.t_start
        times = truncate(times, begin)
        if hasattr(params, "t_start") and plan.t_start == params.t_start:
            snapped = {"t_start": begin}
    notes += time_notes(params, plan, (schedule, variant), times)
    _check_checkpoint(params, times)
    settled = msgspec.structs.replace(
        params,
        model=model.name,
        steps=steps if params.timesteps is None else len(custom_times(params.timesteps)) - 1,
        sampler=sampler.name,
        schedule=schedule.name,
        shift=shift,
        guidance=registry.guidance_method(method).name,
        guidance_scale=scale,
        guidance_start=start,
        **{**plan.settled, **snapped},
    )
    return ResolvedStage(
        stage=msgspec.structs.replace(stage, params=settled),
        plan=_with_shared_options(plan, params),
        model=model,
        times=times,
        sampler=sampler,
        guidance=registry.guidance_method(method),
        notes=(
            *notes,
            *idle_notes(params, guided=scale > 1.0 and method != "none"),
            *drums_notes(plan, params, model, stage.type),
        ),
    )


def _check_checkpoint(params: StageParams, times: list[float]) -> None:
    """Raise `BadRequest` for a step that the run never reaches."""
    last = len(times) - 1
    if params.checkpoint_step is not None and params.checkpoint_step > last:
        raise BadRequest(
            f"step {params.checkpoint_step} is never reached: from t = {times[0]:.2f} this stage runs {last}",
            field="checkpoint_step",
            limits={"min": 1, "max": last},
        )


def _with_shared_options(plan: Plan, params: StageParams) -> Plan:
    """The plan with what every stage can be asked for: an earlier end of its condition, and wavelet correction."""
    bands = {"low": params.correction_low, "high": params.correction_high}
    return msgspec.structs.replace(
        plan,
        condition_strength=min(plan.condition_strength, params.condition_strength),
        corrections={**plan.corrections, **{band: amount for band, amount in bands.items() if amount}},
    )


def guide_of(stage: ResolvedStage, conditioning: Conditioning) -> str:
    """The guide that a stage follows; empty when it follows none. Codes, where it takes them, go before it."""
    if stage.plan.semantic_codes and (
        conditioning.audio_codes or (conditioning.thinking and conditioning.planner_codes)
    ):
        return ""
    return guide_text(stage.plan, stage.params, conditioning, stage.model)


def words_of(params: StageParams, conditioning: Conditioning) -> str:
    """The caption of a stage: its own stands above the shared one."""
    return conditioning.caption if params.caption is None else params.caption


def asked_guide(params: StageParams, conditioning: Conditioning) -> str:
    """The guide that a request names: the stage's own stands above the shared one."""
    return conditioning.guide if params.guide is None else params.guide


def guide_text(plan: Plan, params: StageParams, conditioning: Conditioning, model: ModelInfo) -> str:
    """The request's guide, else the one that the model wants: over given audio only at a known tempo. Empty for none.

    The time that a guide gives brings no drums where the words ask for none.
    """
    text = asked_guide(params, conditioning)
    if not text:
        knows_time = conditioning.bpm is not None or plan.fill is Fill.SILENCE
        text = model.defaults.guide if knows_time else ""
    if text.strip().lower() == AUTO_GUIDE and not wants_drums(words_of(params, conditioning)):
        text = PULSE_GUIDE
    return text if plan.guide and text != NO_GUIDE else ""


def with_words(stage: ResolvedStage, conditioning: Conditioning) -> ResolvedStage:
    """The stage with what its words decide where the request left it open, so that the recipe holds it: whether drums are taken
    out, and the guide."""
    words = words_of(stage.params, conditioning), asked_guide(stage.params, conditioning)
    drums = settle_drums(stage.plan, stage.params, words, stage.model)
    return with_guide(stage.with_params(drums=drums), conditioning)


def with_guide(stage: ResolvedStage, conditioning: Conditioning) -> ResolvedStage:
    """The stage with the guide that its model chose where the request left it open, so that the recipe holds it."""
    if not stage.plan.guide or asked_guide(stage.params, conditioning):
        return stage
    text = guide_text(stage.plan, stage.params, conditioning, stage.model)
    return stage.with_params(guide=text or NO_GUIDE)
