"""A render on its way: what a worker keeps between jobs, and what one job knows of its stages so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from torch import Tensor

from acestep.admission.inputs import StageInput
from acestep.api.plan import Length, SourceFacts
from acestep.api.request import Render, Role
from acestep.api.resolve import ResolvedStage
from acestep.api.result import ResultFile, StageReport
from acestep.api.tempo_map import TempoMap
from acestep.engine.conditions import Conditions
from acestep.engine.conform import Conform, conform_tempo, unconformed
from acestep.engine.geometry import Window
from acestep.engine.guides import guide_of
from acestep.engine.models import ModelPool
from acestep.engine.progress import Clock, Meter
from acestep.engine.source import OpenSource, SourceEncoder
from acestep.worker.backend import JobContext


@dataclass
class EngineResources:
    """What a worker keeps between jobs."""

    settings: Mapping[str, Any]
    pool: ModelPool
    source_encoder: SourceEncoder
    conditions: Conditions


@dataclass
class Chain:
    """One render: its stages, and what has come of them. Lists by stage grow as stages are done."""

    render: Render
    stages: list[ResolvedStage]
    inputs: tuple[StageInput, ...]
    planning: bool = False
    """Whether the planner has its part in this render."""
    thought: dict[str, Any] = field(default_factory=dict)
    """What the planner thought, for the result; empty where nothing was planned."""
    conform: Conform = field(default_factory=Conform)
    tempo: TempoMap | None = None
    """The time of the song that a guide follows, on the timeline of the stage that runs (`acestep.engine.pulse`)."""
    first_bar: int = 1
    """Where the chords of a guide begin."""
    windows: list[Window] = field(default_factory=list)
    latents: list[list[Tensor]] = field(default_factory=list)
    """Per stage and variant, float32 [1, T, 64] on the CPU."""
    reports: list[StageReport] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    """What was heard in each part (`acestep.engine.checking`)."""
    notes: dict[str, None] = field(default_factory=dict)
    files: list[ResultFile] = field(default_factory=list)
    opened: dict[int, list[OpenSource]] = field(default_factory=dict)
    """By stage: the sound it works on, one for all variants or one each; stages that continue a latent have none of their own."""
    made: dict[int, list[Path]] = field(default_factory=dict)
    """By stage: the files that later stages work on, one for each variant."""
    weights: dict[str, str] = field(default_factory=dict)
    """Digest of every model used so far."""
    licenses: dict[str, str] = field(default_factory=dict)
    """Licence of every model used so far."""
    recipe: dict[str, Any] = field(default_factory=dict)

    def note(self, *sentences: str) -> None:
        """Remember sentences for the result, each once."""
        self.notes.update(dict.fromkeys(sentences))

    def settle(self, **values: Any) -> None:
        """Write what was found out into the request, so that the recipe holds it."""
        self.render = msgspec.structs.replace(
            self.render, conditioning=msgspec.structs.replace(self.render.conditioning, **values)
        )

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

    def sounds(self, index: int) -> bool:
        """Whether a stage is heard at all: returned, previewed, or worked on as a file."""
        return bool(self.roles(index)) or self.stages[index].params.preview or self.feeds(index)

    def seed(self, index: int, variant: int) -> int:
        """The seed of a variant in a stage."""
        seeds = self.stages[index].params.seeds or [self.stages[index].params.seed]
        return seeds[min(variant, len(seeds) - 1)]


@dataclass
class Job:
    """One run of a chain: the worker's things, the chain, and where it reports."""

    resources: EngineResources
    chain: Chain
    context: JobContext
    meter: Meter
    clock: Clock = field(default_factory=Clock)


def phases_of(chain: Chain) -> list[str]:
    """The phases of a chain in order, as its progress counts them."""
    variants, phases = chain.render.output.variants, []
    for index in range(len(chain.stages)):
        phases += ["load", "encode", *["denoise"] * variants]
        phases += ["decode", "write"] * variants if chain.sounds(index) else []
        if chain.render.output.check == "retry" and chain.roles(index):
            phases += ["denoise", "decode"] * variants * 2  # not used where the first take is right
    return phases


def request_conform(render: Render, stages: list[ResolvedStage]) -> Conform:
    """The tempo correction of a render: only what is made new throughout may be stretched."""
    wished = conform_tempo(render.conditioning.bpm)
    if render.source is None and not any(
        stage.stage.source is not None or (stage.plan.length is not Length.REQUEST and not stage.plan.start_from_source)
        for stage in stages
    ):
        if wished.speed == 1.0 and any(guide_of(stage, render.conditioning) for stage in stages):
            return Conform()  # the guide gives the exact tempo, so the model's whole beats make no difference
        return wished
    makes_new = any(stage.plan.length is Length.REQUEST for stage in stages)
    return Conform(note=unconformed(render.conditioning.bpm) if makes_new and wished.speed != 1.0 else "")
