"""Denoises the variants of one stage: item by item, so that a variant never depends on its company, or together where that is
asked for. A variant has one pass, or several whose mean its latent will be."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from acestep.api.errors import AceError, BadRequest, PluginFailed
from acestep.api.shortage import is_out_of_memory
from acestep.api.targets import resolve_target
from acestep.api.thinking import codes_of
from acestep.checkpoints.memory import free_ram
from acestep.codec.latent_codec import Tick
from acestep.denoising.denoising_run import Branch, CustomLoopRun, Denoising, Edit
from acestep.denoising.guidance import guidance_settings
from acestep.denoising.loop import denoise
from acestep.denoising.noise import SeededNoise
from acestep.engine.conditions import ConditionInputs
from acestep.engine.render_state import StageState
from acestep.engine.stage_store import keep_step, load_step
from acestep.runtime.devices import free_gb
from acestep.runtime.tiers import clamp, fitting_items, limits_for

log = logging.getLogger(__name__)


PLANNED_WIDTH = 2048
"""Of the model that `acestep.runtime.tiers` knows the activations of; a narrower one needs less."""


def groups_of(stage: StageState) -> list[tuple[int, ...]]:
    """The variants of a stage as they are denoised: each alone, or as many together as fit where the stage asks for a batch."""
    params, count = stage.params, stage.state.render.output.variants
    size = fitting(stage, count)
    if size == 1 or not params.batch or stage.plan.custom_loop or params.resume or params.checkpoint_step:
        return [(variant,) for variant in range(count)]
    stage.note("the variants ran as a batch: alone, each would differ by rounding")
    return [tuple(range(first, min(first + size, count))) for first in range(0, count, size)]


def fitting(stage: StageState, count: int) -> int:
    """How many items the device takes at once. Raises `OutOfMemory` before the work when not even one fits."""
    models, state, params = stage.resources.models, stage.state, stage.params
    if models.memory_gb is not None:
        planned = bool(state.planning or state.thought)
        tier = limits_for(models.tier, models.device.type, stage.window.seconds, planned=planned)
        held = clamp(tier, 0.0, count)
        count = held.items
        if params.batch:
            stage.note(*held.notes)
    guided = stage.resolved.guidance.needs_uncond and (params.guidance_scale or 1.0) > 1.0
    if models.device.type == "cpu":
        free, share = free_ram(), stage.model.transformer.sizes.hidden_size / PLANNED_WIDTH
        return count if free is None else fitting_items(free / 2**30, stage.window.seconds, count, guided, share)
    found = free_gb(models.device)
    return count if found is None else fitting_items(found, stage.window.seconds, count, guided)


@dataclass(frozen=True)
class DenoiseGroup:
    """Variants of a stage that are denoised together, and the latents [1, T, 64] that each works on (none: nothing)."""

    stage: StageState
    variants: tuple[int, ...]
    sources: tuple[Tensor, ...]
    number: int = 0
    """Which pass this is."""

    def seeds(self) -> list[int]:
        """One for each variant; further passes have seeds of their own, drawn from it."""
        return [self.stage.pass_seed(variant, self.number) for variant in self.variants]

    def denoise(self, tick: Tick) -> Tensor:
        """The clean latents, float32 [B, T, 64] on the CPU. Raises `AceError`."""
        stage = self.stage
        inputs = [self._inputs(place) for place in range(len(self.variants))]
        denoising = self._denoising(inputs, tick)
        try:
            with stage.on_device("denoise"):
                return self._solve(denoising, inputs[0])
        except AceError:
            raise
        except Exception as failure:  # samplers, guidance and custom loops may be a stranger's code
            if is_out_of_memory(failure):
                raise
            log.exception("job %s", stage.run.context.job)
            parts = (stage.resolved.sampler.name, stage.resolved.guidance.name, stage.plan.custom_loop)
            names = ", ".join(filter(None, parts))
            raise PluginFailed(f"{stage.type} failed in {names}: {type(failure).__name__}: {failure}") from failure
        finally:
            for one in inputs:
                stage.note(*one.notes)

    def _solve(self, denoising: Denoising, inputs: ConditionInputs) -> Tensor:
        """By the loop that all samplers share, or by the stage's own tensor code in its place."""
        plan, model = self.stage.plan, self.stage.model
        if not plan.custom_loop:
            return denoise(model.transformer, model.null_condition, denoising)
        run = CustomLoopRun(
            dit=model.transformer,
            null_condition=model.null_condition,
            denoising=denoising,
            options=plan.custom_loop_options,
            encode=lambda caption, lyrics: self._encode(inputs, caption, lyrics),
        )
        return resolve_target(plan.custom_loop)(run).float().cpu()

    def _inputs(self, place: int) -> ConditionInputs:
        """What the conditions of one item are made from."""
        stage, state, plan = self.stage, self.stage.state, self.stage.plan
        conditioning = state.render.conditioning
        codes = codes_of(conditioning, self.variants[place]) if plan.semantic_codes else []
        if codes:
            strength = min(plan.condition_strength, conditioning.codes_strength)
            plan = msgspec.structs.replace(plan, condition_strength=strength)
        return ConditionInputs(
            plan=plan,
            params=stage.params,
            conditioning=conditioning,
            window=stage.window,
            source=self.sources[place] if self.sources else None,
            codes=tuple(codes),
            speed=state.conform.speed,
            guide_time=state.guide_time,
        )

    def _denoising(self, inputs: list[ConditionInputs], tick: Tick) -> Denoising:
        """The run of the group."""
        stage, plan, params, window = self.stage, self.stage.plan, self.stage.params, self.stage.window
        main, after = self._branches(inputs)
        source = torch.cat(self.sources) if self.sources else None
        edit = None
        if source is not None and (plan.injection > 0 or plan.latent_blend > 0):
            edit = Edit(source=source, region=window.region, injection=plan.injection, blend=plan.latent_blend)
        begins = bool(plan.start_from_source or plan.custom_loop)
        if begins and source is None and not params.resume:
            raise BadRequest(f"{stage.type} needs a source", field="source")
        scale, low = params.guidance_scale or 1.0, params.guidance_start or 0.0
        return Denoising(
            main=main,
            after=after,
            strength=inputs[0].plan.condition_strength,
            times=stage.resolved.times,
            sampler=stage.resolved.sampler.run,
            evaluations=stage.resolved.sampler.evaluations,
            noise=SeededNoise(self.seeds(), window.frames, plan.variation, plan.variation_seed),
            guidance=guidance_settings(stage.resolved.guidance, scale, low=low, high=params.guidance_end),
            start=source if begins else None,
            edit=edit,
            velocity_limit=params.velocity_limit,
            velocity_average=params.velocity_average,
            corrections=plan.corrections,
            resume=load_step(stage) if params.resume else None,
            tick=tick,
            on_step=lambda snapshot: keep_step(stage, self.variants[0], snapshot),
        )

    def _branches(self, inputs: list[ConditionInputs]) -> tuple[Branch, Branch | None]:
        """What the model is told. Words are the same for all items of a group; contexts differ where sources or codes do."""
        stage = self.stage
        with stage.on_device("words"):
            found = [stage.resources.conditions.branches(stage.model, one, stage.silent_tick) for one in inputs]
        device = stage.resources.models.device
        main = Branch(found[0][0].states, torch.cat([one.context for one, _ in found]).to(device))
        after = found[0][1]
        return main, None if after is None else Branch(after.states, after.context.to(device))

    def _encode(self, inputs: ConditionInputs, caption: str, lyrics: str) -> Tensor:
        """Encoder states of a custom loop's further words."""
        stage = self.stage
        with stage.on_device("words"):
            return stage.resources.conditions.encode_text(stage.model, inputs, caption, lyrics, stage.silent_tick)
