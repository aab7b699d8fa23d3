"""Extract: one track out of a mix, in place and in time."""

from typing import Annotated

from acestep.api import Fill, ModelInfo, Plan, SourceFacts, StageType, instruction, param
from plugins.stages.near_source import near_source
from plugins.stages.track_params import TrackParams, require_track
from plugins.stages.variation import variation


class ExtractParams(TrackParams):
    """Parameters of extract."""

    soft_mask: Annotated[
        bool, param("Cut the stem out of the mix itself, with its phase; off: the stem as the model renders it.")
    ] = True
    takes: (
        Annotated[
            int,
            param(
                "How many takes to combine for the stem, fewer if they agree. More takes miss less. None: the model's default.",
                ge=1,
                le=32,
            ),
        ]
        | None
    ) = None


class Extract(StageType[ExtractParams]):
    """The whole source is the context; the result is the named stem with exactly the source's length and alignment.

    The stem is the mix's own sound under a soft mask unless ``soft_mask`` is off: then the residual is the mix without it.
    """

    name = "extract"
    group = "stems"
    summary = "Extract one track from a mix."

    Params = ExtractParams

    def plan(self, params: ExtractParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `BadRequest` without a track and `ModelUnsuited` on turbo models."""
        require_track(params, source, model, operation=self.name)
        takes = params.takes or model.defaults.for_task("extract").takes
        noise_strength, begin = near_source(params.noise_strength, model, task="extract")
        notes: tuple[str, ...] = ()
        if not params.soft_mask or params.resume or params.checkpoint_step:
            if (params.takes or 1) > 1:
                notes = ("only a masked stem of a whole run is made of several takes; this one is a single take",)
            takes = 1
        return Plan(
            task="extract",
            instruction=instruction("extract", params.track),
            fill=Fill.SOURCE,
            context=True,
            residual=True,
            soft_mask=params.soft_mask,
            passes=takes,
            settled={"takes": takes, "noise_strength": noise_strength},
            notes=notes,
            returns=("stem", "residual", "latent"),
            **begin,
            **variation(params),
        )
