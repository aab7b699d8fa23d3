"""ACE-Step v1 at work behind the seam of the families: opened, encoded, made, decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from acestep.api.family import FamilyRuntime, ModelOpening, StageTake, Tick
from acestep.api.targets import resolve_target
from acestep.api.variants import ModelInfo
from acestep.denoising.noise import mix, stream_seed
from acestep.families.ace_step_v1 import tasks
from acestep.families.ace_step_v1.adapters import use_adapters
from acestep.families.ace_step_v1.conditions import Prompt, Switches, Words, words_for, words_for_edit
from acestep.families.ace_step_v1.edit import EditOptions, edit
from acestep.families.ace_step_v1.family import is_instrumental, read_lyrics
from acestep.families.ace_step_v1.load import Model, open_checkpoint, supported_dtype
from acestep.families.ace_step_v1.lyrics import LyricTokens, instrumental
from acestep.families.ace_step_v1.noise import StepNoise, draw
from acestep.families.ace_step_v1.options import chosen_steps
from acestep.families.ace_step_v1.run import ZERO_CALLS, Guidance, Run
from acestep.families.ace_step_v1.schedule import levels, picked_levels
from acestep.families.ace_step_v1.text import MAX_TOKENS
from acestep.families.ace_step_v1.units import CHANNELS, FRAME, ROWS
from acestep.families.words import prompt_text

if TYPE_CHECKING:
    from acestep.families.ace_step_v1.onnx_parts import V1Parts

ZERO_STAR = "cfg_zero_star"
"""The guidance method whose first evaluations are zero."""

QUIET = 8
"""Windows of silence that are kept encoded."""


class Runtime(FamilyRuntime):
    """One item after the other; every step ticks, so that a cancel is heard at each."""

    def __init__(self) -> None:
        self._silence: dict[tuple[str, int], Tensor] = {}

    def open(self, info: ModelInfo, opening: ModelOpening) -> Model:
        """The checkpoint, without the fifth of its file that takes no part in the maths."""
        model = open_checkpoint(
            Path(info.path), near=opening.near, device=opening.landing, dtype=opening.dtype, check=opening.check
        )
        model.info = info
        return model

    def supported_dtype(self, device: torch.device, dtype: torch.dtype) -> torch.dtype:
        """Always float32 on Macs."""
        return supported_dtype(device, dtype)

    def encode(self, model: Model, audio: Tensor, tick: Tick) -> Tensor:
        """The autoencoder looks at everything at once, so this is one unit of work."""
        latents = rows_of(model.codec.encode(audio))
        tick(1, 1)
        return latents

    def decode(self, model: Model, latents: Tensor, span: tuple[int, int], tick: Tick) -> tuple[Tensor, list[str]]:
        """The whole window is decoded, of which the span is taken: no part of it sounds alone as it does in the whole."""
        codec = model.codec
        sound = codec.decode(image_of(latents), tick)
        return sound[:, span[0] * FRAME : span[1] * FRAME], codec.notes

    def silence(self, model: Model, frames: int) -> Tensor:
        """Encoded silence."""
        key = (model.codec_digest, frames)
        if key not in self._silence:
            if len(self._silence) >= QUIET:
                self._silence.pop(next(iter(self._silence)))
            self._silence[key] = rows_of(model.codec.encode(torch.zeros(2, frames * FRAME)))
        return self._silence[key]

    def onnx_parts(self, info: ModelInfo, check: Callable[[], None]) -> V1Parts:
        """Five."""
        from acestep.families.ace_step_v1.onnx_parts import V1Parts

        return V1Parts(info, check)

    def use_adapters(self, model: Model, adapters: Sequence[Any], check: Callable[[], None]) -> None:
        """Merged into the transformer."""
        use_adapters(model, adapters, check)

    def make(self, take: StageTake) -> Tensor:
        """Whatever the stage is, by the task of the same meaning."""
        item = _Item(take)
        with take.on_device("words"):
            item.read_words()
        with take.on_device("denoise"):
            return rows_of(_MAKERS[take.stage.stage.type](item))


def rows_of(latents: Tensor) -> Tensor:
    """[1, 8, 16, T] -> [1, T, 128], the form in which latents leave the family."""
    return latents.permute(0, 3, 1, 2).flatten(2).contiguous()


def image_of(rows: Tensor) -> Tensor:
    """[1, T, 128] -> [1, 8, 16, T]."""
    return rows.unflatten(2, (CHANNELS, ROWS)).permute(0, 2, 3, 1).contiguous()


@dataclass
class _Item:
    """One item at work."""

    take: StageTake

    def __post_init__(self) -> None:
        self._prompts: dict[str, Prompt] = {}

    @property
    def transformer(self) -> Any:
        """The network that is denoised with."""
        return self.take.model.transformer

    @property
    def plan(self) -> Any:
        """What the stage should do."""
        return self.take.stage.plan

    @property
    def source(self) -> Tensor:
        """What it works on, [1, 8, 16, T]."""
        assert self.take.source is not None, "admission has seen to it that there is one"
        return image_of(self.take.source)

    def read_words(self) -> None:
        """Encode the words of the item, and those that the clip has now where it is edited by them."""
        take = self.take
        self._prompts["new"] = self._prompt(take.caption, take.lyrics)
        if "source_caption" in (edited := self.plan.custom_loop_options):
            self._prompts["old"] = self._prompt(str(edited["source_caption"]), str(edited["source_lyrics"]))

    def _prompt(self, caption: str, lyrics: str) -> Prompt:
        take, model = self.take, self.take.model
        text = prompt_text(caption, take.conditioning)
        count = model.prompts.token_count(text)
        if count > MAX_TOKENS:
            take.note(f"the description has {count} tokens; the model hears the first {MAX_TOKENS}")
        states, mask = model.prompts.encode(text)
        sung = self._lyrics(lyrics)
        for note in sung.notes:
            take.note(note)
        ids = torch.tensor([sung.ids])
        heard = torch.zeros_like(ids) if sung.silent else torch.ones_like(ids)
        weak = model.prompts.encode_weakly(text) if take.options.erg_text else None
        return Prompt(states, mask, ids, heard, weak)

    def _lyrics(self, lyrics: str) -> LyricTokens:
        take = self.take
        if is_instrumental(lyrics, take.conditioning):
            return instrumental()
        return read_lyrics(lyrics, take.conditioning.language, take.model.parts)

    def words(self) -> Words:
        """The branches of a run."""
        own = self.take.options
        switches = Switches(own.erg_text, own.erg_lyric, own.erg_diffusion)
        return words_for(self.transformer, self._prompts["new"], switches, apart=self.guidance().apart)

    def guidance(self) -> Guidance:
        """How the run is guided."""
        stage, own = self.take.stage, self.take.options
        unguided = not stage.guidance.needs_uncond
        return Guidance(
            make=None if unguided else resolve_target(stage.guidance.target),
            scale=1.0 if unguided else float(stage.params.guidance_scale or 1.0),
            interval=own.guidance_interval,
            decay=own.guidance_decay,
            lowest=own.guidance_lowest,
            zero_calls=ZERO_CALLS if stage.guidance.name == ZERO_STAR else 0,
            text=own.guidance_text,
            lyric=own.guidance_lyric,
        )

    def run(self, words: Words) -> Run:
        """A whole run of the asked steps, or of chosen ones."""
        take, chosen = self.take, self.take.options.oss_steps
        return Run(
            words=words,
            levels=picked_levels(chosen_steps(chosen)) if chosen else levels(int(take.stage.params.steps or 1)),
            sampler=take.stage.sampler,
            noise=StepNoise(take.seed, take.frames),
            guidance=self.guidance(),
            omega=take.options.omega,
            tick=take.tick,
        )

    def noise(self) -> Tensor:
        """The noise of the seed, turned towards that of the variation (a retake)."""
        own = draw(self.take.seed, self.take.frames)
        if not self.plan.variation:
            return own
        return mix(own, draw(self.plan.variation_seed, self.take.frames), self.plan.variation)


def _from_words(item: _Item) -> Tensor:
    return tasks.text_to_music(item.transformer, item.run(item.words()), item.noise())


def _near_source(item: _Item) -> Tensor:
    strength = 1.0 - item.plan.t_start if item.plan.start_from_source else 0.0
    return tasks.audio_to_audio(item.transformer, item.run(item.words()), item.noise(), item.source, strength)


def _in_region(item: _Item) -> Tensor:
    """The take's own noise inside the region; around it one that is its alone too, which noises what stays."""
    around = draw(stream_seed(item.take.seed, "around", 0) & 0xFFFFFFFF, item.take.frames)
    noises = (around, item.noise())
    run = item.run(item.words())
    return tasks.repaint(item.transformer, run, noises, item.source, item.take.region, item.take.options.variance)


def _by_words(item: _Item) -> Tensor:
    asked = item.plan.custom_loop_options
    options = EditOptions(float(asked["n_min"]), float(asked["n_max"]), int(asked["n_avg"]))
    old, new = (words_for_edit(item.transformer, item._prompts[side]) for side in ("old", "new"))
    return edit(item.transformer, item.run(new), old, item.source, options)


_MAKERS: dict[str, Callable[[_Item], Tensor]] = {
    "generate": _from_words,
    "refine": _near_source,
    "cover": _near_source,
    "repaint": _in_region,
    "extend": _in_region,
    "flow-edit": _by_words,
}
