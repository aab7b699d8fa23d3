"""From a stage's latents to its files: decode what is needed, trim to the sample, hand over to `acestep.engine.deliver`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from torch import Tensor

from acestep.api import limits
from acestep.api.formats import exact_format
from acestep.api.request import Role
from acestep.api.result import ResultFile
from acestep.api.rounding import half_up
from acestep.audio.copies import copy_notes
from acestep.audio.latent_header import SUFFIX
from acestep.audio.read import read_window
from acestep.audio.resample import resample, to_channels
from acestep.audio.splice import Handles, clamp_handles, place_crossfades
from acestep.checkpoints.load import Model
from acestep.codec.codec import Codec
from acestep.codec.mask import masked
from acestep.engine.chain import Chain, Job
from acestep.engine.checking import checked
from acestep.engine.deliver import Delivery, VariantSound, WriteSpec, file_stem, level_notes
from acestep.engine.geometry import Cut, cut, frame_samples
from acestep.engine.level import LEVELLED, clip_notes, level_gain, stem_notes, unlevelled_notes
from acestep.engine.progress import Tick, part_of
from acestep.engine.store import save_stage_latent
from acestep.engine.takes import remake_take

FOR_STAGES = ".stages"
"""Folder of the files that later stages work on; gone when the job ends."""

SPLICED = frozenset({"patch", "span", "whole"})
"""Roles that hold the edit inside the source's own samples."""


MONO_PART = "the part is mono as asked: the model's stereo was mixed down"
MONO_SOURCE = "the source is mono, so the stereo that the model makes was mixed down to it"


@dataclass(frozen=True)
class Material:
    """What a stage made, [passes, T, 64] for each variant, and what it worked on, [1, T, 64]: one for all, one each or none."""

    passes: list[Tensor]
    given: list[Tensor]


def finish(job: Job, index: int, model: Model, material: Material) -> None:
    """Decode every variant of a stage and write what is wanted of it: what it returns, a preview, a file for later stages."""
    roles = job.chain.roles(index)
    piece = cut(job.chain.windows[index], _placed_crossfades(job.chain, index)[0])
    sounds = _sounds(job, index, model, material, piece)

    made = {(variant, job.chain.seed(index, variant)): passes for variant, passes in enumerate(material.passes)}

    def remake(variant: int, name: str) -> VariantSound:
        """A variant with the seed (a name: made again) and the speed that the chain has for it now."""
        seed = job.chain.seed(index, variant)
        if name and (variant, seed) not in made:
            made[variant, seed] = remake_take(job, index, model, material.given, (variant, name))
        material.passes[variant] = made[variant, seed]
        job.chain.latents[index][variant] = made[variant, seed].mean(0, keepdim=True)
        latents = material.passes[variant][:1]
        tick = job.meter.phase("decode") if name else (lambda done, of: job.context.check())
        return VariantSound(
            index=variant,
            seed=seed,
            samples=_sound(job, index, latents, piece, model, tick),
        )

    for variant in checked(job, index, model, sounds, remake):
        tick = job.meter.phase("write")
        with job.clock.measure("write"):
            if roles:
                _return(job, index, model, variant)
            elif job.chain.stages[index].params.preview:
                _preview(job, index, variant)
            if job.chain.feeds(index):
                _keep_for_stages(job, index, model, variant)
            tick(1, 1)


def _return(job: Job, index: int, model: Model, variant: VariantSound) -> None:
    """The files that a stage returns, and its latent, which is listed only if it was asked for."""
    chain, roles = job.chain, job.chain.roles(index)
    spec = _levelled(job, _write_spec(job, index, variant.index, roles, _name(chain, index)), variant)
    made = Delivery(spec, job.context.check).write(variant)
    if "latent" in roles or job.resources.settings.get("keep_latents", True):
        latent = _save_latent(job, index, model, spec, variant.index, made)
        made += [latent] if "latent" in roles else []
    chain.files += made
    if "stem" in roles:
        chain.note(*stem_notes(spec.track, variant.samples, spec.rate))
    chain.note(*copy_notes(made), *level_notes(made, spec.output.format), *clip_notes(made))
    if chain.stages[index].params.preview and index < len(chain.stages) - 1:
        for file in made:
            job.context.preview(msgspec.to_builtins(file))


