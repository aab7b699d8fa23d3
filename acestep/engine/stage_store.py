"""A stage's latent beside the sound of the result, with everything that is needed to go on from it: when the stage is done, and
after a step in its middle.

A step is gone on with in a run of the same kind only; what does not fit is refused before any work.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from acestep.api.errors import BadLatent, NotFound
from acestep.api.resolve import ResolvedStage
from acestep.api.result import ResultFile
from acestep.api.stored_step import check_stored_step
from acestep.audio.latent_header import SUFFIX, Companion, LatentFacts
from acestep.denoising.denoising_run import Snapshot
from acestep.engine.geometry import Window, region_frames
from acestep.engine.render_state import StageState
from acestep.latents.latent_file import load_latent, pack_snapshot, save_latent, unpack_snapshot
from acestep.latents.latent_store import find_latent

REUSABLE = ("part", "stem", "patch", "span", "whole")
"""Roles of files that hold what the latent says."""


def save_stage_latent(
    stage: StageState,
    variant: int,
    latents: Tensor,
    path: Path,
    *,
    made: list[ResultFile] | None = None,
    stored_run: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
) -> ResultFile:
    """Write the latent of a variant to ``path``; returns how it is listed among the result's files.

    ``made`` are the sound files in the same folder that were decoded from it; ``stored_run`` is the state of a run in its middle,
    as tensors and a plain map.
    """
    tensors, checkpoint = stored_run or (None, None)
    facts = _facts(stage, variant, _companions(stage, made or [], path.parent), checkpoint)
    digest = save_latent(path, latents, facts, tensors)
    return ResultFile(
        role="latent",
        name=path.name,
        rate=stage.window.rate,
        channels=facts.channels,
        start=stage.window.start,
        length=facts.samples,
        variant=variant,
        stage=stage.index + 1,
        seed=facts.seed,
        lead_in=stage.window.region_start,
        subtype=facts.family,
        sha256=digest,
    )


def _facts(
    stage: StageState, variant: int, companions: tuple[Companion, ...], checkpoint: dict[str, Any] | None
) -> LatentFacts:
    window, model, state = stage.window, stage.model, stage.state
    samples = window.grid.samples(window.frames, window.rate)
    if stage.facts is None:
        # frames are whole pairs and the model has a minimum: the latent is longer than the part that was asked for
        samples = min(samples, window.region_length)
    channels = (state.render.output.channels or 2) if stage.facts is None else stage.facts.channels
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
        caption=state.render.conditioning.caption,
        seed=stage.seed(variant),
        trained=model.info.trained,
        audio=companions,
        recipe=state.recipe,
        checkpoint=checkpoint,
    )


def _companions(stage: StageState, made: list[ResultFile], folder: Path) -> tuple[Companion, ...]:
    """The sound files that hold what the latent says, at the same rate and tempo.

    Of an edit that is the region's whole frames: what stands around it is the source's own sound. A masked stem is not what
    its latent decodes to.
    """
    output, window = stage.state.render.output, stage.window
    if stage.state.conform.speed != 1.0 or output.level != "leave" or stage.plan.soft_mask:
        return ()
    frames = region_frames(window) if stage.facts is not None else None
    return tuple(
        Companion(
            name=file.name,
            sha256=file.sha256,
            bytes=(folder / file.name).stat().st_size,
            offset=file.start - window.start,
            frames=frames,
        )
        for file in made
        if file.role in REUSABLE and file.rate == window.rate
    )


@contextmanager
def resuming() -> Iterator[None]:
    """Errors about a stored latent name the field that asked for it."""
    try:
        yield
    except (BadLatent, NotFound) as failure:
        failure.field = "resume"
        raise


def keep_step(stage: StageState, variant: int, snapshot: Snapshot) -> None:
    """Store the state of a variant after the step that the stage names."""
    reached = snapshot.index + 1
    if stage.params.checkpoint_step != reached:
        return
    tensors, plain = pack_snapshot(snapshot)
    name = f"{stage.index + 1}-{stage.type}-{variant + 1}-step-{reached}{SUFFIX}"
    stored_run = tensors, {"stage": stage.index, **plain}
    path = stage.run.context.staging / name
    # the estimate of the clean latent is what a listener can decode of a run in its middle
    stage.state.files.append(save_stage_latent(stage, variant, snapshot.x0, path, stored_run=stored_run))


def load_step(stage: StageState) -> Snapshot:
    """The state that a stage goes on from.

    Raises `NotFound`, `BadLatent` when the latent is not a stored step or one of another run, `BadRequest` for a `checkpoint_step`
    that already lies behind it.
    """
    name, resolved = stage.params.resume, stage.resolved
    with resuming():
        path = find_latent(Path(stage.resources.settings["library"]), name)
        _, facts, tensors = load_latent(path, stage.model.info.latent_family)
        check_stored_step(name, facts, resolved, stage.model.digest)
        _check_length(name, facts.frames, stage.window)
        snapshot = unpack_snapshot(tensors, facts.checkpoint or {})
        _check_state(name, snapshot, resolved, stage.window)
    return snapshot


def _check_length(name: str, stored: int, window: Window) -> None:
    if stored == window.frames:
        return
    lengths = [f"{window.grid.seconds(count):.2f} s ({count} frames)" for count in (stored, window.frames)]
    raise BadLatent(f"{name} was stored with a length of {lengths[0]}, and this stage works on {lengths[1]}")


def _check_state(name: str, snapshot: Snapshot, stage: ResolvedStage, window: Window) -> None:
    """The tensors are there, in the shape of one item, and one guidance state for it where it is guided."""
    frames, channels = window.frames, window.grid.channels
    parts: list[Tensor | None] = [snapshot.x, snapshot.x0]
    if stage.params.velocity_average:
        parts.append(snapshot.velocity)
    shaped = all(isinstance(part, Tensor) and part.shape == (1, frames, channels) for part in parts)
    guided = stage.guidance.needs_uncond and (stage.params.guidance_scale or 1.0) > 1.0
    if not shaped or not isinstance(snapshot.sampler, dict) or len(snapshot.guidance) != int(guided):
        raise BadLatent(f"{name} contradicts its own description: its state is not that of a run of {frames} frames")
