"""Flow edit: change the words about a clip and change the clip accordingly, without inverting it."""

from typing import Annotated

from acestep.api import (
    ModelInfo,
    Plan,
    SourceFacts,
    StageParams,
    StageType,
    instruction,
    limits,
    param,
    require_region,
    require_task,
)
from acestep.api.errors import BadRequest

UNUSED = {
    "sampler": ("auto", "euler"),
    "guidance_start": (None, 0.0),
    "guidance_end": (1.0,),
    "variation": (0.0,),
    "condition_strength": (1.0,),
    "velocity_limit": (0.0,),
    "velocity_average": (0.0,),
    "correction_low": (0.0,),
    "correction_high": (0.0,),
    "checkpoint_step": (None,),
    "resume": ("",),
}
"""Shared parameters that mean nothing to a run of Euler steps on two flows at once, with the values that say so."""


class FlowEditParams(StageParams):
    """Parameters of flow-edit."""

    source_caption: Annotated[str, param("Description of the clip as it is now.", max_length=limits.MAX_CAPTION)] = ""
    source_lyrics: Annotated[str, param("Lyrics of the clip as it is now.", max_length=limits.MAX_LYRICS)] = ""
    n_min: Annotated[float, param("Share of the schedule to skip: a smaller value changes more.", ge=0.0, le=1.0)] = 0.3
    n_max: Annotated[
        float, param("Share of the schedule after which only the new caption and lyrics count.", ge=0.0, le=1.0)
    ] = 1.0
    n_avg: Annotated[int, param("How many noise draws to average per step.", ge=1, le=8)] = 1


class FlowEdit(StageType[FlowEditParams]):
    """Moves the source along the difference of two flows: one that follows the words it was made with, one the new words.

    The shared caption and lyrics say what it should become; ``source_caption`` and ``source_lyrics`` what it is.
    """

    name = "flow-edit"
    summary = "Change a clip from one description to another."

    Params = FlowEditParams

    def plan(self, params: FlowEditParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `BadRequest` when the phases are the wrong way round, and for parameters that it cannot follow."""
        require_task("text2music", model, operation=self.name)
        require_region(source, operation=self.name)
        refuse_unused(params)
        if params.n_min > params.n_max:
            raise BadRequest("n_min lies above n_max", field="n_min", limits={"min": 0, "max": params.n_max})
        return Plan(
            task="text2music",
            instruction=instruction("text2music"),
            context=True,
            splice=True,
            returns=("part", "patch", "span", "whole", "latent"),
            custom_loop="acestep.denoising.flow_edit:flow_edit",
            custom_loop_options={
                "source_caption": params.source_caption,
                "source_lyrics": params.source_lyrics,
                "n_min": params.n_min,
                "n_max": params.n_max,
                "n_avg": params.n_avg,
            },
        )


def refuse_unused(params: StageParams) -> None:
    """Raise `BadRequest` for a shared parameter that this stage would ignore."""
    for field, idle in UNUSED.items():
        value = getattr(params, field)
        if value not in idle:
            raise BadRequest(
                f"flow-edit cannot follow {field} {value!r}: it edits in plain Euler steps of its own",
                field=field,
                limits={"choices": list(idle)},
            )
