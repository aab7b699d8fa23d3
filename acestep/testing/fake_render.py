"""What the fake backend makes of a render: the engine's own admission, recipe and delivery around tones instead of music.

Only the sound and the digests of codec and latents are made up. Everything else takes the engine's own way, so its documents
cannot drift from the engine's.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save_file

from acestep.admission.admitted import Admitted
from acestep.admission.recipe import read_recipe
from acestep.admission.render import RenderAdmission
from acestep.api import limits
from acestep.api.family import Families
from acestep.api.formats import exact_format
from acestep.api.request import Role
from acestep.api.resolve import ResolvedStage, resolve_stage, with_words
from acestep.api.result import ResultFile, StageReport
from acestep.api.rounding import samples
from acestep.api.variants import ModelInfo
from acestep.audio.latent_header import KEY, SUFFIX, LatentFacts
from acestep.audio.read import read_window
from acestep.audio.sniff import sniff
from acestep.audio.splice import Handles, clamp_handles, place_crossfades
from acestep.audio.write import digest
from acestep.checkpoints.families import find_models
from acestep.checkpoints.info import EMBEDDED, checkpoint_folders, find_checkpoint
from acestep.checkpoints.installed import fingerprint as weights_fingerprint
from acestep.engine.deliver import Delivery, VariantSound, WriteSpec, file_stem, stem_notes
from acestep.engine.geometry import Window, new_window, source_window
from acestep.engine.host_info import WorkerHostInfo, locate_source
from acestep.engine.recipe import make_recipe, stage_settings
from acestep.worker.backend import JobContext

PHASES = ("load", "encode", "denoise", "decode", "write")
FAKE = "fake"
PRECISION = "float32"
MODEL: Any = SimpleNamespace(codec_digest=FAKE, text_digest=FAKE, device=SimpleNamespace(type=FAKE), dtype=PRECISION)
"""What a recipe says it ran on."""

FOR_STAGES = ".stages"
"""Folder of the files that later stages work on."""

SPLICED = frozenset({"patch", "span", "whole"})

BANDS = 23
"""Of a stereo width (`acestep.codec.width.BANDS`, which would load torch)."""


def host_info(settings: Mapping[str, Any], families: Families) -> WorkerHostInfo:
    """The machine as a fake worker sees it; a model that is not on the disk is taken for one like the embedded model."""

    def model(name: str) -> ModelInfo:
        folders = checkpoint_folders(*map(Path, settings.get("checkpoints") or ()), EMBEDDED)
        wanted = name or str(settings.get("model") or "")
        known = {info.name: info for info in find_models(folders, families)}
        if wanted in known:
            return known[wanted]
        embedded = find_checkpoint("nano", [EMBEDDED])
        return msgspec.structs.replace(embedded, name=name) if name else embedded

    return WorkerHostInfo(settings, model)


@dataclass
class FakeRender:
    """One render, admitted and resolved as the engine does it."""

    admitted: Admitted
    stages: list[ResolvedStage]
    settings: Mapping[str, Any]
    context: JobContext
    recipe: dict[str, Any] = field(default_factory=dict)
    made: dict[int, list[Path]] = field(default_factory=dict)
    """By stage: the files that later stages work on, one for each variant."""
    heard: list[str] = field(default_factory=list)
    """What the files that were written have to say."""

    @classmethod
    def of(cls, request: Mapping[str, Any], context: JobContext, settings: Mapping[str, Any]) -> FakeRender:
        """Raises what the engine's admission raises."""
        host = host_info(settings, context.registry.families)
        asked = read_recipe(context.registry, request)
        if context.planned is not None:
            asked = context.planned.settle(asked)
        admitted = RenderAdmission(context.registry, host, asked).run()
        stages = [
            with_words(
                resolve_stage(context.registry, stage, plan, host.model(stage.params.model)),
                admitted.render.conditioning,
            )
            for stage, plan in zip(admitted.render.stages, admitted.plans, strict=True)
        ]
        found = cls(admitted, stages, settings, context)
        render = msgspec.structs.replace(
            admitted.render,
            stages=tuple(stage.stage for stage in stages),
            weights={name: weights_fingerprint(host.model(name)) for name in found.models},
            made_on=f"{FAKE} {PRECISION}",
            precision=dict.fromkeys(found.models, PRECISION),
        )
        licenses = {stage.params.model: stage.model.license for stage in stages}
        found.recipe = {**make_recipe(render, MODEL), "licenses": licenses, **found._width()}
        return found

    def _width(self) -> dict[str, Any]:
        """What the engine's recipe says of the stereo width; tones are mono, so there is nothing to measure."""
        output, last, facts = self.admitted.render.output, self.stages[-1], self._facts(len(self.stages) - 1)
        channels = output.channels if facts is None else facts.channels
        if not last.model.defaults.narrow or output.width == "model" or channels == 1:
            return {}
        if facts is None or not last.plan.splice:
            return {} if last.plan.residual and facts is not None else {"width": {"from": "new part"}}
        if last.plan.silence_region:
            return {"width": {"from": "surroundings", "pan": [0.0] * BANDS, "spread": [0.0] * BANDS}}
        return {"width": {"from": "source"}}

    @property
    def types(self) -> list[str]:
        """The stages' types, in order."""
        return [stage.stage.type for stage in self.stages]

    @property
    def models(self) -> list[str]:
        """The stages' models, in order."""
        return [stage.params.model for stage in self.stages]

    @property
    def notes(self) -> tuple[str, ...]:
        """What admission, the stages and the files have to say."""
        own = [note for stage in self.stages for note in (*stage.plan.notes, *stage.notes)]
        return tuple(dict.fromkeys([*self.admitted.notes, *own, *self.heard]))

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seed of every variant."""
        last = self.stages[-1].params
        return tuple(last.seeds or [last.seed])

    def reports(self, seconds: float) -> tuple[StageReport, ...]:
        """What each stage did, with the time shared out evenly."""
        share = round(seconds / len(self.stages) / len(PHASES), 4)
        return tuple(
            StageReport(
                type=stage.stage.type,
                model=stage.params.model,
                settings={**stage_settings(stage), "precision": PRECISION},
                seconds=dict.fromkeys(PHASES, share),
            )
            for stage in self.stages
        )

    def files(self) -> tuple[ResultFile, ...]:
        """Tones in place of the model's sound, written, placed and spliced by the engine's own code."""
        made = [file for index in range(len(self.stages)) for file in self._stage(index)]
        shutil.rmtree(self.context.staging / FOR_STAGES, ignore_errors=True)
        return tuple(made)

    def checks(self) -> list[dict[str, Any]]:
        """What the engine's check of new parts would say of tones: that they can be heard, and nothing else."""
        found = []
        for index, stage in enumerate(self.stages):
            if self.admitted.render.output.check == "off" or stage.plan.soft_mask or not self._roles(index):
                continue
            for variant in range(self.admitted.render.output.variants):
                heard = {"loudness": -20.0, "peak": -6.0}
                one = {"stage": index + 1, "variant": variant, "seed": self._seed(index, variant)}
                found.append({**one, "heard": heard, "problems": []})
        return found

    def _stage(self, index: int) -> Iterator[ResultFile]:
        """What a stage returns or shows on the way; what later stages need is written beside."""
        roles, stage = self._roles(index), self.stages[index]
        for variant in range(self.admitted.render.output.variants):
            if roles:
                yield from self._return(index, variant, roles)
            elif stage.params.preview:
                spec = _exact(self._write_spec(index, variant, ("part",), f"{index + 1}-{stage.stage.type}-preview"))
                (file,) = self._write(index, variant, spec)
                file = msgspec.structs.replace(file, preview=True)
                self.context.preview(msgspec.to_builtins(file))
                yield file
            if self._feeds(index):
                role: Role = "whole" if stage.plan.splice and self._facts(index) is not None else "part"
                folder = self.context.staging / FOR_STAGES
                folder.mkdir(exist_ok=True)
                spec = _exact(self._write_spec(index, variant, (role,), str(index + 1), folder))
                (kept,) = self._write(index, variant, spec)
                self.made.setdefault(index, []).append(folder / kept.name)

    def _return(self, index: int, variant: int, roles: Sequence[Role]) -> Iterator[ResultFile]:
        spec = self._write_spec(index, variant, roles, self._name(index))
        made = self._write(index, variant, spec)
        yield from made
        if "latent" in roles:
            yield write_latent(
                spec, (variant, self._seed(index, variant)), self._window(index), self.stages[index].model
            )
        if self.stages[index].params.preview and index < len(self.stages) - 1:
            for file in made:
                self.context.preview(msgspec.to_builtins(file))

    def _write(self, index: int, variant: int, spec: WriteSpec) -> list[ResultFile]:
        length = spec.handles.before + spec.length + spec.handles.after
        channels = spec.layout.channels if spec.layout is not None else spec.output.channels or 2
        seed = self._seed(index, variant)
        sound = tone(spec.rate, channels, length, seed)
        if self.stages[index].plan.soft_mask and spec.path is not None and spec.layout is not None:
            sound *= read_window(spec.path, spec.layout, spec.start, spec.length).any()  # nothing comes out of silence
        if "stem" in (spec.output.returns or ()):
            self.heard += stem_notes(spec.track, sound, spec.rate)
        made = VariantSound(index=variant, seed=seed, samples=sound)
        return Delivery(spec, self.context.check).write(made)

    def _write_spec(
        self, index: int, variant: int, roles: Sequence[Role], name: str, folder: Path | None = None
    ) -> WriteSpec:
        """Where the files of a stage lie: on the timeline of what it works on, or on one of their own."""
        render, stage, facts = self.admitted.render, self.stages[index], self._facts(index)
        output = msgspec.structs.replace(render.output, returns=list(roles), name=name)
        shared: dict[str, Any] = {
            "folder": folder or self.context.staging,
            "stage": stage.stage.type,
            "number": index + 1,
            "output": output,
            "conditioning": render.conditioning,
            "track": str(getattr(stage.params, "track", "")),
            "recipe": self.recipe,
        }
        if facts is None:
            rate = output.rate or limits.CODEC_RATE
            return WriteSpec(rate=rate, start=0, length=output.frames or rate, handles=Handles(0, 0), **shared)
        handles = fades = Handles(0, 0)
        if SPLICED & set(roles) or (stage.plan.splice and self._feeds(index)):
            crossfade = samples(output.crossfade / 1000, facts.rate)
            reach = clamp_handles(facts.start, facts.length, facts.frames, crossfade)
            handles, fades = place_crossfades(reach, facts.length, output.crossfade_side)
        path = self._sound(index, variant)
        place = {"rate": facts.rate, "start": facts.start, "length": facts.length, "handles": handles, "fades": fades}
        return WriteSpec(path=path, layout=sniff(path), **place, **shared)

    def _sound(self, index: int, variant: int) -> Path:
        """The file on whose timeline a stage lies."""
        given = self.admitted.inputs[index]
        if given.latent is not None:
            return self._sound(given.latent, variant)
        if given.stage is not None:
            made = self.made[given.stage]
            return made[min(variant, len(made) - 1)]
        assert given.source is not None
        return locate_source(given.source, self.settings)

    def _facts(self, index: int) -> Any:
        return self.admitted.inputs[index].facts

    def _roles(self, index: int) -> tuple[Role, ...]:
        last = index == len(self.stages) - 1
        return tuple((self.admitted.render.output.returns if last else self.stages[index].stage.returns) or ())

    def _feeds(self, index: int) -> bool:
        return any(given.stage == index for given in self.admitted.inputs)

    def _name(self, index: int) -> str:
        """What a stage's files are called: as the job says, and numbered where several stages return files."""
        name, stage = self.admitted.render.output.name, self.stages[index]
        if sum(bool(self._roles(number)) for number in range(len(self.stages))) == 1:
            return name
        track = str(getattr(stage.params, "track", ""))
        return "-".join(filter(None, [str(index + 1), name or stage.stage.type, track]))

    def _seed(self, index: int, variant: int) -> int:
        seeds = self.stages[index].params.seeds or [self.stages[index].params.seed]
        return seeds[min(variant, len(seeds) - 1)]

    def _window(self, index: int) -> Window:
        """What the engine would work on, but for its correction of fractional tempi."""
        output, given, facts = self.admitted.render.output, self.admitted.inputs[index], self._facts(index)
        if facts is None:
            rate = output.rate or limits.CODEC_RATE
            return new_window(output.frames or rate, rate)
        context = given.source.context if given.source is not None else limits.CONTEXT_SECONDS
        return source_window(facts, max(context, output.crossfade / 1000 + 0.1), around=self.stages[index].plan.context)


