"""The torch backend: models, caches, and the operations that run on them."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch

from acestep.admission.recipe import read_recipe
from acestep.admission.render import RenderAdmission
from acestep.api.errors import DeviceLost, OutOfMemory
from acestep.api.planned import PLANNING_SHARE, THINK, PlannedConditioning, PlanWish
from acestep.api.request import Render, Stage
from acestep.api.resolve import resolve_stage
from acestep.api.result import Result
from acestep.api.rounding import samples
from acestep.api.shortage import is_out_of_memory
from acestep.api.targets import resolve_target
from acestep.api.thinking import wants_planning
from acestep.audio.latent_header import read_latent_facts
from acestep.checkpoints.published import planner_licenses
from acestep.conditioning.condition_cache import ConditionCache
from acestep.engine.conditions import Conditions
from acestep.engine.host_info import WorkerHostInfo
from acestep.engine.model_pool import ModelPool
from acestep.engine.render import run_render
from acestep.engine.render_state import EngineResources, RenderState
from acestep.engine.source_encoder import SourceCache, SourceEncoder
from acestep.engine.stage_store import resuming
from acestep.engine.tempo import conform_render
from acestep.engine.warm import warm_up
from acestep.latents.latent_index import LatentIndex
from acestep.latents.latent_store import find_latent
from acestep.runtime.devices import free_cache, hold_to_simulated, is_device_lost
from acestep.runtime.policy import Policy
from acestep.runtime.tiers import clamp, limits_for
from acestep.worker.backend import JobContext

log = logging.getLogger(__name__)


class Engine:
    """Runs jobs on torch. ``settings`` is the worker's map: home, library, uploads, checkpoints, device, dtype, threads, model,
    keep_latents."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        torch.set_num_threads(int(settings.get("threads") or 1))
        self.policy = Policy.of(self.settings)
        self.device, self.dtype = self.policy.choice.device, self.policy.choice.dtype
        hold_to_simulated(self.device)
        self._sources = SourceCache()
        self._texts = ConditionCache()
        self.models = ModelPool(self.settings, self.policy, lambda model: self._texts.forget(model.digest))
        self.models.make_room = _end_rest
        self.source_encoder = SourceEncoder(self._sources, self.models, LatentIndex(Path(settings["library"])))
        self.host = WorkerHostInfo(self.settings, self.models.info)
        self._resources = EngineResources(
            self.settings, self.models, self.source_encoder, Conditions(self._texts, self.source_encoder)
        )

    def info(self) -> dict[str, Any]:
        """Device, number type, opened models and their memory, for status."""
        facts = self.policy.facts()
        if failure := self.models.compiler_failure():
            facts["compile"] = f"failed: {failure}"
        return {
            "backend": "torch",
            **facts,
            "threads": torch.get_num_threads(),
            "models": [*self.models.names(), *_planners()],
            "memory_bytes": self.models.memory(),
            "torch": str(torch.__version__),
        }

    def unload(self, model: str) -> None:
        """Free the memory of a model and of its conditions (empty: of all, with everything that is cached)."""
        self.models.unload(model)
        if (planners := sys.modules.get("acestep.planner.session")) is not None:
            planners.unload(model)
        if not model:
            _end_rest()
            self.forget()

    def warm(self, context: JobContext) -> None:
        """Get ready for the first job, by the setting ``warm``; gives way where ``context`` says so."""
        warm_up(self.settings, self.models, self.run, context)

    def forget(self) -> None:
        """Empty the caches of encoded sound and words."""
        self._sources.clear()
        self._texts.clear()

    @torch.no_grad()
    def run(self, operation: str, request: dict[str, Any], context: JobContext) -> Result:
        """A render, only the plan of one (`THINK`), or an operation that brings its own code. Raises `AceError`."""
        target = "" if operation == THINK else context.registry.operation(operation).target
        try:
            if target:
                return resolve_target(target)(request, context)
            if operation == THINK:
                planned = _plan(msgspec.convert(request, PlanWish), context)
                return Result(data=msgspec.to_builtins(planned), notes=planned.notes)
            with self.policy.attending():
                return self._render(request, context)
        except OutOfMemory:
            self._make_room()
            raise
        except Exception as failure:
            if is_device_lost(failure) and not is_out_of_memory(failure):
                log.exception("%s failed", self.device)
                raise DeviceLost(f"{self.device} stopped working in the middle of the job") from failure
            if not is_out_of_memory(failure):
                raise
            log.exception("too little memory")
            self._make_room()
            way_out = "close other programs, or take" if target else "try a shorter region, one variant or"
            raise OutOfMemory(
                f"{self.device} has too little memory for this job; {way_out} a smaller model"
            ) from failure

    def _make_room(self) -> None:
        """Let go of what only waits for another job, after memory has run out."""
        _end_rest()
        free_cache(self.device)

    def _render(self, request: dict[str, Any], context: JobContext) -> Result:
        begun = time.monotonic()
        # the door has admitted the render; it is planned again because only this process has the models and files as they are now
        state = self._resolve(read_recipe(context.registry, request), context)
        if state.planning:
            planned = context.planned or self._think(state, context)
            context = context.part(PLANNING_SHARE)
            notes = state.notes
            state = self._resolve(planned.settle(state.render), context)
            state.notes = {**notes, **dict.fromkeys(planned.notes), **state.notes}
            state.thought = planned.to_data()
            state.licenses |= planner_licenses(planned.model)
        result = run_render(self._resources, state, context)
        return msgspec.structs.replace(result, seconds=round(time.monotonic() - begun, 3))

    def _resolve(self, render: Render, context: JobContext) -> RenderState:
        """A render with nothing left open but what the planner should decide, held to what the device can do."""
        admitted = RenderAdmission(context.registry, self.host, render).run()
        stages = [
            resolve_stage(context.registry, self._with_stored_seed(stage), plan, self.models.info(stage.params.model))
            for stage, plan in zip(admitted.render.stages, admitted.plans, strict=True)
        ]
        state = RenderState(
            render=admitted.render,
            stages=stages,
            inputs=admitted.inputs,
            conform=conform_render(admitted.render, stages),
            planning=wants_planning(admitted.render.conditioning, admitted.plans),
        )
        state.note(*self.policy.choice.notes, *admitted.notes, *filter(None, [state.conform.note]))
        self._hold_to_tier(state, thinks_here=state.planning and context.planned is None)
        return state

    def _with_stored_seed(self, stage: Stage) -> Stage:
        """A stage that goes on from a stored step has that run's seed. Raises `NotFound`, `BadLatent`."""
        if not stage.params.resume:
            return stage
        with resuming():
            facts = read_latent_facts(find_latent(Path(self.settings["library"]), stage.params.resume))
        seed = stage.params.seed if facts.seed is None else facts.seed
        return msgspec.structs.replace(stage, params=msgspec.structs.replace(stage.params, seed=seed, seeds=[seed]))

    def _hold_to_tier(self, state: RenderState, *, thinks_here: bool) -> None:
        """Shorten a new part that is longer than the device's memory allows; the result says so."""
        output, asked = state.render.output, state.part_length
        makes_new = state.facts(len(state.stages) - 1) is None
        if self.policy.choice.memory_gb is None or not asked or not output.rate or not makes_new:
            return
        seconds = asked / output.rate
        tier = limits_for(self.policy.choice.tier, self.device.type, seconds, planned=thinks_here)
        held = clamp(tier, seconds, 1)
        if held.notes:
            length = min(samples(held.seconds, output.rate), asked)
            state.render = msgspec.structs.replace(state.render, output=msgspec.structs.replace(output, length=length))
            state.note(*held.notes)

    def _think(self, state: RenderState, context: JobContext) -> PlannedConditioning:
        """Let the planner fill the gaps of a render. Its length is what the device can do."""
        render = msgspec.structs.replace(state.render, stages=tuple(stage.stage for stage in state.stages))
        return _plan(PlanWish.of(render, self.models.info(state.stages[0].params.model).latent_family), context)


def _plan(wish: PlanWish, context: JobContext) -> PlannedConditioning:
    """Let the planner do what it is asked."""
    from acestep.planner.integration import plan_request

    return plan_request(
        wish.conditioning,
        wish.seeds,
        context,
        duration=wish.duration,
        share=PLANNING_SHARE,
        family=wish.family,
    )


def _end_rest() -> bool:
    """Give up the networks of a training that has stepped aside; whether there were any."""
    resting = sys.modules.get("acestep.training.adapters.resting")
    return False if resting is None else bool(resting.forget())


def _planners() -> list[str]:
    """Language models in memory; none before the first job that plans."""
    planners = sys.modules.get("acestep.planner.session")
    return [] if planners is None else [f"planner {name}" for name in planners.loaded_planners()]
