"""A new part by exported graphs, from request to files. No torch: admission, schedules, samplers, guides and delivery are those of
every backend."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acestep.admission.render import RenderAdmission
from acestep.api import limits
from acestep.api.drum_wish import can_take_out
from acestep.api.errors import ModelUnsuited, Unavailable
from acestep.api.instructions import TEXT_TO_MUSIC
from acestep.api.plan import Fill, Plan
from acestep.api.request import Render
from acestep.api.resolve import ResolvedStage, guide_text, resolve_stage, with_guide
from acestep.api.result import Result, ResultFile, StageReport
from acestep.api.thinking import codes_of, wants_planning
from acestep.api.variants import ModelInfo
from acestep.audio.copies import copy_notes
from acestep.audio.resample import resample, to_channels
from acestep.audio.splice import Handles
from acestep.checkpoints.digest import require_weights
from acestep.conditioning.guide_audio import render_guide
from acestep.conditioning.guide_text import parse_guide
from acestep.conditioning.prompts import Prompt, prompt_of
from acestep.engine.deliver import Delivery, VariantSound, WriteSpec, clip_notes, level_gain
from acestep.engine.geometry import Window, cut, new_window
from acestep.engine.host_info import WorkerHostInfo
from acestep.engine.recipe import make_recipe, stage_settings
from acestep.engine.tempo import Conform, conform_render, find_guide_time
from acestep.onnx.flow import FlowRun, decode, solve
from acestep.onnx.sessions import OnnxModel
from acestep.onnx.words import bottleneck, context, encode_prompt, encode_sound
from acestep.worker.backend import JobContext

MADE_BY = "made by the backend onnx, from an export in {}"
OWN_WIDTH = "the sound is as wide as {} plays it: the backend onnx does not widen it"
OWN_DRUMS = "drums that {} plays of its own accord stay: the backend onnx does not take them out"
UNMEASURED = "the backend onnx does not measure its parts: check and keep have no effect"

NO_HANDLES = Handles(0, 0)

GUIDED = "cfg"
"""The one method of guidance that needs no torch."""


@dataclass
class PartRender:
    """One render at work."""

    context: JobContext
    render: Render
    host: WorkerHostInfo

    def __post_init__(self) -> None:
        admitted = RenderAdmission(self.context.registry, self.host, self.render).run()
        self.render = admitted.render
        self.notes: dict[str, None] = dict.fromkeys(admitted.notes)
        if len(admitted.plans) != 1 or self.render.source is not None or self.render.stages[0].source is not None:
            raise Unavailable(
                "the backend onnx makes new parts in one stage; edits of a source and chains need the backend torch",
                field="source",
            )
        (stage,), (plan,) = self.render.stages, admitted.plans
        resolved = resolve_stage(self.context.registry, stage, plan, self.host.model(stage.params.model))
        self.stage: ResolvedStage = with_guide(resolved, self.render.conditioning)
        self.render = msgspec.structs.replace(self.render, stages=(self.stage.stage,))
        self._refuse()
        self.conform: Conform = conform_render(self.render, [self.stage])
        self._note(*self.stage.plan.notes, *self.stage.notes, *filter(None, [self.conform.note, self.model.remark]))
        if self.stage.params.drums == "out" and can_take_out(self.stage.plan, self.model):
            self._note(OWN_DRUMS.format(self.model.name))
        self._done = 0
        self._expected = self._variants * ((len(self.stage.times) - 1) * self.stage.sampler.evaluations + 2)

    @property
    def model(self) -> ModelInfo:
        """What it is made with."""
        return self.stage.model

    @property
    def _variants(self) -> int:
        return self.render.output.variants

    def _refuse(self) -> None:
        """Raise `Unavailable` for what only torch does, `ModelUnsuited` for another family's model."""
        params, conditioning, plan = self.stage.params, self.render.conditioning, self.stage.plan
        if self.model.family != "ace-step-15":
            raise ModelUnsuited(f"the backend onnx runs ACE-Step 1.5, not {self.model.family_title}", field="model")
        asked = {
            "lora": params.lora,
            "resume": params.resume,
            "checkpoint_step": params.checkpoint_step,
            "reference": conditioning.reference,
            "audio_codes": codes_of(conditioning, 0) if plan.semantic_codes else (),
            "thinking": wants_planning(conditioning, [plan]),
            "custom_loop": plan.custom_loop,
            "returns": "latent" in (self.render.output.returns or ()),
            "velocity_limit": params.velocity_limit,
            "velocity_average": params.velocity_average,
            "correction_low": plan.corrections,
            "guidance": self._guided and self.stage.guidance.name != GUIDED,
        }
        named = next((name for name, value in asked.items() if value), "")
        if named == "guidance":
            raise Unavailable(
                f"guidance {self.stage.guidance.name} needs the backend torch; the backend onnx knows {GUIDED}",
                field=named,
            )
        if named:
            raise Unavailable(f"{named.replace('_', ' ')} needs the backend torch", field=named)

    @property
    def _guided(self) -> bool:
        return self.stage.guidance.needs_uncond and (self.stage.params.guidance_scale or 1.0) > 1.0

    def carry_out(self, model: OnnxModel, begun: float) -> Result:
        """Make every variant and write it. Raises `AceError`."""
        output, export = self.render.output, model.export
        require_weights(self.render.weights, {self.model.name: export.digests["model"]})
        self._note(MADE_BY.format(export.dtype))
        if not self.model.trained:
            self._note(f"the model {self.model.name} has random weights: what it renders is noise")
        if self.model.defaults.narrow and output.width != "model":
            self._note(OWN_WIDTH.format(self.model.name))
        if output.check != "off" or output.keep is not None:
            self._note(UNMEASURED)
        window = self._window()
        main, after = self._branches(model, window)
        recipe = self._recipe(model)
        files: list[ResultFile] = []
        for index in range(self._variants):
            latents = solve(model, self._flow(index, window, main, after))
            sound = self._sound(model, latents, window)
            variant = VariantSound(index=index, seed=self._seed(index), samples=sound)
            files += self._write(variant, recipe)
            self._tick("write")
        self._note(*copy_notes(files), *clip_notes(files))
        seconds = round(time.monotonic() - begun, 3)
        settings = {**stage_settings(self.stage), "precision": export.dtype}
        report = StageReport(
            type=self.stage.stage.type, model=self.model.name, settings=settings, seconds={"total": seconds}
        )
        return Result(
            files=tuple(files),
            seeds=tuple(self.stage.params.seeds or [self.stage.params.seed]),
            notes=tuple(self.notes),
            stages=(report,),
            recipe=recipe,
            seconds=seconds,
        )

    def _window(self) -> Window:
        output = self.render.output
        length = self.conform.model_length(self._length or limits.CODEC_RATE)
        return new_window(length, output.rate or limits.CODEC_RATE, self.model.grid)

    @property
    def _length(self) -> int | None:
        length = self.render.output.length
        return length if isinstance(length, int) else None

    def _branches(self, model: OnnxModel, window: Window) -> tuple[Any, Any]:
        """Condition and context, and those of the steps that follow the guide no more."""
        plan, hint = self._hint(model, window)
        frames, strength = window.frames, plan.condition_strength
        main = encode_prompt(model, self._prompt(plan.instruction, window)), context(model, hint, frames)
        self._strength = strength
        if hint is None or strength >= 1.0:
            return main, None
        return main, (encode_prompt(model, self._prompt(TEXT_TO_MUSIC, window)), context(model, None, frames))

    def _hint(self, model: OnnxModel, window: Window) -> tuple[Plan, NDArray[np.float32] | None]:
        """The plan as it is with a guide, and the guide as latents."""
        plan, conditioning = self.stage.plan, self.render.conditioning
        text = guide_text(plan, self.stage.params, conditioning, self.model)
        if not text:
            return plan, None
        found = find_guide_time(text, conditioning, window, None)
        self._note(*found.notes)
        conditioning = msgspec.structs.replace(conditioning, **found.heard)
        self.render = msgspec.structs.replace(self.render, conditioning=conditioning)
        bpm = found.tempo.bpm(window.start, window.start + 1)
        guide = parse_guide(text, conditioning.time_signature or "4", conditioning.key, bpm)
        self._note(*guide.remarks)
        tempo = found.tempo.moved(window.start, limits.CODEC_RATE).faster(1 / self.conform.speed)
        sound = render_guide(guide, tempo, window.frames * limits.HOP, found.first_bar)
        latents = encode_sound(model, np.asarray(sound, np.float32))
        if self.model.defaults.guide_bottleneck:
            latents = bottleneck(model, latents)
        instruction = plan.hint_instruction or plan.instruction
        return msgspec.structs.replace(plan, fill=Fill.HINT, instruction=instruction), latents

    def _prompt(self, instruction: str, window: Window) -> Prompt:
        seconds = window.frames / limits.FRAMES_PER_SECOND
        return prompt_of(self.render.conditioning, self.stage.params, instruction, self.model.stem_captions, seconds)

    def _flow(self, index: int, window: Window, main: Any, after: Any) -> FlowRun:
        params = self.stage.params
        return FlowRun(
            seed=self._seed(index),
            frames=window.frames,
            times=self.stage.times,
            sampler=self.stage.sampler.run,
            main=main,
            after=after,
            strength=self._strength,
            scale=(params.guidance_scale or 1.0) if self._guided else 1.0,
            low=params.guidance_start or 0.0,
            high=params.guidance_end,
            tick=lambda: self._tick(self.stage.stage.type),
        )

    def _seed(self, index: int) -> int:
        seeds = self.stage.params.seeds or [self.stage.params.seed]
        return seeds[min(index, len(seeds) - 1)]

    def _sound(self, model: OnnxModel, latents: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
        """The part at its own rate, of its exact length."""
        piece = cut(window, NO_HANDLES)
        decoded = decode(model, latents, piece.last, self.context.check)
        self._tick("decode")
        length = self._length or window.region_length
        played = resample(decoded, limits.CODEC_RATE * self.conform.speed, window.rate, length)
        return to_channels(played, self.render.output.channels or 2)

    def _write(self, variant: VariantSound, recipe: dict[str, Any]) -> list[ResultFile]:
        output = self.render.output
        rate = output.rate or limits.CODEC_RATE
        gain, note = level_gain(output, variant.samples, rate)
        self._note(*filter(None, [note]))
        spec = WriteSpec(
            folder=Path(self.context.staging),
            stage=self.stage.stage.type,
            output=output,
            conditioning=self.render.conditioning,
            rate=rate,
            start=0,
            length=self._length or variant.samples.shape[1],
            handles=NO_HANDLES,
            gain=gain,
            recipe=recipe,
        )
        return Delivery(spec, self.context.check).write(variant)

    def _recipe(self, model: OnnxModel) -> dict[str, Any]:
        """As every backend writes it, so that either can run it again."""
        export = model.export
        weights = {self.model.name: export.digests["model"]}
        render = msgspec.structs.replace(self.render, weights=weights, made_on=f"cpu {export.dtype}")
        opened: Any = SimpleNamespace(
            device=SimpleNamespace(type="cpu"),
            dtype=export.dtype,
            codec_digest=export.digests["codec"],
            text_digest=export.digests["text_encoder"],
            info=self.model,
        )
        return {**make_recipe(render, opened), "licenses": {self.model.name: export.license}, "backend": "onnx"}

    def _tick(self, stage: str) -> None:
        self._done += 1
        self.context.tick(stage, self._done, self._expected, min(1.0, self._done / self._expected))

    def _note(self, *sentences: str) -> None:
        self.notes.update(dict.fromkeys(sentences))
