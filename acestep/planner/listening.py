"""Audio for the planner: a file's region as latents and as semantic codes, and codes back as sound."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from acestep.admission.region import region_heard
from acestep.api import limits
from acestep.api.errors import Unavailable
from acestep.api.result import ResultFile
from acestep.api.rounding import samples
from acestep.api.source import Source
from acestep.audio.chunks import Tags
from acestep.audio.copies import with_copies
from acestep.audio.read import read_window
from acestep.audio.sniff import probe, sniff
from acestep.audio.write import Shape, form_of, write_audio
from acestep.checkpoints.load import Model
from acestep.codec.latent_codec import Codec
from acestep.conditioning.context import audio_codes as codes_of_latents
from acestep.conditioning.context import hint_from_codes
from acestep.engine.host_info import locate_source
from acestep.engine.model_pool import DevicePlacement
from acestep.planner.planner_models import require_known_codes, settings_of
from acestep.worker.backend import JobContext


def open_model(typed: Any, context: JobContext) -> Model:
    """The checkpoint that a request names, on its device. Raises `ModelMissing`, `BadCheckpoint` or `Unavailable`."""
    pool = getattr(context.backend, "models", None)
    if pool is None:
        raise Unavailable("this worker's backend has no models that could listen to audio")
    context.tick("load", 0, 1, 0.0)
    return pool.open(typed.checkpoint, context.check)


def placement_of(context: JobContext) -> DevicePlacement:
    """What brings the networks of an opened model to the device."""
    backend: Any = context.backend
    return backend.models.placement


def piece_latents(typed: Any, context: JobContext, model: Model) -> tuple[Tensor, float]:
    """Latents [1, T, 64] of a request's region, and its length in seconds.

    Raises `NotFound`, `BadRequest`, `NotAudio`, `CorruptAudio`, `UnsupportedChannels`, `RegionOutside`, `TooLarge`.
    """
    settings = settings_of(context.backend)
    path = locate_source(Source(path=typed.source, upload=typed.upload), settings)
    heard = region_heard(typed, probe(path))
    layout = sniff(path)
    seconds = heard.length / layout.rate
    audio = read_window(path, layout, heard.start, heard.length)
    length = max(samples(seconds, limits.CODEC_RATE), 1)

    def tick(done: int, total: int) -> None:
        context.tick("encode", done, total, 0.05 + 0.15 * done / max(total, 1))

    backend: Any = context.backend
    return backend.source_encoder.encode_audio(audio, layout.rate, length, model, tick), seconds


def audio_codes(typed: Any, context: JobContext) -> list[int]:
    """The semantic codes of a request's audio, five a second."""
    model = open_model(typed, context)
    latents, _ = piece_latents(typed, context, model)
    with placement_of(context).on_device(model, "words"):
        return codes_of_latents(model, latents)


def readable_codes(typed: Any, context: JobContext) -> list[int]:
    """The codes of a request's audio for the language model to read.

    Raises `ModelUnsuited` for a checkpoint with a codebook of its own: its codes would mean nothing there.
    """
    model = open_model(typed, context)
    require_known_codes(model.info)
    return audio_codes(typed, context)


def render_codes(typed: Any, context: JobContext) -> tuple[list[ResultFile], Model]:
    """Sound of a request's codes alone, written into the staging folder: a sketch of melody and rhythm, not a mix."""
    model = open_model(typed, context)
    with placement_of(context).on_device(model, "words"):
        latents = hint_from_codes(model, typed.audio_codes)

    def tick(done: int, total: int) -> None:
        context.tick("decode", done, total, 0.1 + 0.85 * done / max(total, 1))

    with placement_of(context).on_device(model, "codec"):
        sound = Codec(model.codec).decode(latents, 0, latents.shape[1], tick).numpy()
    form = form_of(typed.format)
    path = context.staging / f"codes{form.suffix}"
    shape = Shape(limits.CODEC_RATE, 2, sound.shape[1])
    written = write_audio(path, [np.clip(sound, -1.0, 1.0)], shape, form, Tags())
    file = ResultFile(
        role="part",
        name=path.name,
        rate=shape.rate,
        channels=shape.channels,
        start=0,
        length=shape.length,
        subtype=form.subtype,
        clipped=written.clipped,
        sha256=written.sha256,
    )
    return with_copies([file], context.staging, typed.format), model
