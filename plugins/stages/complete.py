"""Complete: from one track to the whole band."""

from typing import Annotated

from acestep.api import (
    Fill,
    ModelInfo,
    Plan,
    SourceFacts,
    StageParams,
    StageType,
    instruction,
    param,
    require_region,
    require_task,
)
from plugins.stages.variation import variation


class CompleteParams(StageParams):
    """Parameters of complete."""

    tracks: Annotated[
        list[str], param("Tracks to add; none: the model decides.", choices="tracks", example=["drums", "bass"])
    ] = []


class Complete(StageType[CompleteParams]):
    """The source is the context; the result is a mix that contains it, filled up with the named tracks."""

    name = "complete"
    group = "create"
    summary = "Add instruments around a track to make a whole arrangement."

    Params = CompleteParams

    def plan(self, params: CompleteParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `ModelUnsuited` on turbo models."""
        require_task("complete", model, operation=self.name)
        require_region(source, operation=self.name)
        return Plan(
            task="complete",
            instruction=instruction("complete", *params.tracks),
            fill=Fill.SOURCE,
            context=True,
            returns=("part", "latent"),
            **variation(params),
        )
