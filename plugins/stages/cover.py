"""Cover: the same music in another sound."""

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
from acestep.api.errors import BadRequest
from plugins.stages.near_source import NoiseStrength, near_source
from plugins.stages.variation import variation


class CoverParams(StageParams):
    """Parameters of cover."""

    strength: Annotated[
        float,
        param(
            "How closely to follow the source: the share of steps that do. 0.2 keeps only its outline.", ge=0.0, le=1.0
        ),
    ] = 1.0
    noise_strength: NoiseStrength = None
    bottleneck: Annotated[
        bool, param("Keep only the musical content of the source (semantic bottleneck); off keeps its sound too.")
    ] = True


class Cover(StageType[CoverParams]):
    """The source goes through the 5 Hz bottleneck, which keeps melody and rhythm and forgets the sound.

    ``strength`` is the share of the steps that see the source at all; the later ones run as plain text to music.
    """

    name = "cover"
    summary = "Play the same music with another sound."

    Params = CoverParams

    def plan(self, params: CoverParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """The region keeps its length and place. Raises `BadRequest` when the share is given twice."""
        require_task("cover", model, operation=self.name)
        require_region(source, operation=self.name)
        if params.strength < 1.0 and params.condition_strength < 1.0:
            raise BadRequest(
                "strength and condition_strength are the same for a cover; give one of them", field="condition_strength"
            )
        noise_strength, begin = near_source(params.noise_strength, model, task="cover")
        return Plan(
            task="cover",
            instruction=instruction("cover"),
            fill=Fill.BOTTLENECK if params.bottleneck else Fill.SOURCE,
            context=True,
            condition_strength=params.strength,
            splice=True,
            returns=("part", "patch", "span", "whole", "latent"),
            settled={"noise_strength": noise_strength},
            **begin,
            **variation(params),
        )
