"""A stage type that blurs a region towards its surroundings, and a second-order sampler. Uses ``acestep.api`` alone."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from acestep.api import (
    Fill,
    Mask,
    Plan,
    SamplerSpec,
    StageParams,
    StageType,
    Step,
    hookimpl,
    param,
    require_region,
    require_task,
)


class Wash(StageType):
    """A repaint that starts from the region itself instead of from noise."""

    name = "wash"
    summary = "Wash a region: paint it again, beginning with what is there."

    class Params(StageParams):
        """Parameters of wash."""

        depth: Annotated[float, param("How much is washed away.", ge=0.05, le=1.0, example=0.6)] = 0.6

    def plan(self, params, source, model):
        """The region's own sound, noised to ``depth``, finished under the repaint mask."""
        require_task("repaint", model, operation=self.name)
        require_region(source, operation=self.name)
        return Plan(
            task="repaint",
            instruction="Repaint the mask area based on the given conditions:",
            fill=Fill.SOURCE,
            mask=Mask.REGION,
            context=True,
            start_from_source=True,
            t_start=params.depth,
            splice=True,
            returns=("patch", "whole"),
        )


def midpoint(velocity, x, times, noise, state=None):
    """The midpoint rule: one evaluation half-way through each step (order 2)."""
    for t, t_next in pairwise(times):
        half = (t + t_next) / 2
        now = velocity(x, t)
        middle = velocity(x + (half - t) * now, half, corrector=True)
        x = yield Step(x=x + (t_next - t) * middle, x0=x - t * now)


@hookimpl
def register_stages(register):
    """One stage type."""
    register(Wash())


@hookimpl
def register_samplers(register):
    """One sampler."""
    register(SamplerSpec(name="midpoint", run=midpoint, summary="The midpoint rule.", order=2, evaluations=2))
