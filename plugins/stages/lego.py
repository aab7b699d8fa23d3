"""Lego: a new track that fits what is already there."""

from __future__ import annotations

from typing import Annotated

from acestep.api import (
    Fill,
    Mask,
    ModelInfo,
    Plan,
    SourceFacts,
    StageParams,
    StageType,
    param,
    require_region,
    require_task,
)
from acestep.api.errors import BadRequest
from acestep.api.music import TRACKS
from plugins.stages import instructions
from plugins.stages.retake import retake


class Lego(StageType):
    """The source stays in the context, also inside the region: silencing it would take away what the new track shall fit."""

    name = "lego"
    summary = "Add one instrument to what is heard."

    class Params(StageParams):
        """Parameters of lego."""

        track: Annotated[str, param("Instrument to add.", choices="tracks", example="bass")] = ""

    def plan(self, params: Params, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `BadRequest` without a track and `ModelUnsuited` on turbo models."""
        require_task("lego", model, operation=self.name)
        require_region(source, operation=self.name)
        if not params.track:
            raise BadRequest("lego needs the name of an instrument", field="track", limits={"choices": list(TRACKS)})
        return Plan(
            task="lego",
            instruction=instructions.lego(params.track),
            fill=Fill.SOURCE,
            mask=Mask.REGION,
            context=True,
            returns=("part", "latent"),
            **retake(params),
        )
