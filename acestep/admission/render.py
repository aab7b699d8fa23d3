"""From a client's map to a canonical `Render`: everything that can be refused is refused here, before anything is stored.

The steps are the same for every operation and every door. Nothing here knows a stage type, a sampler or a door by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from acestep.admission.admitted import Admitted
from acestep.admission.host import HostInfo
from acestep.admission.inputs import Inputs, SharedInputs, StageInput, check_apart, spread
from acestep.admission.names import resolve_names
from acestep.admission.new_part import length_notes, rate_notes, requested_part
from acestep.admission.parse import ParsedRender, ParsedStage, of_stage, parse
from acestep.admission.recipe import parsed_again
from acestep.admission.region import PlacedSource, open_source, place
from acestep.admission.returns import resolve_output, resolve_returns
from acestep.admission.song_time import SongTime, metre_notes
from acestep.admission.stage_params import resolve_params
from acestep.api import limits
from acestep.api.errors import AceError, BadRequest, PluginFailed
from acestep.api.plan import Length, Plan, SourceFacts
from acestep.api.registry import Registry
from acestep.api.request import Output, Render, Role, Stage
from acestep.api.schema import R, inside
from acestep.api.source import Source, SourceRequest
from acestep.api.thinking import check_thinking, leaves_length_open, require_codes, wants_planning
from acestep.api.variants import ModelInfo


def admit_render(registry: Registry, operation: str, request: Mapping[str, Any], host: HostInfo) -> Admitted:
    """Check a client's render request, flat or nested, and make it canonical. Raises an `AceError` that names the field."""
    return _RenderAdmission(registry, host, parse(registry, registry.operation(operation), dict(request))).run()


def plan_again(registry: Registry, render: Render, host: HostInfo) -> Admitted:
    """Check and plan a canonical render as this host's models and files make it. What is canonical already stays as it is.

    Raises an `AceError` that names the field.
    """
    return _RenderAdmission(registry, host, parsed_again(render)).run()


