"""What the model is told in one stage: words, reference, context, hint; from the request and the stage's plan."""

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
from acestep.api.resolve import asked_guide, guide_text
from acestep.audio import far
from acestep.checkpoints.load import Model
from acestep.codec.latent_codec import Tick
from acestep.conditioning.condition_cache import ConditionCache, ConditionRequest, cut_notes
from acestep.conditioning.context import ContextInputs, bottleneck, build_context, fit, hint_from_codes, plain_context
from acestep.conditioning.guide_audio import render_guide
from acestep.conditioning.guide_text import parse_guide
from acestep.conditioning.prompts import Prompt, prompt_of
from acestep.denoising.denoising_run import Branch
from acestep.engine.geometry import Window
from acestep.engine.source_encoder import SourceEncoder, reference_latents, require_file
from acestep.engine.tempo import GuideTime


@dataclass
class ConditionInputs:
    """What the conditions of one item of a stage are made from."""

    plan: Plan
    params: StageParams
    conditioning: Conditioning
    window: Window
    source: Tensor | None = None
    codes: tuple[int, ...] = ()
    """Semantic codes of this item; empty where it has none."""
    guide_time: GuideTime | None = None
    """The time that a guide runs on, on the source's timeline; None where the stage follows none."""
    speed: float = 1.0
    """How much faster the result will be played than it is rendered (`acestep.engine.tempo`)."""
    notes: list[str] = field(default_factory=list)


class Conditions:
    """Builds the branches of denoising runs for one worker, with its caches."""

    def __init__(self, texts: ConditionCache, encoder: SourceEncoder) -> None:
        self._texts = texts
        self._encoder = encoder

    def branches(self, model: Model, inputs: ConditionInputs, tick: Tick) -> tuple[Branch, Branch | None]:
        """The main branch, and the plain one that follows it when the plan's condition holds for a share of the steps only."""
        timbre = self._timbre(model, inputs, tick)
        plan, hint = self._hint(model, inputs, tick)
        given = ContextInputs(inputs.window.frames, inputs.window.region, inputs.source, hint)
        context = build_context(model, plan, given)
        # over a source the guide takes the place of silence in the region; what stands around it stays
        if hint is not None and plan.fill is not Fill.HINT:
            first, last = inputs.window.region
            context = context.clone()
            context[:, first:last, : limits.LATENT_CHANNELS] = fit(hint, model.silence, inputs.window.frames)[
                :, first:last
            ]
        prompt = make_prompt(model, inputs, plan.instruction)
        inputs.notes.extend(cut_notes(model, prompt))
        main = Branch(self._texts.encode(model, ConditionRequest(prompt, timbre)), context)
        if plan.condition_strength >= 1.0:
            return main, None
        if plan.instruction == TEXT_TO_MUSIC and plan.fill is Fill.SILENCE and hint is None:
            inputs.notes.append("this stage is plain text-to-music, so condition_strength has no effect")
            return main, None
        # from that share of the steps on the model is told nothing of the source: the outline is kept, the rest is free
        plain = msgspec.structs.replace(prompt, instruction=TEXT_TO_MUSIC)
        states = self._texts.encode(model, ConditionRequest(plain, timbre))
        return main, Branch(states, plain_context(model, plan, given))

    def encode_text(self, model: Model, inputs: ConditionInputs, caption: str, lyrics: str, tick: Tick) -> Tensor:
        """Encoder states of other words, everything else of the prompt as it is."""
        prompt = msgspec.structs.replace(
            make_prompt(model, inputs, inputs.plan.instruction), caption=caption, lyrics=lyrics
        )
        return self._texts.encode(model, ConditionRequest(prompt, self._timbre(model, inputs, tick)))

    def _timbre(self, model: Model, inputs: ConditionInputs, tick: Tick) -> Tensor | None:
        reference = inputs.conditioning.reference
        if not reference:
            return None
        path = require_file(far.here(Path(reference)), "reference")
        found = reference_latents(self._encoder, path, model, tick)
        if found is None:
            inputs.notes.append("the reference is silent and was ignored")
        return found

    def _hint(self, model: Model, inputs: ConditionInputs, tick: Tick) -> tuple[Plan, Tensor | None]:
        """The plan as it is with a hint, and the hint: codes where the plan takes them, else a guide, else none."""
        plan, conditioning = inputs.plan, inputs.conditioning
        if inputs.codes:
            inputs.notes.extend(_code_notes(inputs))
            return _hinted(plan), hint_from_codes(model, list(inputs.codes))
        text = guide_text(plan, inputs.params, conditioning, model.info)
        if not text:
            if asked_guide(inputs.params, conditioning) not in ("", NO_GUIDE):
                inputs.notes.append("this operation follows its source; the guide was ignored")
            return plan, None
        latents = self._guide(text, model, inputs, tick)
        if model.info.defaults.guide_bottleneck:
            latents = bottleneck(model, latents)
        return (_hinted(plan) if plan.fill is Fill.SILENCE else plan), latents

    def _guide(self, text: str, model: Model, inputs: ConditionInputs, tick: Tick) -> Tensor:
        """The guide as latents of the window, its bar lines where the song's time has them."""
        conditioning, window, time = inputs.conditioning, inputs.window, inputs.guide_time
        assert time is not None, "a stage that follows a guide has found its time before"
        bpm = time.tempo.bpm(window.start, window.start + 1)
        guide = parse_guide(text, conditioning.time_signature or "4", conditioning.key, bpm)
        inputs.notes.extend(guide.remarks)
        # at the tempo that is rendered: guide and part are conformed together
        tempo = time.tempo.moved(window.start, limits.CODEC_RATE).faster(1 / inputs.speed)
        length = window.frames * limits.HOP
        audio = render_guide(guide, tempo, length, time.first_bar)
        return self._encoder.encode_audio(audio, limits.CODEC_RATE, length, model, tick)


def _code_notes(inputs: ConditionInputs) -> list[str]:
    """That codes last another time than the part that is made of them."""
    window = inputs.window
    wanted = -(-window.region_length * CODE_RATE // window.rate)
    given, part = len(inputs.codes), window.region_length / window.rate
    if given == wanted:
        return []
    rest = "the rest follows none" if given < wanted else "the rest of them is left out"
    return [f"the codes last {given / CODE_RATE:g} s and the part {part:.3g} s: {rest}"]


def _hinted(plan: Plan) -> Plan:
    """A plan whose context is a hint, with the instruction that goes with it."""
    instruction = plan.hint_instruction or plan.instruction
    return msgspec.structs.replace(plan, fill=Fill.HINT, instruction=instruction)


def make_prompt(model: Model, inputs: ConditionInputs, instruction: str) -> Prompt:
    """The words of a stage in the form that the model reads; its own caption and lyrics stand above the shared ones."""
    conditioning, params = inputs.conditioning, inputs.params
    if conditioning.global_caption and not model.info.stem_captions:
        inputs.notes.append(f"{model.info.name} does not read a global_caption; it was ignored")
    seconds = inputs.window.frames / limits.FRAMES_PER_SECOND
    return prompt_of(conditioning, params, instruction, model.info.stem_captions, seconds)
