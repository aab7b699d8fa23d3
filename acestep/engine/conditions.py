"""What the model is told in one stage: words, reference, context, hint; from the request's wish and the stage's plan."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from torch import Tensor

from acestep.api import limits
from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.instructions import TEXT_TO_MUSIC
from acestep.api.plan import Fill, Plan
from acestep.api.planning import CODE_RATE
from acestep.api.request import StageParams
from acestep.api.tempo_map import TempoMap
from acestep.checkpoints.load import Model
from acestep.codec.codec import Tick
from acestep.conditioning.context import ContextInputs, bottleneck, build_context, fit, hint_from_codes, plain_context
from acestep.conditioning.guide import render_guide
from acestep.conditioning.guide_text import parse_guide
from acestep.conditioning.prompts import Prompt
from acestep.conditioning.text import ConditionCache, ConditionRequest, cut_notes
from acestep.denoising.request import Branch
from acestep.engine.geometry import FRAMES_PER_SECOND, Window
from acestep.engine.guides import asked_guide, guide_text
from acestep.engine.source import SourceEncoder, reference_latents, require_file

DEFAULT_BPM = 120.0
"""Tempo of a guide when none is given."""


@dataclass
class StageWish:
    """Everything that one stage's conditions are made from."""

    plan: Plan
    params: StageParams
    conditioning: Conditioning
    window: Window
    source: Tensor | None = None
    codes: tuple[int, ...] = ()
    """Semantic codes of this item; empty where it has none."""
    tempo: TempoMap = field(default_factory=lambda: TempoMap.steady(DEFAULT_BPM))
    """Time on the source's timeline, for the guide."""
    first_bar: int = 1
    """Where the chords of a guide begin."""
    speed: float = 1.0
    """How much faster the result will be played than it is rendered (`acestep.engine.conform`)."""
    notes: list[str] = field(default_factory=list)


class Conditions:
    """Builds the branches of denoising runs for one worker, with its caches."""

    def __init__(self, texts: ConditionCache, encoder: SourceEncoder) -> None:
        self._texts = texts
        self._encoder = encoder

    def branches(self, model: Model, wish: StageWish, tick: Tick) -> tuple[Branch, Branch | None]:
        """The main branch, and the plain one that follows it when the plan's condition holds for a share of the steps only."""
        timbre = self._timbre(model, wish, tick)
        plan, hint = self._hint(model, wish, tick)
        inputs = ContextInputs(wish.window.frames, wish.window.region, wish.source, hint)
        context = build_context(model, plan, inputs)
        if hint is not None and plan.fill is not Fill.HINT:
            first, last = wish.window.region
            context = context.clone()
            context[:, first:last, : limits.LATENT_CHANNELS] = fit(hint, model.silence, wish.window.frames)[
                :, first:last
            ]
        prompt = make_prompt(model, wish, plan.instruction)
        wish.notes.extend(cut_notes(model, prompt))
        main = Branch(self._texts.encode(model, ConditionRequest(prompt, timbre)), context)
        if plan.condition_strength >= 1.0:
            return main, None
        if plan.instruction == TEXT_TO_MUSIC and plan.fill is Fill.SILENCE and hint is None:
            wish.notes.append("this stage is plain text to music throughout; condition_strength changes nothing")
            return main, None
        plain = msgspec.structs.replace(prompt, instruction=TEXT_TO_MUSIC)
        states = self._texts.encode(model, ConditionRequest(plain, timbre))
        return main, Branch(states, plain_context(model, plan, inputs))

    def encode_text(self, model: Model, wish: StageWish, caption: str, lyrics: str, tick: Tick) -> Tensor:
        """Encoder states of other words, everything else of the prompt as it is."""
        prompt = msgspec.structs.replace(
            make_prompt(model, wish, wish.plan.instruction), caption=caption, lyrics=lyrics
        )
        return self._texts.encode(model, ConditionRequest(prompt, self._timbre(model, wish, tick)))

    def _timbre(self, model: Model, wish: StageWish, tick: Tick) -> Tensor | None:
        reference = wish.conditioning.reference
        if not reference:
            return None
        path = require_file(Path(reference), "reference")
        found = reference_latents(self._encoder, path, model, tick)
        if found is None:
            wish.notes.append("the reference is silent and was left out")
        return found

    def _hint(self, model: Model, wish: StageWish, tick: Tick) -> tuple[Plan, Tensor | None]:
        """The plan as it is with a hint, and the hint: codes where the plan takes them, else a guide, else none."""
        plan, conditioning = wish.plan, wish.conditioning
        if wish.codes:
            wish.notes.extend(_code_notes(wish))
            return _hinted(plan), hint_from_codes(model, list(wish.codes))
        text = guide_text(plan, wish.params, conditioning, model.info)
        if not text:
            if asked_guide(wish.params, conditioning) not in ("", NO_GUIDE):
                wish.notes.append("this operation follows its audio; the guide was left out")
            return plan, None
        latents = self._guide(text, model, wish, tick)
        if model.info.defaults.guide_bottleneck:
            latents = bottleneck(model, latents)
        return (_hinted(plan) if plan.fill is Fill.SILENCE else plan), latents

    def _guide(self, text: str, model: Model, wish: StageWish, tick: Tick) -> Tensor:
        """The guide as latents of the window, its bar lines where the song's time has them."""
        conditioning, window = wish.conditioning, wish.window
        bpm = wish.tempo.bpm(window.start, window.start + 1)
        guide = parse_guide(text, conditioning.time_signature or "4", conditioning.key, bpm)
        wish.notes.extend(guide.remarks)
        tempo = wish.tempo.moved(window.start, limits.CODEC_RATE).faster(1 / wish.speed)
        length = window.frames * limits.HOP
        audio = render_guide(guide, tempo, length, wish.first_bar)
        return self._encoder.encode_audio(audio, limits.CODEC_RATE, length, model, tick)


def _code_notes(wish: StageWish) -> list[str]:
    """That codes last another time than the part that is made of them."""
    window = wish.window
    wanted = -(-window.region_length * CODE_RATE // window.rate)
    given, part = len(wish.codes), window.region_length / window.rate
    if given == wanted:
        return []
    rest = "the rest follows none" if given < wanted else "the rest of them is left out"
    return [f"the codes last {given / CODE_RATE:g} s and the part {part:.3g} s: {rest}"]


def _hinted(plan: Plan) -> Plan:
    """A plan whose context is a hint, with the instruction that goes with it."""
    instruction = plan.hint_instruction or plan.instruction
    return msgspec.structs.replace(plan, fill=Fill.HINT, instruction=instruction)


def make_prompt(model: Model, wish: StageWish, instruction: str) -> Prompt:
    """The words of a stage in the form that the model reads; its own caption and lyrics stand above the shared ones."""
    conditioning, params = wish.conditioning, wish.params
    if conditioning.global_caption and not model.info.stem_captions:
        wish.notes.append(f"{model.info.name} does not read a global_caption; it was left out")
    return Prompt(
        global_caption=conditioning.global_caption,
        stem_captions=model.info.stem_captions,
        instruction=instruction,
        caption=conditioning.caption if params.caption is None else params.caption,
        lyrics=conditioning.lyrics if params.lyrics is None else params.lyrics,
        language=conditioning.language,
        instrumental=conditioning.instrumental,
        bpm=conditioning.bpm,
        key=conditioning.key,
        time_signature=conditioning.time_signature,
        seconds=wish.window.frames / FRAMES_PER_SECOND,
    )
