"""The tasks of ACE-Step v1 as functions over latents [1, 8, 16, T], float32: sources and results on the CPU, the run where the
transformer is.

Each takes a `Run`, which holds words, noise levels, sampler and guidance, and the noise it starts from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from acestep.api.errors import BadRequest, RegionOutside
from acestep.denoising.loop import check_finite, noised
from acestep.families.ace_step_v1.run import Run
from acestep.families.ace_step_v1.schedule import levels_near
from acestep.families.ace_step_v1.transformer import Transformer
from acestep.families.ace_step_v1.units import MAX_FRAMES
from acestep.families.ace_step_v1.velocity import RunVelocity

CONTEXT = 108
"""Frames (10 s) of a long source that an extension sees at least."""

Inject = Callable[[Tensor, float], Tensor]
"""What an edit does to x after a step that ended at a noise level."""


def text_to_music(transformer: Transformer, run: Run, noise: Tensor) -> Tensor:
    """A piece from noise. (A retake is the same from `acestep.denoising.noise.mix` of two noises.)"""
    return denoise(transformer, run, noise)


def audio_to_audio(transformer: Transformer, run: Run, noise: Tensor, reference: Tensor, strength: float) -> Tensor:
    """A piece near a reference of its length: from nothing of it (``strength`` 0) to itself (1). ``run.levels`` give the steps."""
    _check_share(strength, "reference_strength")
    if strength == 0:
        return denoise(transformer, run, noise)
    levels, start = levels_near(run.steps, strength)
    return denoise(transformer, replace(run, levels=levels), noised(reference, noise, start))


def repaint(
    transformer: Transformer, run: Run, noises: tuple[Tensor, Tensor], source: Tensor, region: tuple[int, int],
    variance: float = 1.0,
) -> Tensor:  # fmt: skip
    """The source with new material in the frames ``region`` (first, last + 1); outside it is the source itself.

    ``noises``: the piece's and that of the new take. ``variance`` 1 starts from noise, less of it later and nearer to the source.
    Raises `RegionOutside`.
    """
    first, last = region
    if not 0 <= first < last <= source.shape[-1]:
        raise RegionOutside(
            f"the region of frames {first} to {last} is empty or not inside the source's {source.shape[-1]}",
            field="region",
        )
    _check_share(variance, "variance")
    angle = torch.tensor(variance * torch.pi / 2)
    mixed = angle.cos() * noises[0] + angle.sin() * noises[1]
    mask = torch.zeros(source.shape[-1], dtype=torch.bool)
    mask[first:last] = True
    start = int(run.steps * (1 - variance))
    return _inpaint(transformer, run, source, torch.where(mask, mixed, noises[0]), mask, start)


def extend(
    transformer: Transformer, run: Run, noises: tuple[Tensor, Tensor], source: Tensor, left: int, right: int
) -> Tensor:
    """The source with ``left`` new frames before it and ``right`` after it; in between it is the source itself.

    ``noises``: the piece's [..., T], and that of the new parts, which has at least as many frames as the longer of them. Beyond the
    longest piece that the model knows, it sees only as much of the source as fits, and both sides are made one after the other.
    Raises `BadRequest` when nothing, or too much at once, is asked for.
    """
    most = MAX_FRAMES - CONTEXT
    if min(left, right) < 0 or left + right == 0 or max(left, right) > most:
        raise BadRequest(
            f"an extension adds 1 to {most} frames a side", field="extension", limits={"min": 0, "max": most}
        )
    if source.shape[-1] + left + right > MAX_FRAMES and left and right:
        longer = extend(transformer, run, noises, source, left, 0)
        base = torch.cat([noises[1][..., :left], noises[0]], dim=-1)
        return extend(transformer, run, (base, noises[1]), longer, 0, right)
    seen = min(source.shape[-1], MAX_FRAMES - left - right)
    cut = slice(0, seen) if left else slice(source.shape[-1] - seen, None)
    near, base = source[..., cut], noises[0][..., cut]
    padded = functional.pad(near, (left, right))
    parts = [noises[1][..., :left], base, noises[1][..., noises[1].shape[-1] - right :]]
    mask = torch.ones(padded.shape[-1], dtype=torch.bool)
    mask[left : left + seen] = False
    out = _inpaint(transformer, run, padded, torch.cat(parts, dim=-1), mask, 0)
    if left:
        return torch.cat([out, source[..., seen:]], dim=-1)
    return torch.cat([source[..., : source.shape[-1] - seen], out], dim=-1)


def _inpaint(transformer: Transformer, run: Run, source: Tensor, noise: Tensor, mask: Tensor, start: int) -> Tensor:
    """From step ``start`` on, without omega; after each step everything outside the mask is the noised source again."""
    if start >= run.steps:
        return source.clone()
    device = transformer.like.device
    source, noise, mask = (part.to(device) for part in (source, noise, mask))

    def inject(x: Tensor, level: float) -> Tensor:
        return torch.where(mask, x, noised(source, noise, level))

    run = replace(run, omega=0.0)  # the original steps plainly here
    return denoise(transformer, run, noised(source, noise, run.levels[start]), start, inject)


@torch.inference_mode()
def denoise(
    transformer: Transformer, run: Run, x: Tensor, start: int = 0, inject: Inject = lambda x, level: x
) -> Tensor:
    """Drive the sampler from step ``start`` to the end, from a latent at that step's noise level.

    Raises `NumericFailure`, and what ``run.tick`` raises.
    """
    device = transformer.like.device
    velocity = RunVelocity(transformer, run, start)

    def noise(index: int) -> Tensor:
        return run.noise(start + index).to(device)

    x = x.to(device)
    solver = run.sampler.run(velocity, x, list(run.levels[start:]), noise, None)
    step = next(solver, None)
    while step is not None:
        level = run.levels[velocity.step + 1] if step.t is None else step.t
        x = inject(step.x, level)
        run.on_step(velocity.step, x, step.x0)
        velocity.step += 1
        try:
            step = solver.send(x)
        except StopIteration:
            step = None
    check_finite(x)
    return x.cpu()


def _check_share(value: float, field: str) -> None:
    if not 0 <= value <= 1:
        raise BadRequest(f"{field} lies between 0 and 1", field=field, limits={"min": 0, "max": 1})
