"""The stages of a render, and what each of them works on: nothing, a sound, or what an earlier stage made.

A stage that goes on from another one without a region of its own continues its latent, on the same stretch of time. One with a
region works on the other's *file*, as a job of its own would: the whole source with the edit in it, or the part that was made.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from acestep.admission.chain_errors import of_stage
from acestep.admission.host import HostInfo
from acestep.admission.parse import ParsedStage
from acestep.admission.region import (
    AskedSource,
    PlacedSource,
    check_region,
    names_a_place,
    names_a_region,
    open_source,
    place,
    result_facts,
)
from acestep.admission.song_time import SongTime
from acestep.api import limits
from acestep.api.ability import check_length
from acestep.api.conditioning import Conditioning
from acestep.api.errors import AceError, BadLatent, BadPreset, BadRequest, RegionOutside
from acestep.api.plan import Fill, Length, Plan, SourceFacts
from acestep.api.request import Output, Stage
from acestep.api.rounding import samples
from acestep.api.schema import R
from acestep.api.source import Source, SourceRequest
from acestep.api.thinking import leaves_length_open
from acestep.api.variants import ModelInfo

AskedStage = ParsedStage | Stage
"""A stage as a client names it, or one that is canonical already."""


class StageInput(msgspec.Struct, frozen=True, kw_only=True):
    """What one stage works on. All empty: nothing; it makes something new."""

    latent: int | None = None
    """Index of the earlier stage whose latent it continues."""
    stage: int | None = None
    """Index of the earlier stage whose file it works on."""
    source: Source | None = None
    """The sound it works on, with its region; for an earlier stage's file only the region counts."""
    facts: SourceFacts | None = None
    """Of the sound that it, or the stage whose latent it continues, works on."""

    @property
    def consumes(self) -> int | None:
        """The earlier stage that it goes on from in one way or the other."""
        return self.latent if self.latent is not None else self.stage


class SharedInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What all stages of a job share."""

    time: SongTime
    """The time of the song; a duration is not in it, for that is the job's own."""
    conditioning: Conditioning
    source: PlacedSource | None
    """The job's own source."""
    first: SourceFacts | None
    """Of the job's own source, else of the first file that a stage of a job names which makes nothing new."""
    output: Output
    """What should come back, with lengths in samples."""
    part: SourceFacts
    """What a new part will be."""