def _exact(spec: WriteSpec) -> WriteSpec:
    """The spec without lossy copies."""
    form = exact_format(spec.output.format).name
    return dataclasses.replace(spec, output=msgspec.structs.replace(spec.output, format=form))


GOLDEN_RATIO = 0.6180339887498949
"""Its multiples fill an octave without ever meeting."""


def tone(rate: int, channels: int, length: int, seed: int) -> np.ndarray:
    """A quiet tone, float32 [channels, length]; every seed has a pitch of its own, so that no two takes agree by chance."""
    hertz = 220.0 * 2 ** (seed * GOLDEN_RATIO % 1)
    wave = 0.1 * np.sin(2 * np.pi * hertz / rate * np.arange(length))
    return np.repeat(wave[None].astype(np.float32), channels, axis=0)


def write_latent(spec: WriteSpec, made: tuple[int, int], window: Window, model: ModelInfo) -> ResultFile:
    """A latent of zeros for a variant (its number and seed), described as the engine describes its own."""
    variant, seed = made
    path = spec.folder / (file_stem(spec, variant, "latent") + SUFFIX)
    channels = spec.layout.channels if spec.layout is not None else spec.output.channels or 2
    length = window.grid.samples(window.frames, window.rate)
    facts = LatentFacts(
        family=model.latent_family,
        codec=FAKE,
        model=model.name,
        weights=FAKE,
        frames=window.frames,
        rate=window.rate,
        channels=channels,
        samples=length if spec.layout is not None else min(length, window.region_length),
        start=window.start,
        region=(window.region_start, window.region_length),
        caption=spec.conditioning.caption,
        seed=seed,
        recipe=spec.recipe,
    )
    latent = np.zeros((1, window.frames, 64), np.float32)
    save_file({"latent": latent}, path, metadata={KEY: msgspec.json.encode(facts).decode()})
    return ResultFile(
        role="latent",
        name=path.name,
        rate=window.rate,
        channels=channels,
        start=window.start,
        length=facts.samples,
        variant=variant,
        stage=spec.number,
        seed=seed,
        lead_in=window.region_start,
        subtype=facts.family,
        sha256=digest(path),
    )
