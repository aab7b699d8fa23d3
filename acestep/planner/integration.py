"""How a render thinks before it generates: the planner's answer merged into the conditioning, the user's values winning."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.metadata import Metadata
from acestep.api.planned import PLANNING_SHARE, PlannedConditioning
from acestep.api.planning import CODE_FAMILY, PlannerSettings, Progress, knows_codes_of
from acestep.planner.plan_inputs import INSTRUMENTAL, PlanInputs, Thought, given_metadata, read_thought
from acestep.planner.planner_models import settings_of
from acestep.planner.session import LoadedPlanner, planner_for, put_away
from acestep.worker.backend import JobContext


def plan_request(
    conditioning: Conditioning,
    seeds: Sequence[int],
    context: JobContext,
    *,
    duration: float | None = None,
    share: float = PLANNING_SHARE,
    family: str = CODE_FAMILY,
) -> PlannedConditioning:
    """Think about a generation: one thought, one sequence of codes per seed.

    ``duration`` (s) is the length that is already certain (it wins over the conditioning's); progress covers the first
    ``share`` of the job. Codes are planned only for a checkpoint whose ``family`` of latents has the codebook that the
    planner knows. Raises `ModelMissing` or `OutOfMemory` when no language model can run here, `BadRequest` for texts that
    it cannot read.
    """
    settings = settings_for(conditioning, family)
    context.tick("load", 0, 1, 0.0)
    loaded = planner_for(context.registry, settings, settings_of(context.backend), "planner_model")
    codes_wanted = settings.codes and loaded.planner.writes_codes
    middle = share * (0.3 if codes_wanted else 1.0)

    def report(stage: str, start: float, end: float, done: int, total: int) -> None:
        context.tick(stage, done, total, start + (end - start) * done / max(total, 1))

    said, thought = _think(
        conditioning, duration, loaded, settings, seeds[0], lambda done, of: report("thinking", 0.0, middle, done, of)
    )
    codes: list[list[int]] = []
    if codes_wanted:
        codes = loaded.planner.sketch(
            _plan_inputs(said, duration),
            thought.metadata,
            settings,
            seeds,
            lambda done, total: report("codes", middle, share, done, total),
        )
    put_away(settings_of(context.backend))
    planned = merge(said, thought.metadata)
    return PlannedConditioning(
        conditioning=msgspec.structs.replace(planned, codes=codes or None, cot_text=thought.text, thinking=False),
        model=loaded.info.name,
        decoding=thought.decoding,
        notes=(*loaded.notes, *thought.notes),
    )


def _think(
    conditioning: Conditioning,
    duration: float | None,
    loaded: LoadedPlanner,
    settings: PlannerSettings,
    seed: int,
    progress: Progress,
) -> tuple[Conditioning, Thought]:
    """The thought of a generation, and the conditioning with the words that a sentence has become."""
    inputs = _plan_inputs(conditioning, duration)
    if conditioning.cot_text:
        return conditioning, read_thought(conditioning.cot_text, inputs)
    if not conditioning.query:
        return conditioning, loaded.planner.think(inputs, settings, seed, progress)
    if inputs.sung != INSTRUMENTAL:  # the lyrics are there; none are written
        settings = msgspec.structs.replace(settings, lyrics_tokens=1)
    sample = loaded.planner.compose(conditioning.query, inputs, settings, seed, progress)
    said = msgspec.structs.replace(
        conditioning,
        caption=conditioning.caption or sample.metadata.caption,
        lyrics=conditioning.lyrics if inputs.sung != INSTRUMENTAL else sample.lyrics,
        planner_caption=False,  # the caption is planned already
    )
    return said, Thought(metadata=sample.metadata, text=sample.text, decoding=sample.decoding, notes=sample.notes)


def settings_for(conditioning: Conditioning, family: str) -> PlannerSettings:
    """How a render wants to be planned; codes only for latents whose codebook the planner knows."""
    named = {name: f"planner_{name.removeprefix('use_')}" for name in PlannerSettings.__struct_fields__}
    given = {name: getattr(conditioning, field) for name, field in named.items() if hasattr(conditioning, field)}
    return PlannerSettings(**{**given, "codes": conditioning.planner_codes and knows_codes_of(family)})


def _plan_inputs(conditioning: Conditioning, duration: float | None) -> PlanInputs:
    return PlanInputs(
        caption=conditioning.caption,
        lyrics=conditioning.lyrics,
        instrumental=conditioning.instrumental,
        given=given_metadata(
            bpm=conditioning.bpm,
            duration=conditioning.seconds if duration is None else duration,
            key=conditioning.key,
            time_signature=conditioning.time_signature,
            language=conditioning.language,
            genres=conditioning.genres,
        ),
    )


def merge(conditioning: Conditioning, planned: Metadata) -> Conditioning:
    """The conditioning with its gaps filled from a plan. What the user gave stays as it was given, fractions included."""
    return msgspec.structs.replace(
        conditioning,
        caption=(planned.caption if conditioning.planner_caption else "") or conditioning.caption,
        language=conditioning.language if conditioning.language != "unknown" else planned.language or "unknown",
        bpm=conditioning.bpm if conditioning.bpm is not None or planned.bpm is None else float(planned.bpm),
        key=conditioning.key or planned.keyscale,
        time_signature=conditioning.time_signature or planned.timesignature,
        duration=conditioning.duration
        if conditioning.duration is not None or planned.duration is None
        else float(planned.duration),
    )
