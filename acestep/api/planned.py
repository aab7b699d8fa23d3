"""A render's plan by itself: what the planner is asked, and what it answers. Plain data, so that a plan can be made on one device
and rendered on another."""

from __future__ import annotations

from typing import Any

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.planning import CODE_FAMILY
from acestep.api.request import Render
from acestep.api.rounding import samples

THINK = "think"
"""What a worker is asked for instead of an operation when only the plan of a render is wanted; no client can ask for it."""

PLANNING_SHARE = 0.5
"""Part of a job's progress that thinking takes."""


class PlanWish(msgspec.Struct, frozen=True, kw_only=True):
    """What the planner needs to know of a render, and nothing of its models: they may be on another machine."""

    conditioning: Conditioning
    seeds: tuple[int, ...]
    """One for each variant."""
    duration: float | None = None
    """Seconds of the part, where they are certain already."""
    family: str = CODE_FAMILY
    """Family of the latents that the codes are for."""

    @classmethod
    def of(cls, render: Render, family: str) -> PlanWish:
        """Of a canonical render."""
        length, rate, params = render.output.length, render.output.rate, render.stages[0].params
        return cls(
            conditioning=render.conditioning,
            seeds=tuple(params.seeds or [params.seed]),
            duration=length / rate if isinstance(length, int) and length and rate else None,
            family=family,
        )


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
            "lyrics": conditioning.lyrics,
            "language": conditioning.language,
            "bpm": conditioning.bpm,
            "key": conditioning.key,
            "time_signature": conditioning.time_signature,
            "duration": conditioning.duration,
            "codes": conditioning.codes or [],
            **({"query": conditioning.query} if conditioning.query else {}),
        }
        return {**shown, "decoding": list(self.decoding)} if self.decoding else shown
