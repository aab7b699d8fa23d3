"""Denoises the variants of one stage: item by item, so that a take never depends on its company, or together where that is
asked for. A variant has one take, or several whose mean its sound will be."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from acestep.api import limits
from acestep.api.errors import AceError, BadRequest, PluginFailed
from acestep.api.targets import resolve_target
from acestep.api.thinking import codes_of
from acestep.checkpoints.devices import free_gb, is_out_of_memory
from acestep.checkpoints.load import Model
from acestep.checkpoints.tiers import clamp, fitting_items, limits_for
from acestep.denoising.guidance import guidance_settings
from acestep.denoising.loop import denoise
from acestep.denoising.noise import SeededNoise
from acestep.denoising.request import Branch, CustomLoopRun, Denoising, Edit
from acestep.engine.chain import Chain, Job
from acestep.engine.conditions import StageWish
from acestep.engine.progress import Tick, part_of
from acestep.engine.stored_step import keep_step, load_step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """Variants that are denoised together in stage ``index``, and the latents each works on (none: nothing)."""

    index: int
    variants: tuple[int, ...]
    sources: tuple[Tensor, ...]
    take: int = 0

    def seeds(self, chain: Chain) -> list[int]:
        """One for each variant; further takes have seeds of their own, drawn from it."""
        own = [chain.seed(self.index, variant) for variant in self.variants]
        if self.take == 0:
            return own
        return [random.Random(f"{seed}/{self.take}").randint(0, limits.MAX_SEED) for seed in own]


def make_takes(job: Job, index: int, model: Model, given: list[Tensor]) -> list[Tensor]:
    """The takes of every variant of a stage, float32 [takes, T, 64]. Raises `AceError`."""
    made: list[Tensor] = []
    stage = job.chain.stages[index]
    for variants in _groups(job, index):
        sources = tuple(given[min(variant, len(given) - 1)] for variant in variants) if given else ()
        tick = job.meter.phase("denoise", stage.stage.type, len(variants))
        with job.clock.measure("denoise"):
            takes = [
                _denoise(job, Group(index, variants, sources, take), model, part_of(tick, take, stage.plan.passes))
                for take in range(stage.plan.passes)
            ]
        made += [_touched_up(job, index, latents) for latents in torch.stack(takes, 1).unbind()]
    return made


def remake_take(job: Job, index: int, model: Model, given: list[Tensor], what: tuple[int, str]) -> Tensor:
    """One variant of a stage once more, with the seed that it has now, float32 [1, T, 64]; ``what``: the variant, and the name
    under which progress shows it."""
    variant, name = what
    sources = (given[min(variant, len(given) - 1)],) if given else ()
    tick = job.meter.phase("denoise", name)
    with job.clock.measure("denoise"):
        made = _denoise(job, Group(index, (variant,), sources), model, tick)
    return _touched_up(job, index, made)


def _touched_up(job: Job, index: int, latents: Tensor) -> Tensor:
    """The takes with the stage's rescaling and shift, within what it makes: sound, stored latent and later stages agree."""
    params, (first, last) = job.chain.stages[index].params, job.chain.windows[index].region
    if params.latent_rescale == 1.0 and params.latent_shift == 0.0:
        return latents
    latents = latents.clone()
    latents[:, first:last] = latents[:, first:last] * params.latent_rescale + params.latent_shift
    return latents


def _groups(job: Job, index: int) -> list[tuple[int, ...]]:
    """One group of all variants when the stage asks for a batch and can be one, else each variant alone."""
    stage, count = job.chain.stages[index], job.chain.render.output.variants
    params = stage.params
    size = _fitting(job, index, count)
    if size == 1 or not params.batch or stage.plan.custom_loop or params.resume or params.checkpoint_step:
        return [(variant,) for variant in range(count)]
    job.chain.note("the variants ran as a batch: alone, each would differ by rounding")
    return [tuple(range(first, min(first + size, count))) for first in range(0, count, size)]


def _fitting(job: Job, index: int, count: int) -> int:
    """How many items the device takes at once. Raises `OutOfMemory` before the work when not even one fits."""
    pool, stage = job.resources.pool, job.chain.stages[index]
    seconds = job.chain.windows[index].seconds
    if pool.memory_gb is not None:
        tier = limits_for(pool.tier, pool.device.type, seconds, planned=bool(job.chain.planning or job.chain.thought))
        held = clamp(tier, 0.0, count)
        count = held.items
        if stage.params.batch:
            job.chain.note(*held.notes)
    free = free_gb(pool.device)
    if free is None:
        return count
    guided = stage.guidance.needs_uncond and (stage.params.guidance_scale or 1.0) > 1.0
    return fitting_items(free, seconds, count, guided)


