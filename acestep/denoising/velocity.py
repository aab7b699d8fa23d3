"""The velocity a sampler sees: the model's, guided, limited and averaged, in that order, under the condition of the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from acestep.denoising.denoising_run import Branch, Denoising, Guidance
from acestep.networks.dit import Dit


class GuidedVelocity:
    """`velocity(x, t, corrector)` for one run. The loop tells it where the run is with `begin_step`.

    Cross-attention keys and values are computed once for each branch and kept for the run.
    """

    def __init__(self, dit: Dit, null_condition: Tensor, request: Denoising, batch: int) -> None:
        self._dit = dit
        self._request = request
        make = request.guidance.make
        # one for each item: momentum of one variant must not reach another
        self._methods: list[Guidance] = [] if make is None else [make() for _ in range(batch)]
        self._null = dit.condition(null_condition) if self._methods else None
        self._branch: Branch = request.main
        self._condition = dit.condition(request.main.states)
        self._average: Tensor | None = None
        self._first: Tensor | None = None
        self._calls = 0
        self.x0: Tensor | None = None
        """Estimate of the clean latent from the first velocity of the current step."""

    def begin_step(self, index: int) -> None:
        """Announce step ``index``; switches the condition when its share of the run is over."""
        request = self._request
        self._first = None
        # rounded down, as the original counts
        counted = request.quirks.switch_steps or request.steps
        switched = index >= int(counted * request.strength)
        branch = request.after if request.after is not None and switched else request.main
        if branch is not self._branch:
            self._branch = branch
            self._condition = self._dit.condition(branch.states)

    def __call__(self, x: Tensor, t: float, corrector: bool = False) -> Tensor:
        """Velocity float32 [B, T, 64] at ``x`` and time ``t``. Raises what the run's ``tick`` raises (cancel)."""
        velocity = self._limit(self._guide(x, float(t), corrector), x)
        velocity = self._smooth(velocity, corrector)
        if self._first is None:  # a second evaluation of the step lies at another x and t, and says nothing of x0 here
            self._first = velocity
            self.x0 = x - velocity * t
        self._calls += 1
        expected = (self._request.steps - self._request.first_step) * self._request.evaluations
        self._request.tick(self._calls, max(expected, self._calls))
        return velocity

    def _guide(self, x: Tensor, t: float, corrector: bool) -> Tensor:
        settings, context = self._request.guidance, self._branch.context
        if self._null is None or not settings.low <= t <= settings.high:  # half the work
            return self._dit.velocity(x, t, context, [self._condition])[0]
        cond, uncond = self._dit.velocity(x, t, context, [self._condition, self._null])
        return combine(self._methods, cond, uncond, x, t, corrector)

    def _limit(self, velocity: Tensor, x: Tensor) -> Tensor:
        """Per item: no velocity longer than ``velocity_limit`` times the latent."""
        limit = self._request.velocity_limit
        if not limit:
            return velocity
        norms = (
            torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True),
            torch.linalg.vector_norm(velocity, dim=(1, 2), keepdim=True),
        )
        return velocity * (limit * norms[0] / norms[1].clamp_min(1e-20)).clamp_max(1.0)

    def _smooth(self, velocity: Tensor, corrector: bool) -> Tensor:
        """A running mean over the steps; a second evaluation is mixed with the first of its own step, and the step then counts
        with the mean of both."""
        weight = self._request.velocity_average
        partner = self._first if corrector else self._average
        if weight and partner is not None:
            velocity = (1 - weight) * velocity + weight * partner
        self._average = (self._first + velocity) / 2 if corrector and self._first is not None else velocity
        return velocity

    def state(self) -> tuple[list[dict[str, Any]], Tensor | None]:
        """Guidance states and last velocity, for a snapshot."""
        return [method.state() for method in self._methods], self._average if self._request.velocity_average else None

    def restore(self, guidance: list[dict[str, Any]], velocity: Tensor | None) -> None:
        """Continue from a snapshot's states."""
        for method, state in zip(self._methods, guidance, strict=True):
            method.restore(state)
        self._average = velocity


def combine(methods: Sequence[Guidance], cond: Tensor, uncond: Tensor, x: Tensor, t: float, corrector: bool) -> Tensor:
    """Guided velocity [B, T, 64], each item by its own method (momentum is per item)."""
    rows = [slice(i, i + 1) for i in range(len(methods))]
    guided = [method.combine(cond[i], uncond[i], x[i], t, corrector) for method, i in zip(methods, rows, strict=True)]
    return guided[0] if len(guided) == 1 else torch.cat(guided)
