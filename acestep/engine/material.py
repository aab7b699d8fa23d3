"""What a stage works on: its window, and the latents of the source or of an earlier stage."""

from __future__ import annotations

import math

from torch import Tensor

from acestep.api import limits
from acestep.api.source import Source
from acestep.checkpoints.load import Model
from acestep.engine.chain import Chain, Job
from acestep.engine.conform import MOST
from acestep.engine.geometry import Window, new_window, source_window
from acestep.engine.progress import Tick
from acestep.engine.source import OpenSource

KINDS = {"MPEG_LAYER_III": "MP3", "VORBIS": "Ogg Vorbis", "OPUS": "Opus"}
"""Lossy codings as people call them."""


def gather(job: Job, index: int, model: Model, tick: Tick) -> list[Tensor]:
    """The latents stage ``index`` works on: one for all variants, one each, or none. Sets the stage's window."""
    chain = job.chain
    before = chain.input_of(index)
    if before is not None:
        chain.windows.append(chain.windows[before])
        return chain.latents[before]
    if chain.facts(index) is None:
        chain.windows.append(_new_window(chain))
        return []
    window = _source_window(chain, index)
    chain.windows.append(window)
    heard = [
        job.resources.source_encoder.encode(sound, window, model, tick)
        for sound in open_sounds(job, index, model, tick)
    ]
    chain.note(*(note for _, notes in heard for note in notes))
    tick(1, 1)
    return [latents for latents, _ in heard]


def _new_window(chain: Chain) -> Window:
    output = chain.render.output
    length = chain.conform.model_length(output.length or limits.CODEC_RATE)
    if output.check == "conform":
        length = math.ceil(length * (1 + MOST))  # what a part may lack when it is played faster
    return new_window(length, output.rate or limits.CODEC_RATE)


def _source_window(chain: Chain, index: int) -> Window:
    source, facts = chain.inputs[index].source, chain.facts(index)
    assert source is not None and facts is not None
    context = max(source.context, chain.render.output.crossfade / 1000 + 0.1)
    window = source_window(facts, context, around=chain.stages[index].plan.context)
    if window.seconds > facts.frames / facts.rate + 1 and window.frames > window.audio_frames + window.lead:
        chain.note("the window is longer than the file; what it lacks was filled with silence and trimmed")
    return window


def open_sounds(job: Job, index: int, model: Model, tick: Tick) -> list[OpenSource]:
    """The sound that a stage works on: one for all variants, or what an earlier stage made of each."""
    chain, given = job.chain, job.chain.inputs[index]
    encoder, settings = job.resources.source_encoder, job.resources.settings
    assert given.source is not None
    if given.stage is not None:
        sources = [Source(path=str(path)) for path in chain.made[given.stage]]
        sounds = [encoder.open(source, settings, model, job.context.staging, tick) for source in sources]
    elif (known := _opened_before(chain, index, model)) is not None:
        sounds = known
    else:
        sounds = [encoder.open(given.source, settings, model, job.context.staging, tick)]
        if sounds[0].latent is not None:
            chain.note("the source is one of our own results: where it was made, its stored latent was used")
    layout = sounds[0].layout
    if layout.lossy and "whole" in chain.roles(index):
        chain.note(
            f"the source is {KINDS[layout.coding]}, which would change everywhere if it were written in that form again; "
            "the whole file is a 32-bit float WAV of it"
        )
    chain.opened[index] = sounds
    return sounds


def _opened_before(chain: Chain, index: int, model: Model) -> list[OpenSource] | None:
    """The sound as an earlier stage of the same model opened it, perhaps for another region."""
    source = chain.inputs[index].source
    assert source is not None
    for before, sounds in chain.opened.items():
        other = chain.inputs[before].source
        same = other is not None and other.stage is None and other.place == source.place
        if same and chain.stages[before].model == model.info:
            return sounds
    return None
