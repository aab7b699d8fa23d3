"""Writes what is wanted of a stage's variants: the files it returns, a preview, a file for later stages."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from acestep.api import limits
from acestep.api.formats import exact_format
from acestep.api.request import Role
from acestep.api.result import ResultFile
from acestep.api.rounding import samples
from acestep.audio.copies import copy_notes
from acestep.audio.latent_header import SUFFIX
from acestep.audio.splice import Handles, clamp_handles, place_crossfades
from acestep.engine.deliver import (
    LEVELLED,
    Delivery,
    VariantSound,
    WriteSpec,
    clip_notes,
    file_stem,
    level_gain,
    level_notes,
    stem_notes,
    unlevelled_notes,
)
from acestep.engine.render_state import StageState
from acestep.engine.stage_store import save_stage_latent

FOR_STAGES = ".stages"
"""Folder of the files that later stages work on; gone when the job ends."""

SPLICED = frozenset({"patch", "span", "whole"})
"""Roles that hold the edit inside the source's own samples."""


def crossfades_of(stage: StageState) -> tuple[Handles, Handles]:
    """How far a stage's crossfades reach outside its region, and how far inside."""
    facts, state = stage.facts, stage.state
    spliced = bool(SPLICED & set(stage.roles)) or (stage.plan.splice and state.feeds(stage.index))
    if facts is None or not spliced:
        return place_crossfades(Handles(0, 0), 0 if facts is None else facts.length, state.render.output.crossfade_side)
    crossfade = samples(state.render.output.crossfade / 1000, facts.rate)
    wanted = clamp_handles(facts.start, facts.length, facts.frames, crossfade)
    return place_crossfades(wanted, facts.length, state.render.output.crossfade_side)


@dataclasses.dataclass(frozen=True)
class StageFiles:
    """The files of one stage."""

    stage: StageState

    def write(self, variant: VariantSound) -> None:
        """Write everything that is wanted of a variant. Raises `DiskFull`, `OutputUnwritable`, `NumericFailure`."""
        stage = self.stage
        if stage.roles:
            self._return(variant)
        elif stage.params.preview:
            self._preview(variant)
        if stage.state.feeds(stage.index):
            self._keep_for_stages(variant)

    def _return(self, variant: VariantSound) -> None:
        """The files that a stage returns, and its latent, which is listed only if it was asked for."""
        stage, state, roles = self.stage, self.stage.state, self.stage.roles
        spec = self._levelled(self._spec(variant, roles, self._name()), variant)
        made = Delivery(spec, stage.check).write(variant)
        if "latent" in roles or stage.resources.settings.get("keep_latents", True):
            latent = self._save_latent(variant, spec, made)
            made += [latent] if "latent" in roles else []
        state.files += made
        if "stem" in roles:
            state.note(*stem_notes(spec.track, variant.samples, spec.rate))
        state.note(*copy_notes(made), *level_notes(made, spec.output.format), *clip_notes(made))
        if stage.params.preview and stage.index < len(state.stages) - 1:
            for file in made:
                stage.run.context.preview(msgspec.to_builtins(file))

    def _levelled(self, spec: WriteSpec, variant: VariantSound) -> WriteSpec:
        """The spec with the gain that brings its part to the level that was asked for."""
        roles = spec.output.returns or []
        self.stage.note(*unlevelled_notes(spec.output, roles))
        if LEVELLED not in roles:
            return spec
        part = variant.samples[:, spec.handles.before : spec.handles.before + spec.length]
        gain, note = level_gain(spec.output, part, spec.rate)
        self.stage.note(*filter(None, [note]))
        return dataclasses.replace(spec, gain=gain)

    def _preview(self, variant: VariantSound) -> None:
        """A stage on the way as a sound of its own; the daemon is told that it is there."""
        stage = self.stage
        spec = _exact(self._spec(variant, ("part",), f"{stage.index + 1}-{stage.type}-preview"))
        (made,) = Delivery(spec, stage.check).write(variant)
        file = msgspec.structs.replace(made, preview=True)
        stage.state.files.append(file)
        stage.run.context.preview(msgspec.to_builtins(file))

    def _keep_for_stages(self, variant: VariantSound) -> None:
        """What the stage would return as a job of its own, with its latent beside it, where a later stage finds both."""
        stage = self.stage
        folder = stage.run.context.staging / FOR_STAGES
        folder.mkdir(exist_ok=True)
        role: Role = "whole" if stage.plan.splice and stage.facts is not None else "part"
        spec = _exact(self._spec(variant, (role,), str(stage.index + 1), folder))
        made = Delivery(spec, stage.check).write(variant)
        self._save_latent(variant, spec, made)
        stage.state.made.setdefault(stage.index, []).append(folder / made[0].name)

    def _save_latent(self, variant: VariantSound, spec: WriteSpec, made: list[ResultFile]) -> ResultFile:
        path = spec.folder / (file_stem(spec, variant.index, "latent") + SUFFIX)
        latents = self.stage.state.latents[self.stage.index][variant.index]
        return save_stage_latent(self.stage, variant.index, latents, path, made=made)

    def _name(self) -> str:
        """What the files are called: as the job says, and numbered where several stages return files."""
        stage, state = self.stage, self.stage.state
        name = state.render.output.name
        if sum(bool(state.roles(number)) for number in range(len(state.stages))) == 1:
            return name
        return "-".join(filter(None, [str(stage.index + 1), name or stage.type, stage.track]))

    def _spec(self, variant: VariantSound, roles: Sequence[Role], name: str, folder: Path | None = None) -> WriteSpec:
        """What is written of a variant, and where it lies."""
        stage, render = self.stage, self.stage.state.render
        output = msgspec.structs.replace(render.output, returns=list(roles), name=name)
        handles, fades = crossfades_of(stage)
        shared: dict[str, Any] = {
            "folder": folder or stage.run.context.staging,
            "stage": stage.type,
            "number": stage.index + 1,
            "output": output,
            "conditioning": render.conditioning,
            "track": stage.track,
            "recipe": stage.state.recipe,
            "handles": handles,
            "fades": fades,
        }
        facts, sound = stage.facts, stage.sound_of(variant.index)
        if facts is None or sound is None:
            length = stage.state.part_length or stage.window.region_length
            return WriteSpec(rate=output.rate or limits.CODEC_RATE, start=0, length=length, **shared)
        shared |= {"path": sound.path, "layout": sound.layout}
        return WriteSpec(rate=facts.rate, start=facts.start, length=facts.length, **shared)


def _exact(spec: WriteSpec) -> WriteSpec:
    """The spec without lossy copies."""
    form = exact_format(spec.output.format).name
    return dataclasses.replace(spec, output=msgspec.structs.replace(spec.output, format=form))
