"""A run that is stored in its middle, and gone on with: what is kept, and whether it fits the run that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from acestep.api.errors import BadLatent, NotFound
from acestep.api.limits import LATENT_CHANNELS
from acestep.api.resolve import ResolvedStage
from acestep.api.stored_step import check_stored_step
from acestep.audio.latent_header import SUFFIX
from acestep.audio.latent_store import find_latent
from acestep.checkpoints.load import Model
from acestep.denoising.request import Snapshot
from acestep.engine.chain import Job
from acestep.engine.geometry import FRAMES_PER_SECOND
from acestep.engine.latents import load_latent, pack_snapshot, unpack_snapshot
from acestep.engine.store import save_stage_latent


@contextmanager
def resuming() -> Iterator[None]:
    """Errors about a stored latent name the field that asked for it."""
    try:
        yield
    except (BadLatent, NotFound) as failure:
        failure.field = "resume"
        raise


def keep_step(job: Job, place: tuple[int, int], model: Model, snapshot: Snapshot) -> None:
    """Store the state of ``place`` (stage, variant) after the step that the stage names."""
    index, variant = place
    stage = job.chain.stages[index]
    if stage.params.checkpoint_step != snapshot.index + 1:
        return
    tensors, state = pack_snapshot(snapshot)
    name = f"{index + 1}-{stage.stage.type}-{variant + 1}-step-{snapshot.index + 1}{SUFFIX}"
    checkpoint = {"stage": index, **state}
    job.chain.files.append(
        save_stage_latent(job, place, model, snapshot.x0, name, checkpoint=checkpoint, tensors=tensors)
    )


def load_step(job: Job, index: int, model: Model) -> Snapshot:
    """The state that stage ``index`` goes on from.

    Raises `NotFound`, `BadLatent` when the latent is no stored step or one of another run, `BadRequest` for a `checkpoint_step`
    that already lies behind it.
    """
    stage, frames = job.chain.stages[index], job.chain.windows[index].frames
    name = stage.params.resume
    with resuming():
        path = find_latent(Path(job.resources.settings["library"]), name)
        _, facts, tensors = load_latent(path, model.info.latent_family)
        check_stored_step(name, facts, stage, model.digest)
        _check_length(name, facts.frames, frames)
        snapshot = unpack_snapshot(tensors, facts.checkpoint or {})
        _check_state(name, snapshot, stage, frames)
    return snapshot


def _check_length(name: str, stored: int, frames: int) -> None:
    if stored == frames:
        return
    lengths = [f"{count / FRAMES_PER_SECOND:.2f} s ({count} frames)" for count in (stored, frames)]
    raise BadLatent(f"{name} was stored with a length of {lengths[0]}, and this stage works on {lengths[1]}")


def _check_state(name: str, snapshot: Snapshot, stage: ResolvedStage, frames: int) -> None:
    """The tensors are there, in the shape of one item, and one guidance state for it where it is guided."""
    parts = [snapshot.x, snapshot.x0]
    if stage.params.velocity_average:
        parts.append(snapshot.velocity)
    shaped = all(isinstance(part, Tensor) and part.shape == (1, frames, LATENT_CHANNELS) for part in parts)
    guided = stage.guidance.needs_uncond and (stage.params.guidance_scale or 1.0) > 1.0
    if not shaped or not isinstance(snapshot.sampler, dict) or len(snapshot.guidance) != int(guided):
        raise BadLatent(f"{name} contradicts its own description: its state is not that of a run of {frames} frames")