def _denoise(job: Job, group: Group, model: Model, tick: Tick) -> Tensor:
    """[B, T, 64] of a group."""
    stage = job.chain.stages[group.index]
    wishes = [_wish(job, group, place) for place in range(len(group.variants))]
    request = _request(job, group, model, wishes, tick)
    placement = job.resources.pool.placement
    try:
        if not stage.plan.custom_loop:
            with placement.on_device(model, "denoise"):
                return denoise(model.transformer, model.null_condition, request)
        run = CustomLoopRun(
            dit=model.transformer,
            null_condition=model.null_condition,
            denoising=request,
            options=stage.plan.custom_loop_options,
            encode=lambda caption, lyrics: _encode(job, model, wishes[0], (caption, lyrics)),
        )
        with placement.on_device(model, "denoise"):
            return resolve_target(stage.plan.custom_loop)(run).float().cpu()
    except AceError:
        raise
    except Exception as failure:  # samplers, guidance and custom loops may be a stranger's code
        if is_out_of_memory(failure):
            raise
        log.exception("job %s", job.context.job)
        names = ", ".join(filter(None, (stage.sampler.name, stage.guidance.name, stage.plan.custom_loop)))
        raise PluginFailed(f"{stage.stage.type} failed in {names}: {type(failure).__name__}: {failure}") from failure
    finally:
        for wish in wishes:
            job.chain.note(*wish.notes)


def _wish(job: Job, group: Group, place: int) -> StageWish:
    chain, stage = job.chain, job.chain.stages[group.index]
    plan, conditioning, variant = stage.plan, chain.render.conditioning, group.variants[place]
    codes = codes_of(conditioning, variant) if plan.semantic_codes else []
    if codes:
        strength = min(plan.condition_strength, conditioning.codes_strength)
        plan = msgspec.structs.replace(plan, condition_strength=strength)
    return StageWish(
        plan=plan,
        params=stage.params,
        conditioning=conditioning,
        window=chain.windows[group.index],
        source=group.sources[place] if group.sources else None,
        codes=tuple(codes),
        speed=chain.conform.speed,
        **({} if chain.tempo is None else {"tempo": chain.tempo, "first_bar": chain.first_bar}),
    )


def _request(job: Job, group: Group, model: Model, wishes: list[StageWish], tick: Tick) -> Denoising:
    """The denoising run of a group."""
    stage, window = job.chain.stages[group.index], job.chain.windows[group.index]
    plan, params = stage.plan, stage.params
    main, after = _branches(job, model, wishes)
    source = torch.cat(group.sources) if group.sources else None
    edit = None
    if source is not None and (plan.injection > 0 or plan.latent_blend > 0):
        edit = Edit(source=source, region=window.region, injection=plan.injection, blend=plan.latent_blend)
    begins = bool(plan.start_from_source or plan.custom_loop)
    if begins and source is None and not params.resume:
        raise BadRequest(f"{stage.stage.type} needs audio to work on", field="source")
    return Denoising(
        main=main,
        after=after,
        strength=wishes[0].plan.condition_strength,
        times=stage.times,
        sampler=stage.sampler.run,
        evaluations=stage.sampler.evaluations,
        noise=SeededNoise(group.seeds(job.chain), window.frames, plan.variation, plan.variation_seed),
        guidance=guidance_settings(
            stage.guidance, params.guidance_scale or 1.0, low=params.guidance_start or 0.0, high=params.guidance_end
        ),
        start=source if begins else None,
        edit=edit,
        velocity_limit=params.velocity_limit,
        velocity_average=params.velocity_average,
        corrections=plan.corrections,
        resume=load_step(job, group.index, model) if params.resume else None,
        tick=tick,
        on_step=lambda snapshot: keep_step(job, (group.index, group.variants[0]), model, snapshot),
    )


def _branches(job: Job, model: Model, wishes: list[StageWish]) -> tuple[Branch, Branch | None]:
    """The branches of a group. Words are the same for all its items; contexts differ where sources or codes do."""
    conditions = job.resources.conditions
    with job.resources.pool.placement.on_device(model, "words"):
        found = [conditions.branches(model, wish, lambda done, of: job.context.check()) for wish in wishes]
    device = job.resources.pool.device
    main = Branch(found[0][0].states, torch.cat([one.context for one, _ in found]).to(device))
    after = found[0][1]
    return main, None if after is None else Branch(after.states, after.context.to(device))


def _encode(job: Job, model: Model, wish: StageWish, words: tuple[str, str]) -> Tensor:
    """Encoder states of a custom loop's further words."""
    with job.resources.pool.placement.on_device(model, "words"):
        return job.resources.conditions.encode_text(model, wish, *words, lambda done, of: job.context.check())
