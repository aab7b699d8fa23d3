"""Refine: noise an existing take a little and let the model finish it again."""

from typing import Annotated

from acestep.api import ModelInfo, Plan, SourceFacts, StageParams, StageType, instruction, param, require_task
from plugins.stages.variation import variation


class RefineParams(StageParams):
    """Parameters of refine."""

    t_start: Annotated[
        float,
        param("How much of the take may change: 0.1 is a touch, 0.9 nearly everything.", ge=0.01, le=1.0, example=0.4),
    ] = 0.4


class Refine(StageType[RefineParams]):
    """Starts at ``t_start`` from the noised source, on the rest of the schedule: the polish after another stage, or of a file."""

    name = "refine"
    summary = "Polish a take: add noise up to t_start and finish it again."
    source = "optional"

    Params = RefineParams

    def plan(self, params: RefineParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Works on the selected region, or on the latent of an earlier stage."""
        require_task("text2music", model, operation=self.name)
        return Plan(
            task="text2music",
            instruction=instruction("text2music"),
            context=True,
            start_from_source=True,
            t_start=params.t_start,
            splice=True,
            returns=("part", "patch", "span", "whole", "latent"),
            **variation(params),
        )
