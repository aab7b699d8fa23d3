"""Which guide a stage follows: the wish's own, the stage's, or the one that its model wants. No torch."""

from __future__ import annotations

from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.plan import Fill, Plan
from acestep.api.request import StageParams
from acestep.api.resolve import ResolvedStage
from acestep.api.variants import ModelInfo


def guide_of(stage: ResolvedStage, conditioning: Conditioning) -> str:
    """The guide that a stage follows; empty when it follows none. Codes, where it takes them, go before it."""
    if stage.plan.semantic_codes and (
        conditioning.audio_codes or (conditioning.thinking and conditioning.planner_codes)
    ):
        return ""
    return guide_text(stage.plan, stage.params, conditioning, stage.model)


def asked_guide(params: StageParams, conditioning: Conditioning) -> str:
    """The guide that a request names: the stage's own stands above the shared one."""
    return conditioning.guide if params.guide is None else params.guide


def guide_text(plan: Plan, params: StageParams, conditioning: Conditioning, model: ModelInfo) -> str:
    """The wish's guide, else the one that the model wants: over given audio only at a known tempo. Empty for none."""
    text = asked_guide(params, conditioning)
    if not text:
        knows_time = conditioning.bpm is not None or plan.fill is Fill.SILENCE
        text = model.defaults.guide if knows_time else ""
    return text if plan.guide and text != NO_GUIDE else ""


def with_guide(stage: ResolvedStage, conditioning: Conditioning) -> ResolvedStage:
    """The stage with the guide that its model chose where the request left it open, so that the recipe holds it."""
    if not stage.plan.guide or asked_guide(stage.params, conditioning):
        return stage
    text = guide_text(stage.plan, stage.params, conditioning, stage.model)
    return stage.with_params(guide=text or NO_GUIDE)
