"""From a request to a canonical `Render`: everything that can be refused is refused here, before anything is stored.

The steps are the same for every operation and every door. The worker takes them again, with a render that is canonical already.
Nothing here knows a stage type, a sampler or a door by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from acestep.admission.admitted import Admitted
from acestep.admission.chain import AskedStage, Chain, SharedInputs, StageInput, check_apart, spread
from acestep.admission.chain_errors import of_only_stage, of_stage
from acestep.admission.host import HostInfo
from acestep.admission.names import resolve_names
from acestep.admission.new_part import length_notes, rate_notes, requested_part
from acestep.admission.parse import ParsedRender, parse
from acestep.admission.region import PlacedSource, open_source, place
from acestep.admission.returns import resolve_returns
from acestep.admission.song_time import SongTime, metre_notes
from acestep.admission.stage_params import resolve_params
from acestep.api import limits
from acestep.api.ability import check_ability, check_direction
from acestep.api.errors import AceError, BadRequest
from acestep.api.plan import SourceFacts
from acestep.api.registry import Registry
from acestep.api.request import Output, Render, Role, Stage
from acestep.api.schema import inside
from acestep.api.source import Region, Source, SourceRequest
from acestep.api.targets import plugin_code
from acestep.api.thinking import check_thinking, require_codes, wants_planning


def admit_render(registry: Registry, operation: str, request: Mapping[str, Any], host: HostInfo) -> Admitted:
    """Check a client's render request, flat or nested, and make it canonical. Raises an `AceError` that names the field."""
    return RenderAdmission(registry, host, parse(registry, registry.operation(operation), dict(request))).run()