class _RenderAdmission:
    """One render on its way. Each step needs what the steps before it have found."""

    def __init__(self, registry: Registry, host: HostInfo, parsed: ParsedRender) -> None:
        self._registry = registry
        self._host = host
        self._parsed = parsed
        self._time = SongTime(resolve_names(registry, parsed.conditioning))
        self._notes = [*parsed.notes]

    def run(self) -> Admitted:
        """The steps, in order."""
        # 1 The sound that the stages share
        source = self._open_source()
        # 2 The stages: one for each region, with names, seeds and models written out
        if self._parsed.regions:
            self._spread(source)
        self._resolve_stages()
        # 3 Positions and lengths become samples on the timeline of that sound
        inputs = Inputs(self._parsed, self._host, self._settle_time(source))
        # 4 Every stage plans
        plans = self._plan(inputs)
        inputs.check_regions()
        # 5 The files that come back
        output = resolve_output(self._parsed, plans, inputs)
        returns = resolve_returns(self._parsed, plans, inputs, output)
        if source is None and leaves_length_open(inputs.shared.conditioning, plans, self._parsed.output):
            output = msgspec.structs.replace(output, length=None)
        # 6 What only all stages together show, and what the user should know
        self._note_time(inputs, plans, open_end=output.length is None)
        self._check_stored_steps(output)
        self._check_planner(inputs, plans, output)
        self._note_sounds(inputs, plans)
        # 7 The canonical form
        render = Render(
            stages=tuple(map(_canonical, self._parsed.stages, inputs.found, returns)),
            conditioning=inputs.shared.conditioning,
            source=None if source is None else source.source,
            output=output,
            weights=self._parsed.weights,
            made_with=self._parsed.made_with,
            made_on=self._parsed.made_on,
        )
        notes = dict.fromkeys([*self._notes, *(note for plan in plans for note in plan.notes)])
        return Admitted(request=render, plans=plans, inputs=tuple(inputs.found), notes=tuple(notes))

    def _open_source(self) -> PlacedSource | None:
        """The job's own source, which stages work on that name no other. The duration is its region's, unless something new is
        made."""
        asked = self._parsed.source
        if asked is None:
            return None
        if asked.stage is not None:
            raise BadRequest(
                "the job's source is audio; only a stage's source names another stage", field="source.stage"
            )
        regional = self._parsed.selected and not self._makes_new()
        return open_source(asked, self._host, self._time if regional else _without_duration(self._time))

    def _makes_new(self) -> bool:
        return any(self._registry.stage(stage.type).source == "none" for stage in self._parsed.stages)

    def _spread(self, source: PlacedSource | None) -> None:
        """A flat request for several regions becomes a chain of the same stage."""
        assert source is not None, "regions need a source"
        whole = source.facts
        regions = [SourceRequest(**msgspec.structs.asdict(region)) for region in self._parsed.regions]
        placed = [
            inside(f"regions[{index}]", partial(place, region, whole, self._time))
            for index, region in enumerate(regions)
        ]
        stage = self._parsed.stages[0]
        plan = self._plan_stage(stage, placed[0], self._host.model(stage.params.model))
        if plan.splice:
            if plan.extend:
                raise BadRequest(f"{stage.type} works on one region", field="regions")
            check_apart(placed)
        self._parsed.stages = spread(stage, regions, in_place=plan.splice)

    def _resolve_stages(self) -> None:
        stages, most = self._parsed.stages, limits.MAX_STAGES
        if not 1 <= len(stages) <= most:
            raise BadRequest(f"a job has 1 to {most} stages", field="stages", limits={"max": most})

        def resolve(stage: ParsedStage) -> ParsedStage:
            params, notes = resolve_params(self._registry, self._host, stage.params, self._parsed.output.variants)
            self._notes += notes
            return msgspec.structs.replace(stage, params=params)

        self._parsed.stages = [self._at(index, partial(resolve, stage)) for index, stage in enumerate(stages)]

    def _first_named(self) -> SourceFacts | None:
        """The first file that a stage names, in a job without a source of its own that makes nothing new: its rate and channels
        are the job's."""
        if self._makes_new():
            return None
        named = (stage.source for stage in self._parsed.stages if stage.source is not None)
        asked = next((source for source in named if source.path or source.upload or source.latent), None)
        if asked is None:
            return None
        try:
            facts = self._host.probe(
                Source(path=asked.path, upload=asked.upload, latent=asked.latent, fingerprint=asked.fingerprint)
            )
        except AceError:  # the stage's own check says what is wrong, and where
            return None
        return SourceFacts(rate=facts.rate, channels=facts.channels, frames=facts.frames, start=0, length=facts.frames)

    def _settle_time(self, source: PlacedSource | None) -> SharedInputs:
        """What the stages share, and what a new part would be, all in numbers."""
        asked, first = self._parsed.output, source.facts if source else self._first_named()
        rate = source.facts.rate if source else asked.rate or (first.rate if first else limits.CODEC_RATE)
        output = self._parsed.output = self._time.delivered(asked, rate)
        start, length = (source.facts.start, source.facts.length) if source else (0, output.frames)
        conditioning = self._time.settled(rate, start, length)
        return SharedInputs(
            time=_without_duration(self._time),
            conditioning=conditioning,
            source=source,
            first=first,
            part=requested_part(output, conditioning, first, whole=source is not None),
        )

    def _plan(self, inputs: Inputs) -> tuple[Plan, ...]:
        """A Plan per stage, with what it works on settled in ``inputs``."""

        def plan(index: int, stage: ParsedStage) -> Plan:
            given, model = inputs.find(index, stage), self._host.model(stage.params.model)
            found = self._plan_stage(stage, inputs.seen(given), model)
            inputs.settle(index, given, found, model)
            return found

        return tuple(self._at(index, partial(plan, index, stage)) for index, stage in enumerate(self._parsed.stages))

    def _plan_stage(self, stage: ParsedStage, facts: SourceFacts | None, model: ModelInfo) -> Plan:
        try:
            return self._registry.stage(stage.type).plan(stage.params, facts, model)
        except AceError:
            raise
        except Exception as failure:  # a plug-in's own code may raise anything
            raise PluginFailed(f"stage type {stage.type} failed to plan: {failure}", field="type") from failure

    def _note_time(self, inputs: Inputs, plans: tuple[Plan, ...], *, open_end: bool) -> None:
        shared = inputs.shared
        if inputs.unused():
            self._notes.append("no stage works on the source; it only says rate and length")
        self._notes += [*self._time.notes, *shared.time.notes, *metre_notes(shared.conditioning.time_signature)]
        if any(plan.length is Length.REQUEST for plan in plans):
            self._notes += length_notes(self._parsed.output, shared.conditioning, shared.part, open_end=open_end)

    def _check_stored_steps(self, output: Output) -> None:
        """See that a run that is gone on with makes one variant: it was stored with one seed. Raises `BadRequest`."""
        if output.variants > 1 and any(stage.params.resume for stage in self._parsed.stages):
            raise BadRequest("a stored step is one take; ask for one variant", field="variants", limits={"max": 1})

    def _check_planner(self, inputs: Inputs, plans: tuple[Plan, ...], output: Output) -> None:
        """See that what is planned, or given as codes, can be read by every stage's model. Raises `BadRequest`, `ModelUnsuited`."""
        conditioning = inputs.shared.conditioning
        models = [self._host.model(stage.params.model) for stage in self._parsed.stages]
        self._notes += check_thinking(conditioning, plans, output, models)
        planning = wants_planning(conditioning, plans)
        for index, (stage, plan, model) in enumerate(zip(self._parsed.stages, plans, models, strict=True)):
            guide = conditioning.guide if stage.params.guide is None else stage.params.guide
            planned = planning and plan.semantic_codes
            self._at(index, partial(require_codes, plan, guide, conditioning, model, planned=planned))
        self._notes += [f"{model.name}: {model.assumed}" for model in models if model.assumed]

    def _note_sounds(self, inputs: Inputs, plans: tuple[Plan, ...]) -> None:
        shared = inputs.shared
        self._notes += rate_notes(plans, inputs.found, shared.part, shared.first)
        files = [shared.source.facts] if shared.source is not None else []
        files += [given.facts for given in inputs.found if given.facts is not None]
        self._notes += [note for facts in files for note in facts.notes]

    def _at(self, index: int, check: Callable[[], R]) -> R:
        """A check of one stage, whose error says which one where there are several."""
        return of_stage(index, check) if self._parsed.chained else check()


def _without_duration(time: SongTime) -> SongTime:
    """The time of sources whose region is not the job's duration."""
    return SongTime(msgspec.structs.replace(time.conditioning, duration=None))


def _canonical(stage: ParsedStage, given: StageInput, returns: tuple[Role, ...] | None) -> Stage:
    """A stage with its source, where it names one, in whole samples."""
    source = given.source
    if stage.source is None:
        source = None
    elif given.latent is not None:
        source = Source(stage=stage.source.stage, start=None)
    return Stage(stage.type, stage.params, source=source, returns=returns)
