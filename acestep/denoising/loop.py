"""The denoising loop: drives a sampler from the start time to 0, once for all samplers, schedules and stages.

The sampler proposes, the loop disposes: after each step it may correct x, set the untouched part of an edit back to the
noised source, take a snapshot, and hand x back. Latents stay float32 on the model's device; only the network runs in its
own dtype.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from acestep.api.errors import NumericFailure
from acestep.denoising.correction import correct
from acestep.denoising.denoising_run import Denoising, Edit, Snapshot
from acestep.denoising.velocity import GuidedVelocity
from acestep.networks.dit import Dit


@torch.inference_mode()
def denoise(dit: Dit, null_condition: Tensor, request: Denoising) -> Tensor:
    """The clean latents, float32 [B, T, 64] on the CPU. Raises `NumericFailure` for NaN, infinite or all-zero results and what
    ``request.tick`` raises."""
    device = dit.device
    initial = request.noise.initial().to(device)
    velocity = GuidedVelocity(dit, null_condition, request, initial.shape[0])
    x, state = _begin(request, velocity, initial)
    if request.first_step < request.steps:  # else the stored step that it goes on from was the last one
        x = _run(request, velocity, (x, state), initial)
    check_finite(x)
    if request.edit is not None:  # not before: each step begins with the surroundings as they are, at its noise level
        x = blend(x, request.edit)
    return x.cpu()


def _begin(request: Denoising, velocity: GuidedVelocity, initial: Tensor) -> tuple[Tensor, dict | None]:
    """The latent a run begins with, and the sampler's state when it goes on after a stored step."""
    if request.resume is not None:
        velocity.restore(request.resume.guidance, _moved(request.resume.velocity, initial.device))
        state = {key: _moved(value, initial.device) for key, value in request.resume.sampler.items()}
        state.setdefault("t", request.times[request.resume.index])  # version 0.1 stored steps without their time
        return request.resume.x.to(initial.device), state
    if request.start is not None:  # near a source: it begins part of the way, under as much noise as that time has
        return noised(request.start.to(initial), initial, request.times[0]), None
    return initial, None


def _moved(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, Tensor) else value


def _run(request: Denoising, velocity: GuidedVelocity, begin: tuple[Tensor, dict | None], initial: Tensor) -> Tensor:
    """Drive the sampler from the first step that is left to the end; returns the last x."""
    x, state = begin
    index = request.first_step

    def noise(i: int) -> Tensor:
        # by the step's number in the whole run, so that a resumed run draws what the unbroken one drew
        return request.noise.step(request.first_step + i).to(initial.device)

    solver = request.sampler(velocity, x, list(request.times[index:]), noise, state)
    velocity.begin_step(index)
    step = next(solver, None)
    while step is not None:
        # a sampler that adds noise may leave x at another level than the schedule's next time; it says so
        x, t_next = step.x, request.times[index + 1] if step.t is None else step.t
        # corrected before the surroundings are set back: those are the source's and nothing should move them
        if request.corrections and velocity.x0 is not None:
            x = correct(x, velocity.x0, request.times[index], request.corrections)
        if request.edit is not None and _injects(request, request.edit, index):
            x = inject(x, initial, t_next, request.edit)
        # what is stored is the whole state between two steps, so that going on from it comes to the same samples
        guidance, average = velocity.state()
        request.on_step(Snapshot(index, t_next, x, step.x0, step.state, guidance, average))
        index += 1
        velocity.begin_step(index)
        try:
            step = solver.send(x)
        except StopIteration:
            step = None
    return x


def _injects(request: Denoising, edit: Edit, index: int) -> bool:
    """Python rounds halves to even, as the original does."""
    last = index == request.steps - 1
    return index < round(edit.injection * request.steps) and not (last and request.quirks.no_last_injection)


def noised(x0: Tensor, noise: Tensor, t: float) -> Tensor:
    """A clean latent at noise level ``t``."""
    return t * noise + (1 - t) * x0


def inject(x: Tensor, initial: Tensor, t: float, edit: Edit) -> Tensor:
    """``x`` with everything outside the region set back to the source at noise level ``t``, under the run's initial noise."""
    outside = noised(edit.source.to(x), initial, t)
    return torch.where(inside_mask(x, edit.region), x, outside)


def inside_mask(x: Tensor, region: tuple[int, int]) -> Tensor:
    """Boolean [1, T, 1]: True in the region."""
    frames = torch.arange(x.shape[1], device=x.device)
    return ((frames >= region[0]) & (frames < region[1]))[None, :, None]


def blend(x: Tensor, edit: Edit) -> Tensor:
    """The source outside the region, with ramps ``k / (n + 1)`` over n = ``edit.blend`` frames beyond each edge (fewer where
    the clip ends sooner)."""
    if edit.blend <= 0:
        return x
    start, end = edit.region
    weight = torch.zeros(x.shape[1], device=x.device)
    weight[start:end] = 1
    before, after = min(edit.blend, start), min(edit.blend, x.shape[1] - end)
    weight[start - before : start] = torch.linspace(0, 1, before + 2, device=x.device)[1:-1]
    weight[end : end + after] = torch.linspace(1, 0, after + 2, device=x.device)[1:-1]
    return torch.lerp(edit.source.to(x).expand_as(x), x, weight[None, :, None])


def check_finite(x: Tensor) -> None:
    """Raise `NumericFailure` for a result that would be silence or a crash further on."""
    if not torch.isfinite(x).all():
        raise NumericFailure(
            "the model produced values that are not numbers; float32 (dtype) or another device may help"
        )
    if not x.any():
        raise NumericFailure("the model produced nothing but zeros")
