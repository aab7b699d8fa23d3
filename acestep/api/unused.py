"""What of a stage's settings a run changes or does not use, in sentences: nothing is snapped, held or ignored in silence."""

from __future__ import annotations

from acestep.api.conditioning import Conditioning
from acestep.api.music import INSTRUMENTAL_FORMS
from acestep.api.plan import Plan
from acestep.api.request import StageParams
from acestep.api.sampling import ScheduleSpec
from acestep.api.variants import ModelInfo, Variant


def time_notes(params: StageParams, plan: Plan, around: tuple[ScheduleSpec, Variant], times: list[float]) -> list[str]:
    """About steps, shift, timesteps and the start of a run at these ``times``."""
    schedule, variant = around
    if params.timesteps is not None:
        return _beside_timesteps(params, schedule, variant)
    notes = []
    steps = params.steps or variant.steps
    if params.shift is not None and (held := schedule.held_shift(steps, params.shift)) != params.shift:
        notes.append(f"shift {params.shift:g} runs as {held:g}, the nearest that the schedule {schedule.name} has")
    if plan.start_from_source and schedule.trained and abs(times[0] - plan.t_start) > 1e-4:
        notes.append(
            f"the run starts at {times[0]:.4f} instead of {plan.t_start:.4g}: the model was trained at fixed times, and this is "
            "the next one below"
        )
    elif plan.start_from_source and schedule.trained and plan.t_start < schedule.trained[0]:
        notes.append(
            f"the start {plan.t_start:.4g} lies below the times that the model was trained at, from {schedule.trained[0]:g}"
        )
    return notes


def _beside_timesteps(params: StageParams, schedule: ScheduleSpec, variant: Variant) -> list[str]:
    """Whatever else says where the steps lie changes nothing."""
    given = list(params.timesteps or [])
    count = len(given) - (bool(given) and given[-1] == 0)
    idle = [
        ("steps", params.steps, params.steps not in (None, count)),
        ("shift", params.shift, params.shift not in (None, variant.shift)),
        ("schedule", params.schedule, params.schedule not in ("auto", variant.schedule)),
    ]
    return [
        f"{name} {value} has no effect beside timesteps, which are {count} steps" for name, value, told in idle if told
    ]


def idle_notes(params: StageParams, *, guided: bool) -> list[str]:
    """About settings that have nothing to act on in this run."""
    settled = params.guidance_start == 0.0 and params.guidance_end == 1.0  # as every recipe writes them out
    interval = not settled and (params.guidance_start is not None or params.guidance_end != 1.0)
    idle = [
        ("guidance_start and guidance_end have no effect without guidance", interval and not guided),
        (
            f"variation_seed {params.variation_seed} has no effect while variation is 0",
            params.variation_seed and not params.variation,
        ),
        ("batch has no effect for a single variant", params.batch and len(params.seeds or [0]) < 2),
    ]
    return [sentence for sentence, told in idle if told]


def sung_notes(params: StageParams, conditioning: Conditioning, model: ModelInfo) -> list[str]:
    """That lyrics are not heard, where the model has no voice."""
    lyrics = conditioning.lyrics if params.lyrics is None else params.lyrics
    if model.defaults.sings or conditioning.instrumental or lyrics.strip().lower() in INSTRUMENTAL_FORMS:
        return []
    return [f"{model.name} cannot sing: the lyrics are not heard. The published models can"]