def _levelled(job: Job, spec: WriteSpec, variant: VariantSound) -> WriteSpec:
    """The spec with the gain that brings its part to the wished level."""
    job.chain.note(*unlevelled_notes(spec.output, spec.output.returns or []))
    if LEVELLED not in (spec.output.returns or []):
        return spec
    part = variant.samples[:, spec.handles.before : spec.handles.before + spec.length]
    gain, note = level_gain(spec.output, part, spec.rate)
    job.chain.note(*filter(None, [note]))
    return dataclasses.replace(spec, gain=gain)


def _preview(job: Job, index: int, variant: VariantSound) -> None:
    """A stage on the way as a sound of its own; the daemon is told that it is there."""
    stage = job.chain.stages[index].stage.type
    spec = _exact(_write_spec(job, index, variant.index, ("part",), f"{index + 1}-{stage}-preview"))
    (made,) = Delivery(spec, job.context.check).write(variant)
    file = msgspec.structs.replace(made, preview=True)
    job.chain.files.append(file)
    job.context.preview(msgspec.to_builtins(file))


def _keep_for_stages(job: Job, index: int, model: Model, variant: VariantSound) -> None:
    """What the stage would return as a job of its own, with its latent beside it, where a later stage finds both."""
    chain = job.chain
    inner = dataclasses.replace(job, context=job.context.within(job.context.staging / FOR_STAGES))
    inner.context.staging.mkdir(exist_ok=True)
    role: Role = "whole" if chain.stages[index].plan.splice and chain.facts(index) is not None else "part"
    spec = _exact(_write_spec(inner, index, variant.index, (role,), str(index + 1)))
    made = Delivery(spec, job.context.check).write(variant)
    _save_latent(inner, index, model, spec, variant.index, made)
    chain.made.setdefault(index, []).append(inner.context.staging / made[0].name)


def _exact(spec: WriteSpec) -> WriteSpec:
    """The spec without lossy copies."""
    form = exact_format(spec.output.format).name
    return dataclasses.replace(spec, output=msgspec.structs.replace(spec.output, format=form))


def _save_latent(
    job: Job, index: int, model: Model, spec: WriteSpec, variant: int, made: list[ResultFile]
) -> ResultFile:
    name = file_stem(spec, variant, "latent") + SUFFIX
    latents = job.chain.latents[index][variant]
    return save_stage_latent(job, (index, variant), model, latents, name, made=made)


def _name(chain: Chain, index: int) -> str:
    """What a stage's files are called: as the job says, and numbered where several stages return files."""
    name, stage = chain.render.output.name, chain.stages[index]
    if sum(bool(chain.roles(number)) for number in range(len(chain.stages))) == 1:
        return name
    track = str(getattr(stage.params, "track", ""))
    return "-".join(filter(None, [str(index + 1), name or stage.stage.type, track]))


def _placed_crossfades(chain: Chain, index: int) -> tuple[Handles, Handles]:
    """How far a stage's crossfades reach outside its region, and how far inside."""
    facts = chain.facts(index)
    length = 0 if facts is None else facts.length
    return place_crossfades(_crossfades(chain, index), length, chain.render.output.crossfade_side)


def _crossfades(chain: Chain, index: int) -> Handles:
    """The crossfades of a stage at both edges; none where it is not put into a source or where the file ends."""
    facts, plan = chain.facts(index), chain.stages[index].plan
    if facts is None or not (SPLICED & set(chain.roles(index)) or (plan.splice and chain.feeds(index))):
        return Handles(0, 0)
    crossfade = half_up(chain.render.output.crossfade * facts.rate / 1000)
    return clamp_handles(facts.start, facts.length, facts.frames, crossfade)


