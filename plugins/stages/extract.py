"""Extract: one track out of a mix, in place and in time."""

from __future__ import annotations

from typing import Annotated

from acestep.api import Fill, ModelInfo, Plan, SourceFacts, StageParams, StageType, param, require_region, require_task
from acestep.api.errors import BadRequest
from acestep.api.music import TRACKS
from plugins.stages import instructions
from plugins.stages.retake import retake


class Extract(StageType):
    """The whole source is the context; the result is the named stem with exactly the source's length and alignment."""

    name = "extract"
    summary = "Take one track out of a mix."

    class Params(StageParams):
        """Parameters of extract."""

        track: Annotated[str, param("Track to take out.", choices="tracks", example="drums")] = ""

    def plan(self, params: Params, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `BadRequest` without a track and `ModelUnsuited` on turbo models."""
        require_task("extract", model, operation=self.name)
        require_region(source, operation=self.name)
        if not params.track:
            raise BadRequest("extract needs the name of a track", field="track", limits={"choices": list(TRACKS)})
        return Plan(
            task="extract",
            instruction=instructions.extract(params.track),
            fill=Fill.SOURCE,
            context=True,
            residual=True,
            returns=("stem", "residual", "latent"),
            **retake(params),
        )
