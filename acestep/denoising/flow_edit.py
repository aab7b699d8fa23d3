"""Flow edit: turns one description of a clip into another without inverting it to noise (arXiv 2412.08629).

The edited clip moves by the difference of two velocities, one under each description, at equally noised points. The last part
of the run may follow the target alone. A custom loop (`acestep.api.plan.Plan.custom_loop`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from acestep.api.errors import BadRequest
from acestep.denoising.denoising_run import Branch, CustomLoopRun, Denoising, Guidance
from acestep.denoising.loop import check_finite, noised
from acestep.denoising.velocity import combine
from acestep.networks.dit import Condition, Dit


@dataclass(frozen=True)
class FlowEditOptions:
    """Which part of the schedule is edited (fractions, 0 is the noisy end), and noises per step."""

    n_min: float = 0.0
    n_max: float = 1.0
    n_avg: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.n_min <= self.n_max <= 1 or not 1 <= self.n_avg <= 16:
            raise BadRequest("flow edit needs 0 <= n_min <= n_max <= 1 and 1 to 16 noises a step", field="n_min",
                             limits={"min": 0, "max": 1, "n_avg": 16})  # fmt: skip


class Side:
    """The velocity under one description, with its own guidance momentum."""

    def __init__(self, dit: Dit, branch: Branch, null: Condition | None, methods: list[Guidance]) -> None:
        self._dit = dit
        self._context = branch.context
        self._condition = dit.condition(branch.states)
        self._null = null
        self._methods = methods
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []
        self._before: list[dict] = []

    def begin_step(self) -> None:
        """All draws of a step start from the same momentum."""
        self._before = [method.state() for method in self._methods]
        self._pairs = []

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """Guided velocity at ``x``, from the momentum the step began with."""
        if self._null is None:
            return self._dit.velocity(x, t, self._context, [self._condition])[0]
        self._rewind()
        cond, uncond = self._dit.velocity(x, t, self._context, [self._condition, self._null])
        self._pairs.append((cond, uncond, x))
        return combine(self._methods, cond, uncond, x, t, False)

    def end_step(self, t: float) -> None:
        """Advance the momentum once, by the mean over the step's draws."""
        if len(self._pairs) > 1:
            self._rewind()
            cond, uncond, x = (torch.stack(parts).mean(0) for parts in zip(*self._pairs, strict=True))
            combine(self._methods, cond, uncond, x, t, False)

    def _rewind(self) -> None:
        for method, state in zip(self._methods, self._before, strict=True):
            method.restore(state)


@torch.inference_mode()
def flow_edit(run: CustomLoopRun) -> Tensor:
    """The custom loop: ``run.denoising.main`` describes the target, ``source_caption`` and ``source_lyrics`` the source."""
    numbers: dict[str, Any] = {name: run.options[name] for name in ("n_min", "n_max", "n_avg") if name in run.options}
    states = run.encode(str(run.options.get("source_caption", "")), str(run.options.get("source_lyrics", "")))
    source = Branch(states, run.denoising.main.context)
    return edit_flow(run.dit, run.null_condition, run.denoising, source, FlowEditOptions(**numbers))


@torch.inference_mode()
def edit_flow(dit: Dit, null_condition: Tensor, request: Denoising, source: Branch, options: FlowEditOptions) -> Tensor:
    """The edited latents, float32 [B, T, 64] on the CPU; ``request.start`` holds the clip and ``request.main`` the target.

    Noise ``k`` of the run is ``request.noise.step(k)``. Raises `BadRequest` without a clip, `NumericFailure`, and what
    ``tick`` raises.
    """
    if request.start is None:
        raise BadRequest("flow edit needs a source", field="source")
    clip = request.start.to(dit.device).float()
    make, null = request.guidance.make, None
    if make is not None:
        null = dit.condition(null_condition)
    sides = [
        Side(dit, branch, null, [make() for _ in range(clip.shape[0])] if make else [])
        for branch in (request.main, source)
    ]
    x = _follow(request, options, clip, *sides)
    check_finite(x)
    return x.cpu()


def _follow(request: Denoising, options: FlowEditOptions, clip: Tensor, target: Side, source: Side) -> Tensor:
    """Both phases, step by step."""
    steps = request.steps
    first, last = int(steps * options.n_min), int(steps * options.n_max)
    evaluations = _Ticker(request.tick, 2 * options.n_avg * max(0, last - first) + steps - max(first, last))
    fresh = _Draws(request, clip)
    edited, x = clip, None
    for index in range(first, steps):
        t, t_next = request.times[index], request.times[index + 1]
        target.begin_step()
        source.begin_step()
        if index < last:
            change = torch.zeros_like(clip)
            for _ in range(options.n_avg):
                noisy = fresh(t)  # the same noise on both sides: in the difference of the velocities it cancels
                forward = target.velocity(edited + noisy - clip, t)
                evaluations()
                change = change + forward - source.velocity(noisy, t)
                evaluations()
            source.end_step(t)
            edited = edited + (t_next - t) * change / options.n_avg
        else:  # the target alone: what was edited so far, at the noise level that the schedule has reached
            x = edited + fresh(t) - clip if x is None else x
            x = x + (t_next - t) * target.velocity(x, t)
            evaluations()
        target.end_step(t)
    return edited if x is None else x


class _Draws:
    """The clip at noise level t, with a new noise at every call."""

    def __init__(self, request: Denoising, clip: Tensor) -> None:
        self._request, self._clip, self._count = request, clip, 0

    def __call__(self, t: float) -> Tensor:
        noise = self._request.noise.step(self._count).to(self._clip)
        self._count += 1
        return noised(self._clip, noise, t)


class _Ticker:
    """Reports every velocity evaluation."""

    def __init__(self, tick: Callable[[int, int], None], expected: int) -> None:
        self._tick, self._expected, self._done = tick, expected, 0

    def __call__(self) -> None:
        self._done += 1
        self._tick(self._done, self._expected)
