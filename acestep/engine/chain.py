"""A render on its way: what a worker keeps between jobs, and what one job knows of its stages so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from acestep.api.plan import Length, SourceFacts
from acestep.api.request import Conditioning, Render
from acestep.api.result import ResultFile, StageReport
from acestep.api.tempo_map import TempoMap
from acestep.engine.conditions import Conditions
from acestep.engine.conform import Conform, conform_tempo
from acestep.engine.geometry import Window
from acestep.engine.models import ModelPool
from acestep.engine.progress import Clock, Meter
from acestep.engine.resolve import ResolvedStage
from acestep.engine.source import OpenSource, SourceStudio
from acestep.worker.backend import JobContext


@dataclass
class Workshop:
    """What a worker keeps between jobs."""

    settings: Mapping[str, Any]
    pool: ModelPool
    studio: SourceStudio
    conditions: Conditions


@dataclass
class Chain:
    """One render: its stages, and what has come of them. Lists by stage grow as stages are done."""

    render: Render
    stages: list[ResolvedStage]
    facts: SourceFacts | None
    codes: tuple[tuple[int, ...], ...] = ()
    thought: dict[str, Any] = field(default_factory=dict)
    """What the planner thought, for the result; empty where nothing was planned."""
    asked: Conditioning | None = None
    """The wish before planning. The recipe holds it, and plans again: same wish and seeds, same codes for every variant."""
    conform: Conform = field(default_factory=Conform)
    tempo: TempoMap | None = None
    """The time of the song that a guide follows, on the timeline of the first window; none before `acestep.engine.pulse`."""
    first_bar: int = 1
    """Where the chords of a guide begin."""
    windows: list[Window] = field(default_factory=list)
    latents: list[list[Tensor]] = field(default_factory=list)
    """Per stage and variant, float32 [1, T, 64] on the CPU."""
    reports: list[StageReport] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)
    files: list[ResultFile] = field(default_factory=list)
    source: OpenSource | None = None
    weights: dict[str, str] = field(default_factory=dict)
    """Digest of every model used so far."""
    recipe: dict[str, Any] = field(default_factory=dict)

    def note(self, *sentences: str) -> None:
        """Remember sentences for the result, each once."""
        self.notes.update(dict.fromkeys(sentences))

    def input_of(self, index: int) -> int | None:
        """The stage that stage ``index`` continues; None when it works on the source, or makes something new."""
        if self.stages[index].plan.length is Length.REQUEST:
            return None
        named = self.stages[index].params.input
        if named is not None:
            return named
        return index - 1 if index > 0 else None

    def anchored(self, index: int) -> bool:
        """Whether a stage lies on the source's timeline; otherwise its timeline begins with a new part."""
        before = self.input_of(index)
        if before is not None:
            return self.anchored(before)
        return self.facts is not None and self.stages[index].plan.length is not Length.REQUEST

    def seed(self, index: int, variant: int) -> int:
        """The seed of a variant in a stage."""
        seeds = self.stages[index].params.seeds or [self.stages[index].params.seed]
        return seeds[min(variant, len(seeds) - 1)]


@dataclass
class Job:
    """One run of a chain: the worker's things, the chain, and where it reports."""

    workshop: Workshop
    chain: Chain
    context: JobContext
    meter: Meter
    clock: Clock = field(default_factory=Clock)


def phases_of(chain: Chain) -> list[str]:
    """The phases of a chain in order, as its progress counts them."""
    variants, phases = chain.render.output.variants, []
    for index, stage in enumerate(chain.stages):
        phases += ["load", "encode", *["denoise"] * variants]
        last = index == len(chain.stages) - 1
        phases += ["decode", "write"] * variants if last or stage.params.preview else []
    return phases


def request_conform(render: Render, stages: list[ResolvedStage]) -> Conform:
    """The tempo correction of a render: only what is made new throughout may be stretched."""
    if render.source is not None or any(
        stage.plan.length is not Length.REQUEST and not stage.plan.start_from_source for stage in stages
    ):
        return Conform()
    return conform_tempo(render.conditioning.bpm)