class RenderAdmission:
    """One render on its way. Each step needs what the steps before it have found.

    ``asked`` is what a client says, or a canonical render that is planned as this host's models and files make it: what is
    canonical already stays as it is.
    """

    def __init__(self, registry: Registry, host: HostInfo, asked: ParsedRender | Render) -> None:
        self._registry = registry
        self._host = host
        self._asked = asked
        self._stages: list[AskedStage] = [*asked.stages]
        self._time = SongTime(resolve_names(registry, asked.conditioning))
        self._notes: list[str] = [*asked.notes] if isinstance(asked, ParsedRender) else []
        flat = isinstance(asked, ParsedRender) and not asked.chained
        self._at_stage = of_only_stage if flat else of_stage

    def run(self) -> Admitted:
        """The steps, in order. Raises an `AceError` that names the field."""
        asked = self._asked
        # 1 The sound that the stages share
        source = None if asked.source is None else open_source(asked.source, self._host, self._time_of_source())
        # 2 The stages: one for each region, with names, seeds and models written out
        regions = asked.regions if isinstance(asked, ParsedRender) else []
        if regions and source is not None:
            self._spread(regions, source.facts)
        self._resolve_stages()
        # 3 Positions and lengths become samples on the timeline of that sound
        shared = self._settle_time(source)
        # 4 Every stage finds what it works on, and plans
        chain = Chain(self._stages, self._host, shared, spread=bool(regions))
        for index in range(len(self._stages)):
            self._at_stage(index, partial(self._plan, chain, index))
        chain.check_regions()
        # 5 The files that come back
        output, returns = resolve_returns(chain)
        # 6 What only all stages together show, and what the user should know
        self._note_time(chain, open_end=output.length is None)
        self._check_stored_steps(output)
        _check_keep(output)
        self._check_planner(chain, output)
        self._note_sounds(chain)
        # 7 The canonical form
        render = Render(
            stages=tuple(map(_canonical, self._stages, chain.inputs, returns)),
            conditioning=shared.conditioning,
            source=None if source is None else source.source,
            output=output,
            weights=asked.weights,
            made_with=asked.made_with,
            made_on=asked.made_on,
            precision=asked.precision,
        )
        notes = dict.fromkeys([*self._notes, *(note for plan in chain.plans for note in plan.notes)])
        return Admitted(request=render, plans=tuple(chain.plans), inputs=tuple(chain.inputs), notes=tuple(notes))

    def _time_of_source(self) -> SongTime:
        """The time on which the job's own source lies. The duration is that of its region where it says no length of its own,
        unless something new is made."""
        asked = self._asked
        open_end = asked.source is not None and asked.source.length is None
        regional = asked.selected if isinstance(asked, ParsedRender) else open_end
        return self._time if regional and not self._makes_new() else _without_duration(self._time)

    def _makes_new(self) -> bool:
        return any(self._registry.stage(stage.type).source == "none" for stage in self._stages)

    def _spread(self, regions: Sequence[Region], whole: SourceFacts) -> None:
        """A flat request for several regions becomes a chain of the same stage."""
        requests = [SourceRequest(**msgspec.structs.asdict(region)) for region in regions]
        placed = [
            inside(f"regions[{index}]", partial(place, request, whole, self._time))
            for index, request in enumerate(requests)
        ]
        stage = self._stages[0]
        model = self._host.model(stage.params.model)
        with plugin_code(f"stage type {stage.type} failed to plan", "type"):
            plan = self._registry.stage(stage.type).plan(stage.params, placed[0], model)
        if plan.splice:
            if plan.extend:
                raise BadRequest(f"{stage.type} works on one region", field="regions")
            check_apart(placed)
        self._stages = spread(stage, requests, in_place=plan.splice)

    def _resolve_stages(self) -> None:
        stages, most = self._stages, limits.MAX_STAGES
        if not 1 <= len(stages) <= most:
            raise BadRequest(f"a job has 1 to {most} stages", field="stages", limits={"max": most})

        def resolve(stage: AskedStage) -> AskedStage:
            params, notes = resolve_params(self._registry, self._host, stage.params, self._asked.output.variants)
            self._notes += notes
            return msgspec.structs.replace(stage, params=params)

        self._stages = [self._at_stage(index, partial(resolve, stage)) for index, stage in enumerate(stages)]

    def _settle_time(self, source: PlacedSource | None) -> SharedInputs:
        """What the stages share, and what a new part would be, all in numbers."""
        asked, first = self._asked.output, source.facts if source else self._first_named()
        rate = source.facts.rate if source else asked.rate or (first.rate if first else limits.CODEC_RATE)
        output = self._time.delivered(asked, rate)
        start, length = (source.facts.start, source.facts.length) if source else (0, output.frames)
        conditioning = self._time.settled(rate, start, length)
        return SharedInputs(
            time=_without_duration(self._time),
            conditioning=conditioning,
            source=source,
            first=first,
            output=output,
            part=requested_part(output, conditioning, first, whole=source is not None),
        )

    def _first_named(self) -> SourceFacts | None:
        """The first file that a stage names, in a job without a source of its own that makes nothing new: its rate and channels
        are the job's."""
        if self._makes_new():
            return None
        named = (stage.source for stage in self._stages if stage.source is not None)
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

    def _plan(self, chain: Chain, index: int) -> None:
        """The plan of a stage, with what it works on; both are kept in the chain."""
        stage, given = self._stages[index], chain.find(index)
        model = self._host.model(stage.params.model)
        shared = chain.shared.conditioning
        self._notes += check_ability(stage.type, stage.params, shared, model, self._registry.families)
        with plugin_code(f"stage type {stage.type} failed to plan", "type"):
            plan = self._registry.stage(stage.type).plan(stage.params, chain.seen(given), model)
        check_direction(chain.seen(given), model)
        chain.settle(index, given, plan, model)

    def _note_time(self, chain: Chain, *, open_end: bool) -> None:
        shared = chain.shared
        if chain.unused():
            self._notes.append("no stage uses the source; only its rate and length are used")
        self._notes += [*self._time.notes, *shared.time.notes, *metre_notes(shared.conditioning.time_signature)]
        if chain.makes_new:
            self._notes += length_notes(shared.output, shared.conditioning, shared.part, open_end=open_end)

    def _check_stored_steps(self, output: Output) -> None:
        """See that a run that is gone on with makes one variant: it was stored with one seed. Raises `BadRequest`."""
        if output.variants > 1 and any(stage.params.resume for stage in self._stages):
            raise BadRequest("a stored step is one take; ask for one variant", field="variants", limits={"max": 1})

    def _check_planner(self, chain: Chain, output: Output) -> None:
        """See that what is planned, or given as codes, can be read by every stage's model. Raises `BadRequest`, `ModelUnsuited`."""
        conditioning = chain.shared.conditioning
        models = [self._host.model(stage.params.model) for stage in self._stages]
        self._notes += check_thinking(conditioning, chain.plans, output, models)
        planning = wants_planning(conditioning, chain.plans)
        for index, (stage, plan, model) in enumerate(zip(self._stages, chain.plans, models, strict=True)):
            guide = conditioning.guide if stage.params.guide is None else stage.params.guide
            planned = planning and plan.semantic_codes
            self._at_stage(index, partial(require_codes, plan, guide, conditioning, model, planned=planned))
        self._notes += [f"{model.name}: {model.assumed}" for model in models if model.assumed]

    def _note_sounds(self, chain: Chain) -> None:
        shared = chain.shared
        self._notes += rate_notes(chain.plans, chain.inputs, shared.part, shared.first)
        files = [shared.source.facts] if shared.source is not None else []
        files += [given.facts for given in chain.inputs if given.facts is not None]
        self._notes += [note for facts in files for note in facts.notes]


def _check_keep(output: Output) -> None:
    """See that no more takes are to be kept than are made. Raises `BadRequest`."""
    if output.keep is not None and output.keep > output.variants:
        raise BadRequest(
            f"keep is {output.keep}, but only {output.variants} of variants are made",
            field="keep",
            limits={"max": output.variants},
        )


def _without_duration(time: SongTime) -> SongTime:
    """The time of sources whose region is not the job's duration."""
    return SongTime(msgspec.structs.replace(time.conditioning, duration=None))


def _canonical(stage: AskedStage, given: StageInput, returns: tuple[Role, ...] | None) -> Stage:
    """A stage with its source, where it names one, in whole samples."""
    source = given.source
    if stage.source is None:
        source = None
    elif given.latent is not None:
        source = Source(stage=stage.source.stage, start=None)
    return Stage(stage.type, stage.params, source=source, returns=returns)
