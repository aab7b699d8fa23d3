"""Puts a stage's latent beside the sound of the result, with everything that is needed to go on from it."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from acestep.api.result import ResultFile
from acestep.audio.latent_header import Companion, LatentFacts
from acestep.checkpoints.load import Model
from acestep.engine.chain import Job
from acestep.engine.geometry import Window, frame_samples, region_frames
from acestep.engine.latents import save_latent


def save_stage_latent(
    job: Job,
    place: tuple[int, int],
    model: Model,
    latents: Tensor,
    name: str,
    *,
    made: list[ResultFile] | None = None,
    checkpoint: dict[str, Any] | None = None,
    tensors: dict[str, Tensor] | None = None,
) -> ResultFile:
    """Write the latent of ``place`` (stage, variant) beside the result's files; returns how it is listed among them.

    ``made`` are the sound files decoded from it; ``checkpoint`` and ``tensors`` the state of a run in its middle.
    """
    window = job.chain.windows[place[0]]
    facts = _facts(job, place, model, made or [], checkpoint)
    digest = save_latent(job.context.staging / name, latents, facts, tensors)
    return ResultFile(
        role="latent",
        name=name,
        rate=window.rate,
        channels=facts.channels,
        start=window.start,
        length=facts.samples,
        variant=place[1],
        stage=place[0] + 1,
        seed=facts.seed,
        lead_in=window.region_start,
        subtype=facts.family,
        sha256=digest,
    )


def _facts(
    job: Job, place: tuple[int, int], model: Model, made: list[ResultFile], checkpoint: dict[str, Any] | None
) -> LatentFacts:
    chain = job.chain
    index, variant = place
    window = chain.windows[index]
    samples = frame_samples(window.frames, window.rate)
    channels = chain.render.output.channels or 2
    facts = chain.facts(index)
    if facts is None:
        samples = min(samples, window.region_length)
    else:
        channels = facts.channels
    return LatentFacts(
        family=model.info.latent_family,
        codec=model.codec_digest,
        model=model.info.name,
        weights=model.digest,
        frames=window.frames,
        rate=window.rate,
        channels=channels,
        samples=samples,
        start=window.start,
        region=(window.region_start, window.region_length),
        caption=chain.render.conditioning.caption,
        seed=chain.seed(index, variant),
        trained=model.info.trained,
        audio=_companions(job, place, made, window),
        recipe=chain.recipe,
        checkpoint=checkpoint,
    )


REUSABLE = ("part", "stem", "patch", "span", "whole")
"""Roles of files that hold what the latent says."""


def _companions(job: Job, place: tuple[int, int], made: list[ResultFile], window: Window) -> tuple[Companion, ...]:
    """The sound files that hold what the latent says, at the same rate and tempo.

    Of an edit that is the region's whole frames: what stands around it is the source's own sound. A masked stem is not what
    its latent decodes to.
    """
    if (
        job.chain.conform.speed != 1.0
        or job.chain.render.output.level != "leave"
        or job.chain.stages[place[0]].plan.soft_mask
    ):
        return ()
    frames = region_frames(window) if job.chain.facts(place[0]) is not None else None
    return tuple(
        Companion(
            name=file.name,
            sha256=file.sha256,
            bytes=(job.context.staging / file.name).stat().st_size,
            offset=file.start - window.start,
            frames=frames,
        )
        for file in made
        if file.role in REUSABLE and file.rate == window.rate
    )
