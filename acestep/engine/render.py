"""Carries out one render: the chain of stages in latent space, then the sound and the files.

Every stage runs for all variants before the next begins, item by item, so that a take never depends on its company and each
model is loaded once. Latents between stages are float32 [1, T, 64] on the CPU.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from acestep.api import limits
from acestep.api.errors import AceError, BadLatent, BadRequest, PluginFailed
from acestep.api.plan import Length, SourceFacts
from acestep.api.request import Conditioning, Render
from acestep.api.result import Result, ResultFile, StageReport
from acestep.audio.latent_header import SUFFIX, Companion, LatentFacts
from acestep.audio.latent_store import find_latent
from acestep.audio.resample import resample, to_channels
from acestep.audio.splice import Handles, clamp_handles
from acestep.checkpoints.load import Model
from acestep.codec.codec import Codec
from acestep.denoising.guidance import guidance_settings
from acestep.denoising.loop import denoise
from acestep.denoising.noise import SeededNoise
from acestep.denoising.request import Denoising, Edit, KernelRun, Snapshot
from acestep.engine.conditions import Conditions, StageWish
from acestep.engine.conform import Conform, conform_tempo
from acestep.engine.deliver import Delivery, Order, Take, file_stem
from acestep.engine.geometry import Cut, Window, cut, new_window, source_window
from acestep.engine.latents import load_latent, pack_snapshot, save_latent, unpack_snapshot
from acestep.engine.models import ModelPool
from acestep.engine.progress import Clock, Meter, Tick
from acestep.engine.recipe import make_recipe
from acestep.engine.resolve import ResolvedStage
from acestep.engine.source import OpenSource, SourceStudio
from acestep.worker.backend import JobContext, resolve

log = logging.getLogger(__name__)

NOISE_NOTE = "the model {} has random weights: what it renders is noise"


@dataclass
class Workshop:
    """What a worker keeps between jobs."""

    settings: Mapping[str, Any]
    pool: ModelPool
    studio: SourceStudio
    conditions: Conditions


@dataclass
class Chain:
    """A render on its way: what is known of each stage so far."""

    render: Render
    stages: list[ResolvedStage]
    facts: SourceFacts | None
    codes: tuple[tuple[int, ...], ...] = ()
    thought: dict[str, Any] = field(default_factory=dict)
    """What the planner thought, for the result; empty where nothing was planned."""
    asked: Conditioning | None = None
    """The wish before planning. The recipe holds it, and plans again: same wish and seeds, same codes for every variant."""
    conform: Conform = field(default_factory=Conform)
    windows: list[Window] = field(default_factory=list)
    anchored: list[bool] = field(default_factory=list)
    """Per stage: whether its window lies on the source's timeline; otherwise it is made new."""
    latents: list[list[Tensor]] = field(default_factory=list)
    reports: list[StageReport] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    files: list[ResultFile] = field(default_factory=list)
    source: OpenSource | None = None
    weights: dict[str, str] = field(default_factory=dict)
    """Digest of every model used so far."""
    recipe: dict[str, Any] = field(default_factory=dict)

    def note(self, *sentences: str) -> None:
        """Remember sentences for the result, each once."""
        self.notes.update(dict.fromkeys(sentences))

    def input_of(self, index: int) -> int | None:
        """The stage that stage ``index`` continues; None when it works on the source, or on nothing."""
        named = self.stages[index].params.input
        if named is not None:
            return named
        return index - 1 if index > 0 else None


