"""How a render thinks before it generates: the planner's answer merged into the conditioning, the user's values winning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.metadata import Metadata
from acestep.api.planning import CODE_FAMILY, PlannerSettings, knows_codes_of
from acestep.api.request import Render
from acestep.api.rounding import samples
from acestep.planner.planner_models import settings_of
from acestep.planner.planning import PlanInputs, given_metadata, read_thought
from acestep.planner.session import planner_for, put_away
from acestep.worker.backend import JobContext


class PlannedConditioning(msgspec.Struct, frozen=True, kw_only=True):
    """What came of thinking."""

    conditioning: Conditioning
    """The request's own with its gaps filled, its codes, and nothing left to think about: rendered again it gives the same."""
    model: str
    """Name of the language model that was used."""
    decoding: tuple[str, ...] = ()
    """A line per token of the metadata, where the request wants to see them."""
    notes: tuple[str, ...] = ()

    def settle(self, render: Render) -> Render:
        """The render with the plan in it; a length that was left open is the plan's."""
        output = render.output
        seconds = self.conditioning.seconds
        if output.length is None and seconds is not None and output.rate is not None:
            output = msgspec.structs.replace(output, length=samples(seconds, output.rate))
        return msgspec.structs.replace(render, conditioning=self.conditioning, output=output)

    def to_data(self) -> dict[str, Any]:
        """What a result shows of it: the thought, the metadata that came of it, and the codes per variant."""
        conditioning = self.conditioning
        shown = {
            "cot_text": conditioning.cot_text,
            "model": self.model,
            "caption": conditioning.caption,
            "language": conditioning.language,
            "bpm": conditioning.bpm,
            "key": conditioning.key,
            "time_signature": conditioning.time_signature,
            "duration": conditioning.duration,
            "codes": conditioning.codes or [],
        }
        return {**shown, "decoding": list(self.decoding)} if self.decoding else shown


def plan_request(
    conditioning: Conditioning,
    seeds: Sequence[int],
    context: JobContext,
    *,
    duration: float | None = None,
    share: float = 0.5,
    family: str = CODE_FAMILY,
) -> PlannedConditioning:
    """Think about a generation: one thought, one sequence of codes per seed.

    ``duration`` (s) is the length that is already certain (it wins over the conditioning's); progress covers the first
    ``share`` of the job. Codes are planned only for a checkpoint whose ``family`` of latents has the codebook that the
    planner knows. Raises `ModelMissing` or `OutOfMemory` when no language model can run here, `BadRequest` for texts that
    it cannot read.
    """
    settings = settings_for(conditioning, family)
    inputs = _plan_inputs(conditioning, duration)
    thought = read_thought(conditioning.cot_text, inputs) if conditioning.cot_text else None
    context.tick("load", 0, 1, 0.0)
    loaded = planner_for(context.registry, settings, settings_of(context.backend), "planner_model")
    middle = share * (0.3 if settings.codes else 1.0)

    def report(stage: str, start: float, end: float, done: int, total: int) -> None:
        context.tick(stage, done, total, start + (end - start) * done / max(total, 1))

    if thought is None:
        thought = loaded.planner.think(
            inputs, settings, seeds[0], lambda done, total: report("thinking", 0.0, middle, done, total)
        )
    codes: list[list[int]] = []
    if settings.codes:
        codes = loaded.planner.sketch(
            inputs, thought.metadata, settings, seeds, lambda done, total: report("codes", middle, share, done, total)
        )
    put_away(settings_of(context.backend))
    planned = merge(conditioning, thought.metadata)
    return PlannedConditioning(
        conditioning=msgspec.structs.replace(planned, codes=codes or None, cot_text=thought.text, thinking=False),
        model=loaded.info.name,
        decoding=thought.decoding,
        notes=loaded.notes,
    )


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
