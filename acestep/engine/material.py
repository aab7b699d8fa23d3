"""What a stage works on: its window, and the latents of the source or of an earlier stage."""

from __future__ import annotations

from torch import Tensor

from acestep.api import limits
from acestep.api.errors import BadLatent
from acestep.api.variants import ModelInfo
from acestep.checkpoints.load import Model
from acestep.engine.chain import Chain, Job
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
        _require_family(chain.stages[before].model, model.info)
        chain.windows.append(chain.windows[before])
        return chain.latents[before]
    if not chain.anchored(index):
        chain.windows.append(_new_window(chain))
        return []
    window = _source_window(chain, index)
    chain.windows.append(window)
    latents = job.workshop.studio.encode(open_source(job, model, tick), window, model, tick)
    tick(1, 1)
    return [latents]


def _new_window(chain: Chain) -> Window:
    output = chain.render.output
    length = output.length or limits.CODEC_RATE
    return new_window(chain.conform.model_length(length), output.rate or limits.CODEC_RATE)


def _source_window(chain: Chain, index: int) -> Window:
    source, facts = chain.render.source, chain.facts
    assert source is not None and facts is not None
    context = max(source.context, chain.render.output.crossfade / 1000 + 0.1)
    window = source_window(facts, context, around=chain.stages[index].plan.context)
    if window.seconds > facts.frames / facts.rate + 1 and window.frames > window.audio_frames + window.lead:
        chain.note("the window is longer than the file; what it lacks was filled with silence and trimmed")
    return window


def open_source(job: Job, model: Model, tick: Tick) -> OpenSource:
    """The source's sound file, opened once per job."""
    chain = job.chain
    assert chain.render.source is not None
    if chain.source is None:
        studio, settings = job.workshop.studio, job.workshop.settings
        chain.source = studio.open(chain.render.source, settings, model, job.context.staging, tick)
        if chain.source.latent is not None:
            chain.note("the source is one of our own results: where it was made, its stored latent was used")
        if chain.source.layout.lossy and "whole" in (chain.render.output.returns or []):
            chain.note(
                f"the source is {KINDS[chain.source.layout.coding]}, which would change everywhere if it were written in that "
                "form again; the whole file is a 32-bit float WAV of it"
            )
    return chain.source


def _require_family(before: ModelInfo, after: ModelInfo) -> None:
    if before.latent_family != after.latent_family:
        raise BadLatent(
            f"{after.name} cannot go on with a latent of {before.name}: their codecs differ",
            field="model",
            limits={"family": after.latent_family},
        )