def _write_spec(job: Job, index: int, variant: int, roles: Sequence[Role], name: str) -> WriteSpec:
    """What is written for a variant of a stage, and where it lies."""
    chain, stage, window = job.chain, job.chain.stages[index], job.chain.windows[index]
    output = msgspec.structs.replace(chain.render.output, returns=list(roles), name=name)
    handles, fades = _placed_crossfades(chain, index)
    shared: dict[str, Any] = {
        "folder": job.context.staging,
        "stage": stage.stage.type,
        "number": index + 1,
        "output": output,
        "conditioning": chain.render.conditioning,
        "track": str(getattr(stage.params, "track", "")),
        "recipe": chain.recipe,
        "handles": handles,
        "fades": fades,
    }
    facts, sound = chain.facts(index), chain.sound_of(index, variant)
    if facts is None or sound is None:
        length = output.length or window.region_length
        return WriteSpec(rate=output.rate or limits.CODEC_RATE, start=0, length=length, **shared)
    place = {"rate": facts.rate, "start": facts.start, "length": facts.length}
    return WriteSpec(path=sound.path, layout=sound.layout, **place, **shared)


def _sounds(job: Job, index: int, model: Model, material: Material, piece: Cut) -> Iterator[VariantSound]:
    """Every variant of a stage as sound. A masked stage's is what its passes cut out of what it worked on."""
    chain = job.chain
    silent_tick: Tick = lambda done, of: job.context.check()  # noqa: E731
    masks = chain.stages[index].plan.soft_mask
    heard = [_sound(job, index, latents, piece, model, silent_tick) for latents in material.given if masks]
    for variant, passes in enumerate(material.passes):
        tick, count = job.meter.phase("decode"), len(passes)
        mix_heard = heard[min(variant, len(heard) - 1)] if heard else None
        sounds = [
            _sound(job, index, latents, piece, model, part_of(tick, number, count))
            for number, latents in enumerate(passes.split(1))
        ]
        sound = sounds[0]
        if mix_heard is not None:
            with job.clock.measure("decode"):
                sound = _masked(job, (index, variant), sounds, mix_heard, piece)
        yield VariantSound(index=variant, seed=chain.seed(index, variant), samples=sound)


def _sound(job: Job, index: int, latents: Tensor, piece: Cut, model: Model, tick: Tick) -> np.ndarray:
    """Latents of a stage decoded, at the timeline's rate: what the cut says, or a new part of its exact length."""
    chain, window, output = job.chain, job.chain.windows[index], job.chain.render.output
    codec = Codec(model.codec)
    with job.clock.measure("decode"):
        with job.resources.pool.placement.on_device(model, "codec"):
            decoded = codec.decode(latents, piece.first, piece.last, tick).numpy()
        chain.note(*codec.notes)
        facts = chain.facts(index)
        if (output.channels if facts is None else facts.channels) == 1:
            chain.note(MONO_PART if facts is None else MONO_SOURCE)
        if facts is None:
            length = output.length or window.region_length
            sound = resample(decoded, limits.CODEC_RATE * chain.conform.speed, window.rate, length)
            return to_channels(sound, output.channels or 2)
        sound = resample(decoded, limits.CODEC_RATE, window.rate, piece.skip + piece.length)[:, piece.skip :]
        return to_channels(sound, facts.channels)


def _masked(job: Job, place: tuple[int, int], passes: list[np.ndarray], heard: np.ndarray, piece: Cut) -> np.ndarray:
    """The passes of ``place`` (stage, variant) as part of what the stage worked on: the source's own samples, or the sound of the
    stage before."""
    index, variant = place
    window, mix = job.chain.windows[index], heard
    sound = job.chain.sound_of(index, variant) if job.chain.input_of(index) is None else None
    if sound is not None:
        first = window.start + frame_samples(piece.first, window.rate) + piece.skip
        mix = read_window(sound.path, sound.layout, first, piece.length)
    return masked(passes, mix, heard, window.rate, job.context.check)
