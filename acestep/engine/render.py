"""Carries out one render: stage after stage in latent space, the last one decoded and written.

Every stage runs for all variants before the next begins, so each model is loaded once. Nothing here knows a stage type by name.
"""

from __future__ import annotations

import shutil
from typing import Any

from acestep.api.request import Render
from acestep.api.resolve import ResolvedStage
from acestep.api.result import Result, StageReport
from acestep.api.unused import sung_notes
from acestep.checkpoints.adapters import describe_adapter
from acestep.checkpoints.digest import require_weights
from acestep.checkpoints.load import Model
from acestep.engine.chain import Chain, EngineResources, Job, phases_of
from acestep.engine.finish import FOR_STAGES, Material, finish
from acestep.engine.guides import with_guide
from acestep.engine.material import gather
from acestep.engine.progress import Clock, Meter
from acestep.engine.pulse import settle_pulse
from acestep.engine.recipe import made_on, make_recipe, place_notes, stage_settings
from acestep.engine.takes import make_takes
from acestep.worker.backend import JobContext

NOISE_NOTE = "the model {} has random weights: what it renders is noise"


def run_chain(resources: EngineResources, chain: Chain, context: JobContext) -> Result:
    """All stages of a render. Raises `AceError`."""
    chain.stages = [with_guide(stage, chain.render.conditioning) for stage in chain.stages]
    job = Job(resources, chain, context, Meter(context, phases_of(chain)))
    try:
        for index in range(len(chain.stages)):
            _run_stage(job, index)
    finally:
        resources.pool.tidy()
        shutil.rmtree(context.staging / FOR_STAGES, ignore_errors=True)
    last = chain.stages[-1].params
    return Result(
        files=tuple(chain.files),
        seeds=tuple(last.seeds or [last.seed]),
        notes=tuple(chain.notes),
        stages=tuple(chain.reports),
        recipe=chain.recipe,
        data={**chain.thought, **({"check": chain.checks} if chain.checks else {})},
    )


def _run_stage(job: Job, index: int) -> None:
    chain, stage = job.chain, job.chain.stages[index]
    job.clock = Clock()
    model = _open_model(job, stage)
    with job.clock.measure("encode"):
        given = gather(job, index, model, job.meter.phase("encode"))
    settle_pulse(job, index)
    chain.recipe = _recipe(chain, model)
    takes = make_takes(job, index, model, given)
    chain.latents.append([each.mean(0, keepdim=True) for each in takes])
    if failure := job.resources.pool.compiler_failure():
        chain.note(f"the model could not be compiled and ran as it is: {failure}")
    if chain.sounds(index):
        finish(job, index, model, Material(takes, given))
    job.resources.pool.put_away(stage.params.model, stage.params.memory)
    settings = stage_settings(stage)
    if model.adapters:
        settings["adapters"] = [
            {"name": adapter.name, "scale": adapter.scale, **adapter.facts} for adapter in model.adapters
        ]
    chain.reports.append(
        StageReport(type=stage.stage.type, model=model.info.name, settings=settings, seconds=job.clock.seconds)
    )


def _open_model(job: Job, stage: ResolvedStage) -> Model:
    """The stage's model, ready; what it is goes into notes and recipe."""
    chain = job.chain
    tick = job.meter.phase("load")
    with job.clock.measure("load"):
        model = job.resources.pool.open(stage.params.model, lambda: tick(0, 1), stage.params.lora)  # shard by shard
    tick(1, 1)
    if not model.info.trained:
        chain.note(NOISE_NOTE.format(model.info.name))
    chain.note(*stage.plan.notes, *stage.notes, *sung_notes(stage.params, chain.render.conditioning, stage.model))
    used = {model.info.name: model.digest, **{f"lora/{adapter.name}": adapter.digest for adapter in model.adapters}}
    require_weights(chain.render.weights, used)
    chain.weights.update(used)
    chain.licenses[model.info.name] = model.info.license
    chain.note(*(describe_adapter(adapter.name, adapter.scale, adapter.facts) for adapter in model.adapters))
    if remark := job.resources.pool.remarks.get(model.info.name):
        chain.note(remark)
    if job.resources.pool.int8:
        chain.note("the weights were quantised to 8 bits to fit into memory")
    chain.note(*place_notes(chain.render.made_on, model))
    chain.recipe = _recipe(chain, model)
    return model


def _recipe(chain: Chain, model: Model) -> dict[str, Any]:
    render = Render(
        stages=tuple(stage.stage for stage in chain.stages),
        conditioning=chain.render.conditioning,
        source=chain.render.source,
        output=chain.render.output,
        weights=dict(chain.weights),
        made_on=made_on(model),
    )
    return {**make_recipe(render, model), "licenses": dict(chain.licenses)}
