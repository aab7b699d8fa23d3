"""Extract: one track out of a mix, in place and in time."""

from __future__ import annotations

from acestep.api import Fill, ModelInfo, Plan, SourceFacts, StageType
from plugins.stages import instructions
from plugins.stages.retake import retake
from plugins.stages.tracks import TrackParams, require_track


class Extract(StageType):
    """The whole source is the context; the result is the named stem with exactly the source's length and alignment."""

    name = "extract"
    summary = "Take one track out of a mix."

    class Params(TrackParams):
        """Parameters of extract."""

    def plan(self, params: Params, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `BadRequest` without a track and `ModelUnsuited` on turbo models."""
        require_track(params, source, model, operation=self.name)
        return Plan(
            task="extract",
            instruction=instructions.extract(params.track),
            fill=Fill.SOURCE,
            context=True,
            residual=True,
            returns=("stem", "residual", "latent"),
            **retake(params),
        )
