"""Lego: a new track that fits what is already there."""

from __future__ import annotations

from acestep.api import Fill, Mask, ModelInfo, Plan, SourceFacts, StageType, instruction
from plugins.stages.near_source import near_source
from plugins.stages.track_params import TrackParams, require_track
from plugins.stages.variation import variation


class LegoParams(TrackParams):
    """Parameters of lego."""


class Lego(StageType[LegoParams]):
    """The source stays in the context, also inside the region: silencing it would take away what the new track should fit."""

    name = "lego"
    group = "create"
    summary = "Add one instrument to the mix."

    Params = LegoParams

    def plan(self, params: LegoParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `BadRequest` without a track and `ModelUnsuited` on turbo models."""
        require_track(params, source, model, operation=self.name)
        noise_strength, begin = near_source(params.noise_strength, model, task="lego")
        return Plan(
            task="lego",
            instruction=instruction("lego", params.track),
            fill=Fill.SOURCE,
            mask=Mask.REGION,
            context=True,
            returns=("part", "latent"),
            settled={"noise_strength": noise_strength},
            **begin,
            **variation(params),
        )
