"""Repaint: a region is painted anew and everything around it stays as it is, bit for bit."""

from typing import Annotated, Literal

from acestep.api import (
    Fill,
    Mask,
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

FULL_BLEND = 25
"""Latent frames (1 s) of the widest blend at the region's edges, by the model's authors."""


class RepaintParams(StageParams):
    """Parameters of repaint and extend."""

    mode: Annotated[
        Literal["conservative", "balanced", "aggressive"],
        param("How closely the new region follows its surroundings; conservative is closest."),
    ] = "balanced"
    strength: Annotated[
        float, param("Between conservative (0) and aggressive (1); only for balanced.", ge=0.0, le=1.0)
    ] = 0.5


def looseness(params: RepaintParams) -> float:
    """0 for conservative, 1 for aggressive, the strength in between."""
    return {"conservative": 0.0, "aggressive": 1.0}.get(params.mode, params.strength)


def repaint_plan(params: RepaintParams, *, extend: bool) -> Plan:
    """The Plan of a repaint; ``extend`` lets the region reach outside the file."""
    hold = 1.0 - looseness(params)
    default = RepaintParams().strength
    notes: tuple[str, ...] = ()
    if params.mode != "balanced" and params.strength not in (default, looseness(params)):
        notes = (
            f"strength {params.strength:g} has no effect beside mode {params.mode}, which is {looseness(params):g}",
        )
    return Plan(
        task="repaint",
        instruction=instruction("repaint"),
        fill=Fill.SOURCE,
        mask=Mask.REGION,
        silence_region=True,
        context=True,
        extend=extend,
        injection=hold,
        latent_blend=round(FULL_BLEND * hold),
        guide=True,
        splice=True,
        returns=("patch", "span", "whole", "latent"),
        notes=notes,
        **variation(params),
    )


class Repaint(StageType[RepaintParams]):
    """The region's context is silenced, its surroundings are read and set back while denoising, and the source's own samples
    are spliced back outside."""

    name = "repaint"
    summary = "Regenerate a region; leave the rest of the file unchanged."
    Params = RepaintParams

    def plan(self, params: RepaintParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """The region must lie inside the file."""
        require_task("repaint", model, operation=self.name)
        require_region(source, operation=self.name)
        return repaint_plan(params, extend=False)
