"""A render in progress: what a worker keeps between jobs, what a render knows of its stages so far, and how far it is."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from acestep.admission.chain import StageInput
from acestep.api import limits
from acestep.api.drum_wish import can_take_out
from acestep.api.errors import OutputUnwritable
from acestep.api.family import FamilyRuntime, StageTake, TakeGroup
from acestep.api.options import read_options
from acestep.api.plan import Plan, SourceFacts
from acestep.api.request import Render, Role, StageParams
from acestep.api.resolve import ResolvedStage
from acestep.api.result import ResultFile, StageReport
from acestep.codec.latent_codec import Tick
from acestep.engine.conditions import Conditions
from acestep.engine.geometry import Window
from acestep.engine.model_pool import ModelPool, OpenedModel
from acestep.engine.source_encoder import OpenSource, SourceEncoder
from acestep.engine.tempo import Conform, GuideTime
from acestep.worker.backend import JobContext

PHASES = {"load": 1.0, "encode": 1.0, "denoise": 6.0, "take out": 36.0, "decode": 2.0, "write": 0.3}
"""Shares of a job's time by kind of phase, roughly those of a turbo run on a GPU; what is taken out, of the small model."""

RETRIES = 2
"""Further seeds that are tried for a part that is not what was asked for."""


@dataclass
class EngineResources:
    """What a worker keeps between jobs."""

    settings: Mapping[str, Any]
    models: ModelPool
    source_encoder: SourceEncoder
    conditions: Conditions


@dataclass
class RenderState:
    """One render: its stages, and what has come of them. Lists by stage grow as stages are done."""

    render: Render
    stages: list[ResolvedStage]
    inputs: tuple[StageInput, ...]
    planning: bool = False
    """Whether the planner has its part in this render."""
    thought: dict[str, Any] = field(default_factory=dict)
    """What the planner thought, for the result; empty where nothing was planned."""
    conform: Conform = field(default_factory=Conform)
    guide_time: GuideTime | None = None
    """The time of the song that a guide follows, on the timeline of the stage that runs."""
    windows: list[Window] = field(default_factory=list)
    latents: list[list[Tensor]] = field(default_factory=list)
    """Per stage and variant, float32 [1, T, C] on the CPU."""
    reports: list[StageReport] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    """What was heard in each part (`acestep.engine.verdict`)."""
    notes: dict[str, None] = field(default_factory=dict)
    files: list[ResultFile] = field(default_factory=list)
    opened: dict[int, list[OpenSource]] = field(default_factory=dict)
    """By stage: the sound it works on, one for all variants or one each; stages that continue a latent have none of their own."""
    made: dict[int, list[Path]] = field(default_factory=dict)
    """By stage: the files that later stages work on, one for each variant."""
    weights: dict[str, str] = field(default_factory=dict)
    """Digest of every model used so far."""
    precision: dict[str, str] = field(default_factory=dict)
    """What every model used so far computes in."""
    licenses: dict[str, str] = field(default_factory=dict)
    """Licence of every model used so far."""
    recipe: dict[str, Any] = field(default_factory=dict)

    def note(self, *sentences: str) -> None:
        """Remember sentences for the result, each once."""
        self.notes.update(dict.fromkeys(sentences))

    def write_back(self, **fields: Any) -> None:
        """Write what was found out into the request's conditioning, so that the recipe holds it."""
        conditioning = msgspec.structs.replace(self.render.conditioning, **fields)
        self.render = msgspec.structs.replace(self.render, conditioning=conditioning)

    @property
    def part_length(self) -> int | None:
        """Samples of a new part, at the output's rate; None where nothing fixes them."""
        length = self.render.output.length
        assert not isinstance(length, str), "admission writes lengths in samples"
        return length

    def input_of(self, index: int) -> int | None:
        """The stage whose latent stage ``index`` continues; None when it works on a sound, or makes something new."""
        return self.inputs[index].latent

    def facts(self, index: int) -> SourceFacts | None:
        """Of the sound on whose timeline a stage lies; None when its timeline begins with a new part."""
        return self.inputs[index].facts

    def sound_of(self, index: int, variant: int) -> OpenSource | None:
        """The sound on whose timeline a variant of a stage lies."""
        while (before := self.input_of(index)) is not None:
            index = before
        sounds = self.opened.get(index, [])
        return sounds[min(variant, len(sounds) - 1)] if sounds else None

    def roles(self, index: int) -> tuple[Role, ...]:
        """The files that a stage returns."""
        last = index == len(self.stages) - 1
        return tuple((self.render.output.returns if last else self.stages[index].stage.returns) or ())

    def feeds(self, index: int) -> bool:
        """Whether a later stage works on this one's file."""
        return any(given.stage == index for given in self.inputs)

    def is_heard(self, index: int) -> bool:
        """Whether a stage is decoded at all: returned, previewed, or worked on as a file."""
        return bool(self.roles(index)) or self.stages[index].params.preview or self.feeds(index)

    def seed(self, index: int, variant: int) -> int:
        """The seed of a variant in a stage."""
        seeds = self.stages[index].params.seeds or [self.stages[index].params.seed]
        return seeds[min(variant, len(seeds) - 1)]


