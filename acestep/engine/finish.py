"""From a stage's latents to its files: decode what is needed, trim to the sample, hand over to `acestep.engine.deliver`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from torch import Tensor

from acestep.api import limits
from acestep.api.errors import BadRequest
from acestep.api.formats import exact_format
from acestep.audio.copies import copy_notes
from acestep.audio.latent_header import SUFFIX
from acestep.audio.read import read_window
from acestep.audio.resample import resample, to_channels
from acestep.audio.splice import Handles, clamp_handles
from acestep.checkpoints.load import Model
from acestep.codec.codec import Codec
from acestep.codec.mask import masked
from acestep.engine.chain import Chain, Job
from acestep.engine.deliver import Delivery, Order, Take, file_stem
from acestep.engine.geometry import Cut, cut, frame_samples
from acestep.engine.progress import Tick, part_of
from acestep.engine.store import save_stage_latent

NEEDS_SOURCE = frozenset({"patch", "span", "whole", "residual"})
"""Roles that are made of the source's own samples too."""


@dataclass(frozen=True)
class Material:
    """What a stage made, [takes, T, 64] for each variant, and what it worked on, [1, T, 64]: one for all, one each or none."""

    takes: list[Tensor]
    given: list[Tensor]


def check_returns(chain: Chain) -> None:
    """Raise `BadRequest` for files that need a source when the chain makes something new."""
    asked = NEEDS_SOURCE & set(chain.render.output.returns or [])
    if asked and not chain.anchored(len(chain.stages) - 1):
        raise BadRequest(f"there is no source to make {', '.join(sorted(asked))} of", field="returns")


def finish(job: Job, index: int, model: Model, material: Material) -> None:
    """Decode, trim and write every variant of the last stage, each with its latent, which is listed only if it was asked for."""
    chain = job.chain
    asked = "latent" in (chain.render.output.returns or [])
    order, piece = _order(job, index)
    for take in _sounds(job, index, model, material, piece):
        tick = job.meter.phase("write")
        with job.clock.measure("write"):
            made = Delivery(order, job.context.check).write(take)
            chain.files += made
            chain.note(*copy_notes(made))
            if asked or job.workshop.settings.get("keep_latents", True):
                name = file_stem(order, take.variant, "latent") + SUFFIX
                latents = chain.latents[index][take.variant]
                latent = save_stage_latent(job, (index, take.variant), model, latents, name, made=made)
                chain.files += [latent] if asked else []
            tick(1, 1)


def preview(job: Job, index: int, model: Model, material: Material) -> None:
    """Decode a stage on the way and tell the daemon that its file is there."""
    chain = job.chain
    order, piece = _order(job, index)
    form, name = exact_format(order.output.format).name, f"{index + 1}-{order.stage}-preview"
    output = msgspec.structs.replace(order.output, returns=["part"], format=form, name=name)
    order = dataclasses.replace(order, output=output)
    for take in _sounds(job, index, model, material, piece):
        tick = job.meter.phase("write")
        with job.clock.measure("write"):
            (file,) = Delivery(order, job.context.check).write(take)
        chain.files.append(file)
        job.context.preview(msgspec.to_builtins(file))
        tick(1, 1)


def _order(job: Job, index: int) -> tuple[Order, Cut]:
    """What is written for a stage, and what is decoded for it."""
    chain, stage, window = job.chain, job.chain.stages[index], job.chain.windows[index]
    output, handles = chain.render.output, Handles(0, 0)
    shared: dict[str, Any] = {
        "folder": job.context.staging,
        "stage": stage.stage.type,
        "output": output,
        "conditioning": chain.render.conditioning,
        "track": str(getattr(stage.params, "track", "")),
        "recipe": chain.recipe,
    }
    if not chain.anchored(index):
        length = output.length or window.region_length
        rate = output.rate or limits.CODEC_RATE
        return Order(rate=rate, start=0, length=length, handles=handles, **shared), cut(window, handles)
    source, facts = chain.source, chain.facts
    assert source is not None and facts is not None
    if {"patch", "span", "whole"} & set(output.returns or []):
        crossfade = math.floor(output.crossfade * facts.rate / 1000 + 0.5)
        handles = clamp_handles(facts.start, facts.length, facts.frames, crossfade)
    place = {"rate": facts.rate, "start": facts.start, "length": facts.length, "handles": handles}
    return Order(path=source.path, layout=source.layout, **place, **shared), cut(window, handles)


def _sounds(job: Job, index: int, model: Model, material: Material, piece: Cut) -> Iterator[Take]:
    """Every variant of a stage as sound. A masked stage's is what its takes cut out of what it worked on."""
    chain = job.chain
    silent_tick: Tick = lambda done, of: job.context.check()  # noqa: E731
    masks = chain.stages[index].plan.soft_mask
    heard = [_sound(job, index, latents, piece, model, silent_tick) for latents in material.given if masks]
    for variant, takes in enumerate(material.takes):
        tick, count = job.meter.phase("decode"), len(takes)
        mix_heard = heard[min(variant, len(heard) - 1)] if heard else None
        sounds = [
            _sound(job, index, latents, piece, model, part_of(tick, number, count))
            for number, latents in enumerate(takes.split(1))
        ]
        sound = sounds[0]
        if mix_heard is not None:
            with job.clock.measure("decode"):
                sound = _masked(job, index, sounds, mix_heard, piece)
        yield Take(variant=variant, seed=chain.seed(index, variant), sound=sound)


def _sound(job: Job, index: int, latents: Tensor, piece: Cut, model: Model, tick: Tick) -> np.ndarray:
    """Latents of a stage decoded, at the timeline's rate: what the cut says, or a new part of its exact length."""
    chain, window, output = job.chain, job.chain.windows[index], job.chain.render.output
    codec = Codec(model.codec)
    with job.clock.measure("decode"):
        with job.workshop.pool.residence.at_work(model, "codec"):
            decoded = codec.decode(latents, piece.first, piece.last, tick).numpy()
        chain.note(*codec.notes)
        if not chain.anchored(index):
            length = output.length or window.region_length
            sound = resample(decoded, limits.CODEC_RATE * chain.conform.speed, window.rate, length)
            return to_channels(sound, output.channels or 2)
        assert chain.facts is not None
        sound = resample(decoded, limits.CODEC_RATE, window.rate, piece.skip + piece.length)[:, piece.skip :]
        return to_channels(sound, chain.facts.channels)


def _masked(job: Job, index: int, takes: list[np.ndarray], heard: np.ndarray, piece: Cut) -> np.ndarray:
    """The takes of a stem as part of what the stage worked on: the source's own samples, or the sound of the stage before."""
    chain, window = job.chain, job.chain.windows[index]
    mix = heard
    if chain.input_of(index) is None and chain.source is not None:
        first = window.start + frame_samples(piece.first, window.rate) + piece.skip
        mix = read_window(chain.source.path, chain.source.layout, first, piece.length)
    return masked(takes, mix, heard, window.rate, job.context.check)
