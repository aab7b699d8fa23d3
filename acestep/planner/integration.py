"""How a render thinks before it generates: the planner's answer merged into the conditioning, the user's values winning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from acestep.api.planning import PlannerSettings
from acestep.api.request import Conditioning, Render
from acestep.planner.library import CODE_FAMILY, knows_codes_of, settings_of
from acestep.planner.metadata import Metadata
from acestep.planner.planning import Wish, given_metadata
from acestep.planner.session import planner_for, put_away
from acestep.worker.backend import JobContext

PLANNED_STAGE = "generate"
"""The only stage type that is planned: with every other one, codes would replace the audio that is being edited."""


class PlannedConditioning(msgspec.Struct, frozen=True, kw_only=True):
    """What came of thinking."""

    conditioning: Conditioning
    """The request's own, gaps filled; its caption and language replaced where the request allows it."""
    codes: tuple[tuple[int, ...], ...] = ()
    """Semantic codes per variant, five a second; empty when only metadata was planned."""
    cot_text: str
    """What the model wrote."""
    model: str
    """Name of the language model that was used."""
    notes: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """What a result shows of it: the thought, the metadata that came of it, and the codes per variant."""
        wish = self.conditioning
        return {
            "cot_text": self.cot_text,
            "model": self.model,
            "caption": wish.caption,
            "language": wish.language,
            "bpm": wish.bpm,
            "key": wish.key,
            "time_signature": wish.time_signature,
            "codes": [list(sequence) for sequence in self.codes],
        }


def wants_planning(render: Render) -> bool:
    """Whether a render asks for the planner, and may have it: it begins with a generation and brings no codes of its own."""
    wish = render.conditioning
    return wish.thinking and wish.audio_codes is None and render.stages[0].type == PLANNED_STAGE


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
    settings = PlannerSettings(
        model=conditioning.planner_model,
        codes=conditioning.planner_codes and knows_codes_of(family),
        use_caption=conditioning.planner_caption,
        temperature=conditioning.planner_temperature,
        cfg_scale=conditioning.planner_cfg_scale,
    )
    context.tick("load", 0, 1, 0.0)
    loaded = planner_for(context.registry, settings, settings_of(context.backend))
    wish = _wish(conditioning, duration)
    middle = share * (0.3 if settings.codes else 1.0)

    def report(stage: str, start: float, end: float, done: int, total: int) -> None:
        context.tick(stage, done, total, start + (end - start) * done / max(total, 1))

    thought = loaded.planner.think(
        wish, settings, seeds[0], lambda done, total: report("thinking", 0.0, middle, done, total)
    )
    codes: list[list[int]] = []
    if settings.codes:
        codes = loaded.planner.sketch(
            wish, thought.metadata, settings, seeds, lambda done, total: report("codes", middle, share, done, total)
        )
    put_away(settings_of(context.backend))
    notes = []
    if conditioning.planner_codes and not settings.codes:
        notes.append("the planner does not know this model's codes, so it planned words and metadata only")
    return PlannedConditioning(
        conditioning=merge(conditioning, thought.metadata),
        codes=tuple(tuple(sequence) for sequence in codes),
        cot_text=thought.text,
        model=loaded.info.name,
        notes=(*loaded.notes, *notes),
    )


def _wish(conditioning: Conditioning, duration: float | None) -> Wish:
    return Wish(
        caption=conditioning.caption,
        lyrics=conditioning.lyrics,
        instrumental=conditioning.instrumental,
        given=given_metadata(
            bpm=conditioning.bpm,
            duration=conditioning.duration if duration is None else duration,
            key=conditioning.key,
            time_signature=conditioning.time_signature,
            language=conditioning.language,
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