def takes_drums_out(stage: ResolvedStage) -> bool:
    """Whether drums are taken out of what a stage made."""
    return stage.params.drums == "out" and can_take_out(stage.plan, stage.model)


def phases_of(state: RenderState) -> list[str]:
    """The phases of a render in order, as its progress counts them."""
    variants, phases = state.render.output.variants, []
    for index in range(len(state.stages)):
        cleared = ["take out"] * takes_drums_out(state.stages[index])
        phases += ["load", "encode", *["denoise", *cleared] * variants]
        phases += ["decode", "write"] * variants if state.is_heard(index) else []
        if state.render.output.check == "retry" and state.roles(index):
            phases += ["denoise", *cleared, "decode"] * variants * RETRIES  # skipped where the first seed is right
    return phases


class RenderProgress:
    """Turns units of phases into `JobContext.tick` calls; the fraction never falls."""

    def __init__(self, context: JobContext, phases: list[str]) -> None:
        self._context = context
        self._total = sum(PHASES[phase] for phase in phases) or 1.0
        self._done = 0.0

    def phase(self, kind: str, name: str = "", count: int = 1) -> Tick:
        """The tick of the next phase (or ``count`` of them at once), of one of the kinds in `PHASES`, shown as ``name``."""
        begun, weight = self._done, PHASES[kind] * count
        self._done += weight
        self._context.check()

        def tick(done: int, of: int) -> None:
            self._context.tick(name or kind, done, of, min(1.0, (begun + weight * done / max(of, 1)) / self._total))

        return tick


def part_of(tick: Tick, part: int, parts: int) -> Tick:
    """The tick of one of several equal parts that are done one after the other."""
    return lambda done, of: tick(part * of + done, parts * of)


class Clock:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Add the time of a block to a phase."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - begun, 4)


@dataclass
class WrittenTakes:
    """Which files of the staging folder belong to which variant of the last stage."""

    folder: Path
    names: dict[int, set[str]] = field(default_factory=dict)

    @contextmanager
    def of(self, variant: int) -> Iterator[None]:
        """A context in which the files of a variant are written."""
        before = self._there()
        yield
        self.names.setdefault(variant, set()).update(self._there() - before)

    def _there(self) -> set[str]:
        try:
            return set(os.listdir(self.folder))
        except OSError as failure:
            raise OutputUnwritable(f"{self.folder} cannot be written: {failure.strerror}") from failure


@dataclass
class RenderRun:
    """One run of a render: the worker's things, the render, and where it reports."""

    resources: EngineResources
    state: RenderState
    context: JobContext
    progress: RenderProgress
    written: WrittenTakes
    """Which files belong to which variant."""


