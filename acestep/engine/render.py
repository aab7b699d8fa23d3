"""Carries out a render: its stages one after the other, each as a `StageRun` that reads from top to bottom.

Every stage runs for all variants before the next begins, so each model is loaded once. Nothing here knows a stage type by name.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from acestep.api import limits
from acestep.api.family import TakeGroup
from acestep.api.request import Render
from acestep.api.resolve import guide_text, with_words
from acestep.api.result import Result, StageReport
from acestep.api.source import Source
from acestep.api.unused import sung_notes
from acestep.audio.read import read_window
from acestep.audio.resample import resample, to_channels
from acestep.checkpoints.adapters import describe_adapter
from acestep.checkpoints.digest import require_weights
from acestep.codec.latent_codec import Tick
from acestep.codec.mask import masked, takes_agree
from acestep.codec.width import StageWidth
from acestep.engine.deliver import VariantSound
from acestep.engine.geometry import Cut, Window, cut, new_window, source_window
from acestep.engine.model_pool import OpenedModel
from acestep.engine.recipe import made_on, make_recipe, pinned_precision, place_notes, stage_settings
from acestep.engine.render_state import (
    EngineResources,
    RenderProgress,
    RenderRun,
    RenderState,
    StageState,
    WrittenTakes,
    part_of,
    phases_of,
    takes_drums_out,
)
from acestep.engine.source_encoder import OpenSource
from acestep.engine.stage_files import FOR_STAGES, StageFiles, crossfades_of
from acestep.engine.take_out import PHASE, take_out
from acestep.engine.takes import choose, time_lyrics
from acestep.engine.tempo import MAX_CONFORM, find_guide_time
from acestep.engine.verdict import checked
from acestep.engine.width import find_width
from acestep.worker.backend import JobContext

LOSSY = {"MPEG_LAYER_III": "MP3", "VORBIS": "Ogg Vorbis", "OPUS": "Opus"}
"""Lossy codings as people call them."""

NOISE_NOTE = "the model {} has random weights, so it renders only noise"
WIDTH_KEPT = "width model has no effect here: {} plays in stereo, and its sound is never made wider"
MONO_PART = "the part is mono as asked: the model's stereo was mixed down"
MONO_SOURCE = "the source is mono, so the stereo that the model makes was mixed down to it"

Sound = NDArray[Any]


def run_render(resources: EngineResources, state: RenderState, context: JobContext) -> Result:
    """All stages of a render. Raises `AceError`."""
    state.stages = [with_words(stage, state.render.conditioning) for stage in state.stages]
    progress = RenderProgress(context, phases_of(state))
    run = RenderRun(resources, state, context, progress, WrittenTakes(context.staging))
    try:
        for index in range(len(state.stages)):
            StageRun(run, index).carry_out()
    finally:
        resources.models.tidy()
        shutil.rmtree(context.staging / FOR_STAGES, ignore_errors=True)
    told = choose(state, run.written)
    timed = time_lyrics(state, context)
    last = state.stages[-1].params
    return Result(
        files=tuple(state.files),
        seeds=tuple(last.seeds or [last.seed]),
        notes=tuple(state.notes),
        stages=tuple(state.reports),
        recipe=state.recipe,
        data={
            **state.thought,
            **({"check": state.checks} if state.checks else {}),
            **told,
            **({"timing": timed} if timed else {}),
        },
    )


@dataclass
class StageRun(StageState):
    """One stage of a render, carried out for all its variants."""

    given: list[Tensor] = field(default_factory=list)
    """What the stage works on, [1, T, C]: one for all variants, one each, or none."""
    made: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    """What it made, by variant and seed, [passes, T, C]; more than one seed where variants are made again."""
    widths: dict[int, StageWidth | None] = field(default_factory=dict)
    """The stereo width of its sound by variant, where the model's own is not kept."""

    def carry_out(self) -> None:
        """Do the stage. Raises `AceError`."""
        # 1. Open the model. First, because its codec encodes the source and its weights go into every file's recipe.
        self.model = self._open_model()

        # 2. Encode the source: the window around the region and no more, so that an edit costs the same in a song of an hour.
        #    Where the source is a result of ours its stored latent is used: each pass through the codec loses a little.
        self.given = self._encode_source()
        self._settle_guide_time()
        # The recipe not sooner: a tempo that was heard in the source is part of the request now.
        self.state.recipe = self._recipe()

        # 3. Denoise, variant by variant: in a batch matrix products round differently, and no variant should depend on its
        #    company. Later stages continue with the mean of a variant's passes.
        for number, passes in enumerate(self._denoise()):
            self.made[number, self.seed(number)] = passes
        self.state.latents.append([passes.mean(0, keepdim=True) for passes in self.made.values()])

        if self.state.is_heard(self.index):
            # 4. Decode: the region with its crossfades and two frames a side, not the window. One variant at a time, so that
            #    memory holds the sound of one.
            files = StageFiles(self)
            for variant in checked(self, self._decode(), self._make_again):
                # 5. Write, before the next variant is decoded: a cancel or a full disk costs no further work.
                tick = self.run.progress.phase("write")
                with self.clock.measure("write"), self.run.written.of(variant.index):
                    files.write(variant)
                    tick(1, 1)

        self.resources.models.put_away(self.params.model, self.params.memory)
        self.state.reports.append(self._report())

    # 1. open the model

    def _open_model(self) -> OpenedModel:
        """The stage's model, ready; what it is goes into notes and recipe."""
        state, models = self.state, self.resources.models
        tick = self.run.progress.phase("load")
        with self.clock.measure("load"):
            # may be cancelled at every shard
            pinned = pinned_precision(state.render, self.resolved.model.name, models.device.type)
            model = models.open(self.params.model, lambda: tick(0, 1), self.params.lora, pinned)
        tick(1, 1)
        if not model.info.trained:
            state.note(NOISE_NOTE.format(model.info.name))
        state.note(*filter(None, [model.info.remark]), *self.plan.notes, *self.resolved.notes)
        state.note(*sung_notes(self.params, state.render.conditioning, self.resolved.model))
        used = {model.info.name: model.digest, **{f"lora/{adapter.name}": adapter.digest for adapter in model.adapters}}
        require_weights(state.render.weights, used)  # a recipe is run again on the weights it names or not at all
        state.weights.update(used)
        state.licenses[model.info.name] = model.info.license
        state.note(*(describe_adapter(adapter.name, adapter.scale, adapter.facts) for adapter in model.adapters))
        told = (model.info.remark, models.remarks.get(model.info.name), models.prepared.get(model.info.name))
        state.note(*filter(None, told))
        precision = models.precision_of(model)
        state.note(*place_notes(state.render, model, precision))
        state.precision[model.info.name] = str(precision)
        if state.render.output.width == "model" and not model.info.defaults.narrow:
            state.note(WIDTH_KEPT.format(model.info.name))
        return model

    def _recipe(self) -> dict[str, Any]:
        """What every file that is written from here on says of its making."""
        state = self.state
        render = Render(
            stages=tuple(stage.stage for stage in state.stages),
            conditioning=state.render.conditioning,
            source=state.render.source,
            output=state.render.output,
            weights=dict(state.weights),
            made_with=state.render.made_with,
            made_on=made_on(self.model),
            precision=dict(state.precision),
        )
        recipe = {**make_recipe(render, self.model), "licenses": dict(state.licenses)}
        width = self._width(0) if state.is_heard(self.index) else None
        return recipe if width is None else {**recipe, "width": width.told}

    # 2. encode the source

    def _encode_source(self) -> list[Tensor]:
        """The latents that the stage works on. Sets the stage's window."""
        with self.clock.measure("encode"):
            tick, state = self.run.progress.phase("encode"), self.state
            before = state.input_of(self.index)
            if before is not None:  # the latent of an earlier stage, as it is: no codec between them
                state.windows.append(state.windows[before])
                return state.latents[before]
            if self.facts is None:
                state.windows.append(self._new_window())
                return []
            state.windows.append(self._source_window())
            encoder = self.resources.source_encoder
            encoded = [encoder.encode(sound, self.window, self.model, tick) for sound in self._open_sounds(tick)]
            state.note(*(note for _, notes in encoded for note in notes))
            tick(1, 1)
            return [latents for latents, _ in encoded]

    def _new_window(self) -> Window:
        output = self.state.render.output
        length = self.state.conform.model_length(self.state.part_length or limits.CODEC_RATE)
        if output.check == "conform":
            length = math.ceil(length * (1 + MAX_CONFORM))  # what a part may lack when it is played faster
        return new_window(length, output.rate or limits.CODEC_RATE, self.model.info.grid)

    def _source_window(self) -> Window:
        source, facts = self.state.inputs[self.index].source, self.facts
        assert source is not None and facts is not None
        # a crossfade is cut out of what was rendered, so the window holds it and a tenth of a second more
        context = max(source.context, self.state.render.output.crossfade / 1000 + 0.1)
        window = source_window(facts, context, around=self.plan.context, grid=self.model.info.grid)
        if window.seconds > facts.frames / facts.rate + 1 and window.frames > window.audio_frames + window.lead:
            self.note("the window is longer than the file; it was padded with silence and trimmed")
        return window

    def _open_sounds(self, tick: Tick) -> list[OpenSource]:
        """The sound that the stage works on: one for all variants, or what an earlier stage made of each."""
        given, state = self.state.inputs[self.index], self.state
        assert given.source is not None
        if given.stage is not None:
            sounds = [self._open(Source(path=str(path)), tick) for path in state.made[given.stage]]
        elif (known := self._opened_before(given.source)) is not None:
            sounds = known
        else:
            sounds = [self._open(given.source, tick)]
            if sounds[0].latent is not None:
                state.note("the source is an earlier result, so its stored latent was used where possible")
        layout = sounds[0].layout
        if layout.lossy and "whole" in self.roles:
            state.note(
                f"the source is {LOSSY[layout.coding]}, which would change everywhere if it were written in that form again; "
                "the whole file is a 32-bit float WAV of it"
            )
        state.opened[self.index] = sounds
        return sounds

    def _open(self, source: Source, tick: Tick) -> OpenSource:
        encoder, settings = self.resources.source_encoder, self.resources.settings
        return encoder.open(source, settings, self.model, self.run.context.staging, tick)

    def _opened_before(self, source: Source) -> list[OpenSource] | None:
        """The sound as an earlier stage of the same model opened it, perhaps for another region."""
        for before, sounds in self.state.opened.items():
            other = self.state.inputs[before].source
            same = other is not None and other.stage is None and other.place == source.place
            if same and self.state.stages[before].model == self.model.info:
                return sounds
        return None

    def _settle_guide_time(self) -> None:
        """Give the render its time on the timeline of a stage that follows a guide. What was heard is written into the request as
        numbers, so that the recipe holds it and later stages share it."""
        state = self.state
        guide = guide_text(self.plan, self.params, state.render.conditioning, self.resolved.model)
        if not guide:
            return
        state.guide_time = find_guide_time(guide, state.render.conditioning, self.window, self.sound_of(0))
        state.note(*state.guide_time.notes)
        state.write_back(**state.guide_time.heard)

    # 3. denoise

    def _denoise(self) -> list[Tensor]:
        """The passes of every variant, float32 [passes, T, C]."""
        made: list[Tensor] = []
        count = self.plan.passes
        for variants in self.family.groups(self):
            tick = self.run.progress.phase("denoise", self.type, len(variants))
            with self.clock.measure("denoise"):
                passes: list[Tensor] = []
                while len(passes) < count and not self._agree(passes):
                    passes.append(self._pass(variants, len(passes), part_of(tick, len(passes), count)))
            made += map(self._finished, variants, torch.stack(passes, 1).unbind())
        if failure := self.resources.models.compiler_failure():
            self.note(f"the model could not be compiled and ran as it is: {failure}")
        return made

    def _pass(self, variants: tuple[int, ...], number: int, tick: Tick) -> Tensor:
        """One pass of some variants, float32 [B, T, C]."""
        return torch.cat(self.family.denoise(self, TakeGroup(variants, self._sources(variants), number), tick))

    def _agree(self, passes: list[Tensor]) -> bool:
        """Whether the passes [B, T, C] that there are say the same of every variant, in what the stage makes."""
        first, last = self.window.region
        return bool(passes) and all(
            takes_agree(takes) for takes in zip(*(one[:, None, first:last] for one in passes), strict=True)
        )

    def _sources(self, variants: tuple[int, ...]) -> tuple[Tensor, ...]:
        """What each of these variants works on."""
        given = self.given
        return tuple(given[min(variant, len(given) - 1)] for variant in variants) if given else ()

    def _finished(self, variant: int, latents: Tensor) -> Tensor:
        """The passes [n, T, C] of a variant as later stages, the store and the decoder get them."""
        if takes_drums_out(self.resolved):
            tick = self.run.progress.phase("take out", PHASE)
            with self.clock.measure("take out"):
                latents = take_out(self, variant, "drums", latents, tick)
        return self._adjusted(latents)

    def _adjusted(self, latents: Tensor) -> Tensor:
        """Latents with the stage's rescaling and shift, within what it makes: sound, stored latent and later stages agree."""
        params, (first, last) = self.params, self.window.region
        if params.latent_rescale == 1.0 and params.latent_shift == 0.0:
            return latents
        latents = latents.clone()
        latents[:, first:last] = latents[:, first:last] * params.latent_rescale + params.latent_shift
        return latents

    def _make_again(self, variant: int, name: str) -> VariantSound:
        """A variant with the seed (a name: made again) and the speed that the render has for it now."""
        seed = self.seed(variant)
        if name and (variant, seed) not in self.made:
            tick = self.run.progress.phase("denoise", name)
            with self.clock.measure("denoise"):
                latents = self._pass((variant,), 0, tick)
            self.made[variant, seed] = self._finished(variant, latents)
        passes = self.made[variant, seed]
        self.state.latents[self.index][variant] = passes.mean(0, keepdim=True)
        tick = self.run.progress.phase("decode") if name else self.silent_tick
        return VariantSound(index=variant, seed=seed, samples=self._sound(passes[:1], self._cut(), tick, variant))

    # 4. decode

    def _cut(self) -> Cut:
        """What is decoded, and what of it is returned."""
        return cut(self.window, crossfades_of(self)[0])

    def _decode(self) -> Iterator[VariantSound]:
        """Every variant as sound. A masked stage's is what its passes cut out of what it worked on."""
        piece = self._cut()
        masks = self.plan.soft_mask
        heard = [self._sound(latents, piece, self.silent_tick) for latents in self.given if masks]
        for variant, seed in list(self.made):
            passes = self.made[variant, seed]
            tick, count = self.run.progress.phase("decode"), len(passes)
            sounds = [
                self._sound(one, piece, part_of(tick, number, count), None if masks else variant)
                for number, one in enumerate(passes.split(1))
            ]
            sound = sounds[0]
            if heard:
                with self.clock.measure("decode"):
                    sound = self._masked(variant, sounds, heard[min(variant, len(heard) - 1)], piece)
            yield VariantSound(index=variant, seed=seed, samples=sound)

    def _width(self, variant: int) -> StageWidth | None:
        if variant not in self.widths:
            self.widths[variant] = find_width(self, variant, self._cut())
        return self.widths[variant]

    def _sound(self, latents: Tensor, piece: Cut, tick: Tick, wide: int | None = None) -> Sound:
        """Latents [1, T, C] decoded, at the timeline's rate: what the cut says, or a new part of its exact length; as wide as
        variant ``wide`` should be, or as the model plays."""
        state, facts, window, rate = self.state, self.facts, self.window, self.model.info.grid.rate
        output = state.render.output
        with self.clock.measure("decode"):
            with self.on_device("codec"):
                sound, notes = self.family.decode(self.model, latents, (piece.first, piece.last), tick)
            width = None if wide is None else self._width(wide)
            decoded = sound.numpy() if width is None else width.apply(sound.numpy())
            state.note(*notes)
            if (output.channels if facts is None else facts.channels) == 1:
                state.note(MONO_PART if facts is None else MONO_SOURCE)
            if facts is None:
                # a fractional tempo was rendered at the nearest whole one: the resampler plays it at its own
                length = state.part_length or window.region_length
                played = resample(decoded, rate * state.conform.speed, window.rate, length)
                return to_channels(played, output.channels or 2)
            # from the first sample of a whole frame on, so that the resampler's filter is where it was for the source
            played = resample(decoded, rate, window.rate, piece.skip + piece.length)[:, piece.skip :]
            return to_channels(played, facts.channels)

    def _masked(self, variant: int, passes: list[Sound], heard: Sound, piece: Cut) -> Sound:
        """The passes of a variant as part of what the stage worked on: the source's own samples, or the sound of the stage
        before. ``heard`` is what the codec makes of that."""
        window = self.window
        sound = self.sound_of(variant) if self.state.input_of(self.index) is None else None
        mix = heard
        if sound is None and self._width(variant) is not None:
            mix = self._sound(self._sources((variant,))[0], piece, self.silent_tick, variant)
        elif sound is not None:
            first = window.start + window.grid.samples(piece.first, window.rate) + piece.skip
            mix = read_window(sound.path, sound.layout, first, piece.length)
        return masked(passes, mix, heard, window.rate, self.check)

    # after the last step

    def _report(self) -> StageReport:
        settings = stage_settings(self.resolved)
        if self.model.adapters:
            settings["adapters"] = [
                {"name": adapter.name, "scale": adapter.scale, **adapter.facts} for adapter in self.model.adapters
            ]
        settings["precision"] = self.state.precision[self.model.info.name]
        return StageReport(type=self.type, model=self.model.info.name, settings=settings, seconds=self.clock.seconds)