class Chain:
    """Stages with their plans and inputs, which are found stage by stage: a later one may need what an earlier one will make.

    ``spread``: it is one stage, run on several regions.
    """

    def __init__(
        self, stages: Sequence[AskedStage], host: HostInfo, shared: SharedInputs, *, spread: bool = False
    ) -> None:
        self.stages = stages
        self.shared = shared
        self.spread = spread
        self.plans: list[Plan] = []
        self.inputs: list[StageInput] = []
        self._host = host
        self._models: list[ModelInfo] = []

    @property
    def makes_new(self) -> bool:
        """Whether a stage makes a part of its own, of the length that the request says."""
        return any(plan.length is Length.REQUEST for plan in self.plans)

    def find(self, index: int) -> StageInput:
        """What a stage names, or works on by itself. Raises an `AceError` for a place that is none."""
        request = self.stages[index].source
        return self._usual(index) if request is None else _in_source(lambda: self._named(index, request))

    def _named(self, index: int, request: AskedSource) -> StageInput:
        if not names_a_place(request):
            return self._of_job(request)
        if request.stage is not None:
            return self._of_stage(index, request)
        source, facts = open_source(request, self._host, self.shared.time)
        return StageInput(source=source, facts=facts)

    def _usual(self, index: int) -> StageInput:
        if index > 0:
            return StageInput(latent=index - 1, facts=self._timeline(index - 1))
        if self.shared.source is None:
            return StageInput()
        return StageInput(source=self.shared.source.source, facts=self.shared.source.facts)

    def _of_job(self, request: AskedSource) -> StageInput:
        if self.shared.source is None:
            raise BadRequest("the job has no source of its own; name one, or a stage", field="source")
        source, facts = self.shared.source
        if names_a_region(request):
            facts = place(request, msgspec.structs.replace(facts, start=0, length=facts.frames), self.shared.time)
        context = source.context if request.context is None else request.context
        return StageInput(
            source=msgspec.structs.replace(source, start=facts.start, length=facts.length, context=context), facts=facts
        )

    def _of_stage(self, index: int, request: AskedSource) -> StageInput:
        before = (request.stage or 0) - 1
        if before >= index:
            raise BadPreset(
                f"its source is stage {request.stage}, which must come before it",
                field="stage",
                limits={"min": 1, "max": index},
            )
        if not names_a_region(request):
            return StageInput(latent=before, facts=self._timeline(before))
        given = self._timeline(before)
        growing = given is None and self._length_is_open()
        whole = self.shared.part if given is None else result_facts(self.plans[before], given, self.shared.part)
        if growing:  # as long as it may get; once it is planned, the region is looked at again
            whole = msgspec.structs.replace(whole, frames=samples(limits.MAX_DURATION, whole.rate))
        facts = place(request, whole, self.shared.time)
        context = limits.CONTEXT_SECONDS if request.context is None else request.context
        length = None if growing and facts.start + facts.length == whole.frames else facts.length
        source = Source(stage=request.stage, start=facts.start, length=length, context=context)
        return StageInput(stage=before, source=source, facts=facts)

    def _length_is_open(self) -> bool:
        """Whether a plan decides how long the new part is."""
        shared = self.shared
        return shared.source is None and leaves_length_open(shared.conditioning, self.plans, shared.output)

    def _timeline(self, index: int) -> SourceFacts | None:
        """Facts of the sound that a stage's latent lies on; none for something new."""
        return self.inputs[index].facts

    def seen(self, given: StageInput) -> SourceFacts | None:
        """The sound that a stage is told about when it plans: where it continues something new, that."""
        return self.shared.part if given.facts is None and given.latent is not None else given.facts

    def settle(self, index: int, given: StageInput, plan: Plan, model: ModelInfo) -> None:
        """Check a stage's input against what it plans, and keep it. Raises an `AceError` that names the field."""
        stage = self.stages[index]
        if plan.length is Length.REQUEST:
            if stage.source is not None:
                raise BadRequest(f"{stage.type} makes a new part and takes no source", field="source")
            given = StageInput()
        elif given == StageInput() and _needs_audio(plan):
            raise BadRequest(f"{stage.type} needs a source", field="source")
        self._check_family(given, model)
        made = self.shared.part if given.facts is None else given.facts
        check_length(made.length / made.rate, model, "duration" if given.facts is None else "end")
        self.plans.append(plan)
        self.inputs.append(given)
        self._models.append(model)

    def _check_family(self, given: StageInput, model: ModelInfo) -> None:
        """Latents pass between models of one family only, in a chain as from the store."""
        if given.latent is not None:
            before = self._models[given.latent]
            if before.latent_family != model.latent_family:
                raise BadLatent(
                    f"{model.name} cannot continue from a latent of {before.name}: their codecs differ. Give the source a region "
                    "(start 0 is enough) and it starts from the sound",
                    field="model",
                    limits={"family": before.latent_family},
                )
        elif given.facts is not None and given.facts.format == "latent" and given.facts.subtype != model.latent_family:
            raise BadLatent(
                f"the stored latent is one of the family {given.facts.subtype}, and {model.name} works with "
                f"{model.latent_family}",
                field="source_latent",
                limits={"family": model.latent_family},
            )

    def check_regions(self) -> None:
        """Refuse regions outside their source, unless a stage extends it."""
        extends = any(plan.extend for plan in self.plans)
        for index, given in enumerate(self.inputs):
            if given.source is None or given.facts is None or given.latent is not None:
                continue
            facts = given.facts
            if self.stages[index].source is None:
                check_region(facts, extends=extends)
            else:
                of_stage(index, partial(_in_source, partial(check_region, facts, extends=extends)))

    def consumed(self) -> set[int]:
        """Indices of the stages that another one goes on from."""
        return {given.consumes for given in self.inputs if given.consumes is not None}

    def unused(self) -> bool:
        """Whether the job has a source that no stage works on."""
        if self.shared.source is None:
            return False
        place = self.shared.source.source.place
        return all(given.source is None or given.source.place != place for given in self.inputs)


def _in_source(check: Callable[[], R]) -> R:
    """Run a check of a stage's source; its error names the field inside it."""
    try:
        return check()
    except AceError as error:
        inner = error.field or "source"
        error.field = (
            "source" if inner == "source" else f"source.{inner.removeprefix('source_')}"
        )  # flat: source_latent
        raise


def _needs_audio(plan: Plan) -> bool:
    return plan.start_from_source or plan.fill in (Fill.SOURCE, Fill.BOTTLENECK)


def spread(stage: AskedStage, regions: Sequence[SourceRequest], *, in_place: bool) -> list[AskedStage]:
    """The stage once for each region: edits in place follow one another on the same file, other stages work side by side.

    Raises `RegionOutside` for edits in place that overlap.
    """
    if not in_place:
        return [msgspec.structs.replace(stage, source=region) for region in regions]
    return [
        msgspec.structs.replace(
            stage, source=region if index == 0 else msgspec.structs.replace(region, stage=index), returns=None
        )
        for index, region in enumerate(regions)
    ]


def check_apart(regions: Sequence[SourceFacts]) -> None:
    """Raise `RegionOutside` for two regions that overlap: the later edit would undo part of the earlier one."""
    placed = sorted((facts.start, facts.start + facts.length, number) for number, facts in enumerate(regions, 1))
    for (_, end, first), (start, _, second) in itertools.pairwise(placed):
        if start < end:
            raise RegionOutside(f"the regions {first} and {second} overlap", field="regions")