@dataclass
class StageState:
    """What there is to know of one stage while it runs; `acestep.engine.render.StageRun` carries it out."""

    run: RenderRun
    index: int
    model: OpenedModel = field(init=False)
    clock: Clock = field(default_factory=Clock)

    @property
    def resources(self) -> EngineResources:
        """What the worker keeps between jobs."""
        return self.run.resources

    @property
    def state(self) -> RenderState:
        """The render that the stage belongs to."""
        return self.run.state

    @property
    def resolved(self) -> ResolvedStage:
        """The stage as the request has it now: a retry gives it other seeds."""
        return self.state.stages[self.index]

    @property
    def type(self) -> str:
        """Name of the stage type."""
        return self.resolved.stage.type

    @property
    def plan(self) -> Plan:
        """What its type made of the parameters."""
        return self.resolved.plan

    @property
    def params(self) -> StageParams:
        """Its parameters, all set."""
        return self.resolved.params

    @property
    def window(self) -> Window:
        """Its window; there from the moment the source is encoded."""
        return self.state.windows[self.index]

    @property
    def facts(self) -> SourceFacts | None:
        """Of the sound on whose timeline the stage lies; None for a new part."""
        return self.state.facts(self.index)

    @property
    def roles(self) -> tuple[Role, ...]:
        """The files that the stage returns."""
        return self.state.roles(self.index)

    @property
    def rate(self) -> int:
        """Samples a second of its timeline."""
        return self.window.rate if self.facts is None else self.facts.rate

    @property
    def track(self) -> str:
        """The instrument that the stage is about; empty for stages without one."""
        return str(getattr(self.params, "track", ""))

    @property
    def family(self) -> FamilyRuntime:
        """The tensor code of the model's family."""
        return self.resources.models.runtime(self.model.info)

    @property
    def variants(self) -> int:
        """How many results there are."""
        return self.state.render.output.variants

    def seed(self, variant: int) -> int:
        """The seed of a variant."""
        return self.state.seed(self.index, variant)

    def pass_seed(self, variant: int, number: int) -> int:
        """The seed of one of a variant's passes: the first has its own, further ones have some drawn from it."""
        own = self.seed(variant)
        return random.Random(f"{own}/{number}").randint(0, limits.MAX_SEED) if number else own

    def take(self, group: TakeGroup, place: int, tick: Tick) -> StageTake:
        """One item of a group, as a model family is told of it; its share of the group's progress is told apart."""
        variant = group.variants[place]
        return StageTake(
            model=self.model,
            stage=self.resolved,
            options=self.options,
            conditioning=self.state.render.conditioning,
            frames=self.window.frames,
            region=self.window.region,
            source=group.source(place),
            seed=self.pass_seed(variant, group.number),
            tick=part_of(tick, place, len(group.variants)),
            note=self.note,
            on_device=self.on_device,
            sound=lambda: self._region_sound(variant, group.source(place)),
        )

    def _region_sound(self, variant: int, latents: Tensor | None) -> Tensor:
        """The region as sound [2, N] at the codec's rate: read from its file, or decoded where there is none."""
        if self.state.input_of(self.index) is None and (sound := self.sound_of(variant)) is not None:
            return self.resources.source_encoder.region_sound(sound, self.window)
        assert latents is not None, "a stage that asks for its sound works on one"
        with self.on_device("codec"):
            return self.family.decode(self.model, latents, self.window.region, self.silent_tick)[0]

    @property
    def options(self) -> Any:
        """The parameters of the model's family alone."""
        described = self.resources.models.families[self.model.info.family].described()
        return read_options(self.params.options, described.Options)

    def sound_of(self, variant: int) -> OpenSource | None:
        """The sound on whose timeline a variant lies."""
        return self.state.sound_of(self.index, variant)

    def note(self, *sentences: str) -> None:
        """Remember sentences for the result, each once."""
        self.state.note(*sentences)

    def check(self) -> None:
        """Raise `Cancelled` if the job was cancelled."""
        self.run.context.check()

    def silent_tick(self, done: int, of: int) -> None:
        """The tick of work that progress does not count; a cancel is still heard."""
        self.check()

    def on_device(self, kind: str) -> AbstractContextManager[None]:
        """A context in which the networks that a kind of work needs are on the device."""
        return self.resources.models.placement.on_device(self.model, kind)