class RenderJob:
    """One run of a render."""

    def __init__(self, workshop: Workshop, chain: Chain, context: JobContext) -> None:
        self._workshop = workshop
        self._chain = chain
        self._context = context
        self._meter = Meter(context, self._phases())
        self._clock = Clock()

    def _phases(self) -> list[str]:
        chain = self._chain
        variants = chain.render.output.variants
        phases = []
        for index, stage in enumerate(chain.stages):
            phases += ["load", "encode", *["denoise"] * variants]
            last = index == len(chain.stages) - 1
            phases += ["decode", "write"] * variants if last or stage.params.preview else []
        return phases

    def run(self) -> Result:
        """All stages, the last one decoded and written. Raises `AceError`."""
        chain = self._chain
        for index in range(len(chain.stages)):
            self._stage(index)
        kept = [self._clock.seconds, *(report.seconds for report in chain.reports)]
        return Result(
            files=tuple(chain.files),
            seeds=tuple(self._seeds(len(chain.stages) - 1)),
            notes=tuple(chain.notes),
            stages=tuple(chain.reports),
            recipe=chain.recipe,
            seconds=round(sum(sum(part.values()) for part in kept), 4),
        )

    def _seeds(self, index: int) -> list[int]:
        params = self._chain.stages[index].params
        return list(params.seeds or [params.seed])

    def _stage(self, index: int) -> None:
        chain, stage = self._chain, self._chain.stages[index]
        clock = self._clock = Clock()
        with clock.measure("load"):
            tick = self._meter.phase("load")
            model = self._workshop.pool.open(stage.params.model, self._context.check)
            tick(1, 1)
        if not model.info.trained:
            chain.note(NOISE_NOTE.format(model.info.name))
        chain.note(*stage.plan.notes, *stage.notes)
        chain.weights[model.info.name] = model.digest
        chain.recipe = self._recipe(model)
        with clock.measure("encode"):
            given = self._given(index, model, self._meter.phase("encode"))
        made = []
        for variant in range(chain.render.output.variants):
            with clock.measure("denoise"):
                source = given[min(variant, len(given) - 1)] if given else None
                made.append(self._denoise(index, variant, model, source))
        chain.latents.append(made)
        if index == len(chain.stages) - 1:
            self._deliver(index, model)
        elif stage.params.preview:
            self._preview(index, model)
        self._workshop.pool.put_away(stage.params.model, stage.params.memory)
        report = StageReport(
            type=stage.stage.type, model=model.info.name, settings=self._settings(stage), seconds=clock.seconds
        )
        chain.reports.append(report)

    def _settings(self, stage: ResolvedStage) -> dict[str, Any]:
        params = stage.params
        names = ("steps", "sampler", "schedule", "shift", "guidance", "guidance_scale", "seeds")
        return {**{name: getattr(params, name) for name in names}, "t_start": stage.times[0]}

    def _recipe(self, model: Model) -> dict[str, Any]:
        stages = tuple(stage.stage for stage in self._chain.stages)
        render = Render(
            stages=stages,
            conditioning=self._chain.asked or self._chain.render.conditioning,
            source=self._chain.render.source,
            output=self._chain.render.output,
        )
        return make_recipe(render, self._chain.weights, model)

    # Windows and sources

    def _given(self, index: int, model: Model, tick: Tick) -> list[Tensor]:
        """The latents a stage works on: of an earlier stage (per variant), or of the source (one for all). Sets its window."""
        chain = self._chain
        plan, before = chain.stages[index].plan, chain.input_of(index)
        if plan.length is not Length.REQUEST and before is not None:
            _require_family(chain.stages[before].model, model.info)
            chain.windows.append(chain.windows[before])
            chain.anchored.append(chain.anchored[before])
            return chain.latents[before]
        if plan.length is Length.REQUEST or chain.facts is None:
            chain.windows.append(self._new_window())
            chain.anchored.append(False)
            return []
        window = self._source_window(index)
        chain.windows.append(window)
        chain.anchored.append(True)
        source = self._open_source(model, tick)
        latents = self._workshop.studio.encode(source, window, model, tick)
        tick(1, 1)
        return [latents]

    def _new_window(self) -> Window:
        output = self._chain.render.output
        length = output.length or limits.CODEC_RATE
        return new_window(self._chain.conform.model_length(length), output.rate or limits.CODEC_RATE)

    def _source_window(self, index: int) -> Window:
        chain = self._chain
        source, facts = chain.render.source, chain.facts
        assert source is not None and facts is not None
        context = max(source.context, chain.render.output.crossfade / 1000 + 0.1)
        window = source_window(facts, context, around=chain.stages[index].plan.context)
        missing = window.frames - window.audio_frames
        if window.frames * limits.HOP / limits.CODEC_RATE > facts.frames / facts.rate + 1 and missing > 0:
            chain.note("the window is longer than the file; what it lacks was filled with silence and trimmed")
        return window

    def _open_source(self, model: Model, tick: Tick) -> OpenSource:
        chain = self._chain
        assert chain.render.source is not None
        if chain.source is None:
            studio = self._workshop.studio
            chain.source = studio.open(chain.render.source, self._workshop.settings, model, self._context.staging, tick)
            if chain.source.latent is not None:
                chain.note("the source is one of our own results: its stored latent was used")
        return chain.source

    # Denoising

    def _denoise(self, index: int, variant: int, model: Model, source: Tensor | None) -> Tensor:
        chain, stage = self._chain, self._chain.stages[index]
        tick = self._meter.phase("denoise", stage.stage.type)
        wish = StageWish(
            plan=stage.plan,
            params=stage.params,
            conditioning=chain.render.conditioning,
            window=chain.windows[index],
            source=source,
            codes=chain.codes[variant] if chain.codes else None,
        )
        request = self._denoising(stage, variant, model, wish, tick)
        try:
            if not stage.plan.kernel:
                return denoise(model.transformer, model.null_condition, request)
            run = KernelRun(
                dit=model.transformer,
                null_condition=model.null_condition,
                denoising=request,
                options=stage.plan.kernel_options,
                encode=lambda caption, lyrics: self._workshop.conditions.encode_text(
                    model, wish, caption, lyrics, tick
                ),
            )
            return resolve(stage.plan.kernel)(run).float().cpu()
        except (AceError, torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as failure:  # samplers, guidance and kernels may be a stranger's code
            log.exception("job %s", self._context.job)
            names = ", ".join(filter(None, (stage.sampler.name, stage.guidance.name, stage.plan.kernel)))
            raise PluginFailed(
                f"{stage.stage.type} failed in {names}: {type(failure).__name__}: {failure}"
            ) from failure
        finally:
            chain.note(*wish.notes)

    def _denoising(self, stage: ResolvedStage, variant: int, model: Model, wish: StageWish, tick: Tick) -> Denoising:
        plan, params, window = stage.plan, stage.params, wish.window
        main, after = self._workshop.conditions.branches(model, wish, lambda done, of: self._context.check())
        edit = None
        if wish.source is not None and (plan.injection > 0 or plan.latent_blend > 0):
            edit = Edit(source=wish.source, region=window.region, injection=plan.injection, blend=plan.latent_blend)
        begins = plan.start_from_source or plan.kernel
        if begins and wish.source is None and not params.resume:
            raise BadRequest(f"{stage.stage.type} needs audio to work on", field="source")
        seed = self._chain_seed(params, variant)
        return Denoising(
            main=main,
            after=after,
            strength=plan.condition_strength,
            times=stage.times,
            sampler=stage.sampler.run,
            evaluations=stage.sampler.evaluations,
            noise=SeededNoise([seed], window.frames, plan.retake, plan.retake_seed),
            guidance=guidance_settings(
                stage.guidance, params.guidance_scale or 1.0, low=params.guidance_start, high=params.guidance_end
            ),
            start=wish.source if begins else None,
            edit=edit,
            velocity_limit=params.velocity_limit,
            velocity_average=params.velocity_average,
            corrections=plan.corrections,
            resume=self._resume(params.resume, model) if params.resume else None,
            tick=tick,
            on_step=lambda snapshot: self._keep_step(stage, variant, model, snapshot),
        )

    def _chain_seed(self, params: Any, variant: int) -> int:
        seeds = params.seeds or [params.seed]
        return seeds[min(variant, len(seeds) - 1)]

    def _resume(self, name: str, model: Model) -> Snapshot:
        path = find_latent(Path(self._workshop.settings["library"]), name)
        _, facts, tensors = load_latent(path, model.info.latent_family)
        if facts.checkpoint is None:
            raise BadLatent(f"{name} is a finished latent, no stored step; use it as source_latent", field="resume")
        if facts.weights != model.digest:
            raise BadLatent(f"{name} was stored by other weights ({facts.model})", field="resume")
        return unpack_snapshot(tensors, facts.checkpoint)

    def _keep_step(self, stage: ResolvedStage, variant: int, model: Model, snapshot: Snapshot) -> None:
        if stage.params.checkpoint_step != snapshot.index + 1:
            return
        index = self._chain.stages.index(stage)
        tensors, state = pack_snapshot(snapshot)
        name = f"{stage.stage.type}-{variant + 1}-step-{snapshot.index + 1}{SUFFIX}"
        self._save_latent(index, variant, model, snapshot.x0, name, checkpoint=state, tensors=tensors)

    # Sound and files

    def _deliver(self, index: int, model: Model) -> None:
        chain = self._chain
        order, piece = self._order(index)
        returns = chain.render.output.returns or []
        for variant, latents in enumerate(chain.latents[index]):
            sound = self._sound(index, latents, piece, model)
            write = self._meter.phase("write")
            with self._clock.measure("write"):
                delivery = Delivery(order, self._context.check)
                take = Take(variant=variant, seed=self._chain_seed(chain.stages[index].params, variant), sound=sound)
                made = delivery.write(take)
                chain.files += made
                if "latent" in returns:
                    name = file_stem(order, variant, "latent") + SUFFIX
                    self._save_latent(index, variant, model, latents, name, made=made)
                write(1, 1)

    def _order(self, index: int) -> tuple[Order, Cut]:
        """What is written for a stage, and what is decoded for it."""
        chain, stage, window = self._chain, self._chain.stages[index], self._chain.windows[index]
        output, source, facts = chain.render.output, chain.source, chain.facts
        shared = {
            "folder": self._context.staging,
            "stage": stage.stage.type,
            "plan": stage.plan,
            "output": output,
            "conditioning": chain.render.conditioning,
            "track": str(getattr(stage.params, "track", "")),
            "recipe": chain.recipe,
        }
        handles = Handles(0, 0)
        if not chain.anchored[index]:
            length = output.length or window.region_length
            order = Order(rate=output.rate or limits.CODEC_RATE, start=0, length=length, handles=handles, **shared)
            return order, cut(window, handles)
        assert source is not None and facts is not None
        if {"patch", "span", "whole"} & set(output.returns or []):
            crossfade = math.floor(output.crossfade * facts.rate / 1000 + 0.5)
            handles = clamp_handles(facts.start, facts.length, facts.frames, crossfade)
        order = Order(
            rate=facts.rate,
            start=facts.start,
            length=facts.length,
            handles=handles,
            path=source.path,
            layout=source.layout,
            **shared,
        )
        return order, cut(window, handles)

    def _sound(self, index: int, latents: Tensor, piece: Cut, model: Model) -> np.ndarray:
        """The decoded, trimmed sound of a take at the timeline's rate, [C, piece.length] or the asked length of a new part."""
        chain, window, output = self._chain, self._chain.windows[index], self._chain.render.output
        codec = Codec(model.codec)
        with self._clock.measure("decode"):
            decoded = codec.decode(latents, piece.first, piece.last, self._meter.phase("decode")).numpy()
            chain.note(*codec.notes)
            if not chain.anchored[index]:
                length = output.length or window.region_length
                sound = resample(decoded, limits.CODEC_RATE * chain.conform.speed, window.rate, length)
                return to_channels(sound, output.channels or 2)
            assert chain.facts is not None
            sound = resample(decoded, limits.CODEC_RATE, window.rate, piece.skip + piece.length)[:, piece.skip :]
            return to_channels(sound, chain.facts.channels)

    def _save_latent(
        self,
        index: int,
        variant: int,
        model: Model,
        latents: Tensor,
        name: str,
        *,
        made: list[ResultFile] | None = None,
        checkpoint: dict[str, Any] | None = None,
        tensors: dict[str, Tensor] | None = None,
    ) -> None:
        chain, window = self._chain, self._chain.windows[index]
        source, seed = chain.source, self._chain_seed(chain.stages[index].params, variant)
        samples = window.frames * window.rate // 25
        if not chain.anchored[index]:
            samples = min(samples, window.region_length)
        facts = LatentFacts(
            family=model.info.latent_family,
            codec=model.codec_digest,
            model=model.info.name,
            weights=model.digest,
            frames=window.frames,
            rate=window.rate,
            channels=source.layout.channels if source is not None else chain.render.output.channels or 2,
            samples=samples,
            start=window.start,
            region=(window.region_start, window.region_length),
            caption=chain.render.conditioning.caption,
            seed=seed,
            trained=model.info.trained,
            audio=self._companions(made or [], window),
            recipe=chain.recipe,
            checkpoint=checkpoint,
        )
        digest = save_latent(self._context.staging / name, latents, facts, tensors)
        chain.files.append(
            ResultFile(
                role="latent",
                name=name,
                rate=window.rate,
                channels=facts.channels,
                start=window.start,
                length=samples,
                variant=variant,
                seed=seed,
                lead_in=window.region_start,
                subtype=facts.family,
                sha256=digest,
            )
        )

    def _companions(self, made: list[ResultFile], window: Window) -> tuple[Companion, ...]:
        """The sound files that hold what the latent says, from its first sample, at the same rate and tempo."""
        if self._chain.conform.speed != 1.0:
            return ()
        return tuple(
            Companion(name=file.name, sha256=file.sha256, offset=window.region_start)
            for file in made
            if file.role in ("part", "stem") and file.rate == window.rate
        )

    def _preview(self, index: int, model: Model) -> None:
        """Decode a stage on the way and tell the daemon that its file is there."""
        chain, stage = self._chain, self._chain.stages[index]
        order, piece = self._order(index)
        for variant, latents in enumerate(chain.latents[index]):
            sound = self._sound(index, latents, piece, model)
            write = self._meter.phase("write")
            take = Take(variant=variant, seed=self._chain_seed(stage.params, variant), sound=sound)
            file = preview_file(order, take, index)
            chain.files.append(file)
            self._context.preview({name: getattr(file, name) for name in file.__struct_fields__})
            write(1, 1)


def preview_file(order: Order, take: Take, index: int) -> ResultFile:
    """A stage's sound as a part, named by the stage's number."""
    import dataclasses

    import msgspec

    name = f"{index + 1}-{order.stage}-preview"
    output = msgspec.structs.replace(order.output, returns=["part"], name=name)
    return Delivery(dataclasses.replace(order, output=output), lambda: None).write(take)[0]


def _require_family(before: Any, after: Any) -> None:
    if before.latent_family != after.latent_family:
        raise BadLatent(
            f"{after.name} cannot go on with a latent of {before.name}: their codecs differ",
            field="model",
            limits={"family": after.latent_family},
        )


def request_conform(render: Render, stages: list[ResolvedStage]) -> Conform:
    """The tempo correction of a render: only what is made new throughout may be stretched."""
    if any(stage.plan.length is not Length.REQUEST and not stage.plan.start_from_source for stage in stages):
        return Conform()
    if render.source is not None:
        return Conform()
    return conform_tempo(render.conditioning.bpm)
