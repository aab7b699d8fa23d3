"""From a client's map to a canonical `Render`: everything that can be refused is refused here, before anything is stored.

The steps are the same for every operation and every door: types and ranges, names and aliases, seconds to samples, seeds,
the model, and finally each stage type's own `plan`. Nothing here knows a stage type, a sampler or a door by name.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from acestep.admission.host import World
from acestep.admission.inputs import Inputs, StageInput, Surroundings, check_apart, spread
from acestep.admission.parse import Draft, StageWish, of_stage, parse
from acestep.admission.region import open_source, place
from acestep.admission.returns import resolve_output, resolve_returns
from acestep.admission.song_time import SongTime, metre_notes
from acestep.api import limits, music
from acestep.api.conditioning import Conditioning
from acestep.api.errors import AceError, BadRequest, PluginFailed, UnknownName
from acestep.api.languages import language_name
from acestep.api.plan import Length, Plan, SourceFacts
from acestep.api.registry import Registry
from acestep.api.request import Output, Render, Stage, StageParams
from acestep.api.rounding import samples
from acestep.api.schema import R, describe, inside
from acestep.api.sentences import quoted
from acestep.api.source import Source, SourceWish
from acestep.api.thinking import check_thinking, leaves_length_open, require_codes, wants_planning
from acestep.api.variants import ModelInfo


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be run: its canonical form, and for each stage a Plan and what it works on."""

    render: Render
    plans: tuple[Plan, ...]
    inputs: tuple[StageInput, ...]
    notes: tuple[str, ...] = ()


def admit(registry: Registry, operation: str, request: Mapping[str, Any], world: World) -> Admitted:
    """Check a render request in flat or nested form and make it canonical.

    Raises an `AceError` that names the field. The result's `Render` admitted again gives itself.
    """
    draft = parse(registry, registry.operation(operation), dict(request))
    notes = [*draft.notes]
    time = SongTime(_resolve_conditioning(registry, draft.conditioning))
    shared = _shared_source(registry, draft, world, time)
    if draft.regions:
        draft = _with_regions(registry, draft, world, shared, time)
    if not 1 <= len(draft.stages) <= limits.MAX_STAGES:
        raise BadRequest(
            f"a job has 1 to {limits.MAX_STAGES} stages", field="stages", limits={"max": limits.MAX_STAGES}
        )
    draft.stages = [
        _counted(
            draft, index, lambda s=stage: _with_model(_resolve_stage(registry, s, draft.output.variants, notes), world)
        )
        for index, stage in enumerate(draft.stages)
    ]
    first = shared[1] if shared is not None else _first_named(registry, draft, world)
    rate = shared[1].rate if shared is not None else draft.output.rate or (first.rate if first else limits.CODEC_RATE)
    draft.output = time.delivered(draft.output, rate)
    where = (0, draft.output.length) if shared is None else (shared[1].start, shared[1].length)
    conditioning = time.settled(rate, *where)
    part = _requested_length(draft.output, conditioning, first, whole=shared is not None)
    around = Surroundings(time=_without_duration(time), wish=conditioning, shared=shared)
    inputs = Inputs(draft, world, part, around)
    plans = _plan_chain(registry, draft, world, inputs)
    inputs.check_regions()
    if inputs.unused():
        notes.append("no stage works on the source; it only says rate and length")
    output = resolve_output(draft, plans, inputs.found, part)
    stages = tuple(
        Stage(stage.type, stage.params, source=_canonical(stage, given), returns=returns)
        for stage, given, returns in zip(
            draft.stages, inputs.found, resolve_returns(draft, plans, inputs, output), strict=True
        )
    )
    if shared is None and leaves_length_open(conditioning, plans, draft.output):
        output = msgspec.structs.replace(output, length=None)
    source = None if shared is None else shared[0]
    render = Render(
        stages=stages,
        conditioning=conditioning,
        source=source,
        output=output,
        weights=draft.weights,
        made_with=draft.made_with,
        made_on=draft.made_on,
    )
    notes += [*time.notes, *inputs.time.notes, *metre_notes(conditioning.time_signature)]
    if any(plan.length is Length.REQUEST for plan in plans):
        notes += _length_notes(draft.output, conditioning, part, open_end=output.length is None)
    models = [world.model(stage.params.model) for stage in draft.stages]
    notes += check_thinking(conditioning, plans, output, models)
    _require_codes(draft, plans, conditioning, world)
    notes += [f"{model.name}: {model.assumed}" for model in models if model.assumed]
    notes += _rate_notes(plans, inputs.found, part, first)
    files = [shared[1]] if shared is not None else []
    files += [given.facts for given in inputs.found if given.facts is not None]
    notes += [note for facts in files for note in facts.notes]
    told = (*notes, *(note for plan in plans for note in plan.notes))
    return Admitted(render=render, plans=plans, inputs=tuple(inputs.found), notes=tuple(dict.fromkeys(told)))


def _shared_source(registry: Registry, draft: Draft, world: World, time: SongTime) -> tuple[Source, SourceFacts] | None:
    """The job's own source, which stages work on that name no other. The duration is its region's, unless something new is made."""
    if draft.source is None:
        return None
    if draft.source.stage is not None:
        raise BadRequest("the job's source is audio; only a stage's source names another stage", field="source.stage")
    new = any(registry.stage(stage.type).source == "none" for stage in draft.stages)
    return open_source(draft.source, world, _without_duration(time) if new or not draft.selected else time)


def _first_named(registry: Registry, draft: Draft, world: World) -> SourceFacts | None:
    """The first file that a stage names, in a job without a source of its own that makes nothing new: its rate and channels are
    the job's."""
    if any(registry.stage(stage.type).source == "none" for stage in draft.stages):
        return None
    named = (stage.source for stage in draft.stages if stage.source is not None)
    wish = next((wish for wish in named if wish.path or wish.upload or wish.latent), None)
    if wish is None:
        return None
    try:
        facts = world.probe(
            Source(path=wish.path, upload=wish.upload, latent=wish.latent, fingerprint=wish.fingerprint)
        )
    except AceError:  # the stage's own check says what is wrong, and where
        return None
    return SourceFacts(rate=facts.rate, channels=facts.channels, frames=facts.frames, start=0, length=facts.frames)


def _without_duration(time: SongTime) -> SongTime:
    """The time of sources whose region is not the job's duration."""
    return SongTime(msgspec.structs.replace(time.wish, duration=None))


def _canonical(stage: StageWish, given: StageInput) -> Source | None:
    """The source that a stage names, in whole samples; none where it names none."""
    if stage.source is None:
        return None
    return Source(stage=stage.source.stage, start=None) if given.latent is not None else given.source


def _with_regions(
    registry: Registry, draft: Draft, world: World, shared: tuple[Source, SourceFacts] | None, time: SongTime
) -> Draft:
    """A flat request for several regions as a chain of the same stage."""
    assert shared is not None
    whole = shared[1]
    regions = [SourceWish(**msgspec.structs.asdict(region)) for region in draft.regions]
    placed = [
        inside(f"regions[{index}]", lambda r=region: place(r, whole, time)) for index, region in enumerate(regions)
    ]
    stage = draft.stages[0]
    plan = _plan(registry, stage, placed[0], world.model(stage.params.model))
    if plan.splice:
        if plan.extend:
            raise BadRequest(f"{stage.type} works on one region", field="regions")
        check_apart(placed)
    draft.stages = spread(stage, regions, in_place=plan.splice)
    return draft


def _counted(draft: Draft, index: int, check: Callable[[], R]) -> R:
    """A check of one stage, whose error says which one where there are several."""
    return of_stage(index, check) if draft.chained else check()


def _require_codes(draft: Draft, plans: tuple[Plan, ...], wish: Conditioning, world: World) -> None:
    """See that every stage's model can read the codes that it gets. Raises `ModelUnsuited`."""
    planning = wants_planning(wish, plans)
    for index, (stage, plan) in enumerate(zip(draft.stages, plans, strict=True)):
        guide = wish.guide if stage.params.guide is None else stage.params.guide
        model = world.model(stage.params.model)
        planned = planning and plan.semantic_codes
        _counted(draft, index, lambda p=plan, g=guide, m=model, t=planned: require_codes(p, g, wish, m, planned=t))


_NAMERS: dict[str, Callable[..., str]] = {
    "tracks": music.track_name,
    "keys": music.key_name,
    "metres": music.metre_name,
    "languages": language_name,
}


def _resolve_names(registry: Registry, value: Any) -> Any:
    """The same struct with every field that is declared with a table of choices checked and spelled canonically."""
    changes: dict[str, Any] = {}
    for info in describe(type(value)):
        if info.choices_from is None:
            continue
        given = getattr(value, info.name)
        if isinstance(given, list):
            changes[info.name] = [_resolve_name(registry, info.choices_from, item, info.name) for item in given]
        elif isinstance(given, str) and given not in ("", "auto"):
            changes[info.name] = _resolve_name(registry, info.choices_from, given, info.name)
    return msgspec.structs.replace(value, **changes)


def _resolve_name(registry: Registry, table: str, given: str, field: str) -> str:
    if table == "samplers":
        return registry.sampler(given).name
    if table == "schedules":
        return registry.schedule(given).name
    if table == "guidance":
        return registry.guidance_method(given).name
    if table in _NAMERS:
        return _NAMERS[table](given, field=field)
    allowed = registry.choices(table)
    if allowed and given not in allowed:
        raise UnknownName(f"there is no {field} {quoted(given)}", field=field, limits={"choices": allowed})
    return given


def check_names(registry: Registry, draft: Draft) -> None:
    """See that every sampler, key, track ... that a draft names exists. Raises `UnknownName` that says where."""
    inside("conditioning", lambda: _resolve_conditioning(registry, draft.conditioning))
    for index, stage in enumerate(draft.stages):
        of_stage(index, lambda s=stage: _resolve_names(registry, s.params))


def _resolve_conditioning(registry: Registry, conditioning: Conditioning) -> Conditioning:
    return _resolve_names(registry, conditioning)


def _resolve_stage(registry: Registry, stage: StageWish, variants: int, notes: list[str]) -> StageWish:
    params: StageParams = _resolve_names(registry, stage.params)
    notes.extend(_renamed(stage.params, params))
    if (params.guidance_start or 0.0) > params.guidance_end:
        raise BadRequest("guidance_start lies above guidance_end", field="guidance_start")
    _check_timesteps(params.timesteps)
    seeds = _seeds(params, variants)
    notes.extend(_seed_notes(params, variants))
    return msgspec.structs.replace(stage, params=msgspec.structs.replace(params, seed=seeds[0], seeds=seeds))


def _with_model(stage: StageWish, world: World) -> StageWish:
    """The stage with the model that it means by name, so that another default later changes nothing."""
    name = world.model(stage.params.model).name
    return msgspec.structs.replace(stage, params=msgspec.structs.replace(stage.params, model=name))


_TOLD = frozenset({"samplers", "schedules", "guidance"})
"""Tables whose aliases may only be the nearest to what was asked for, so that results tell which entry was used."""


def _renamed(given: StageParams, used: StageParams) -> list[str]:
    """A sentence per method that was called by an alias."""
    names = [info.name for info in describe(type(used)) if info.choices_from in _TOLD]
    pairs = [(name, getattr(given, name), getattr(used, name)) for name in names]
    return [f"{name} {asked} runs as {runs}" for name, asked, runs in pairs if asked != runs]


def _check_timesteps(timesteps: list[float] | None) -> None:
    if timesteps is None:
        return
    falling = all(a > b for a, b in itertools.pairwise(timesteps))
    if (
        not timesteps
        or not falling
        or not 0 < timesteps[0] <= 1
        or timesteps[-1] < 0
        or len(timesteps) > limits.MAX_STEPS + 1
    ):
        raise BadRequest(
            "timesteps fall strictly, from at most 1 to at least 0",
            field="timesteps",
            limits={"min": 0, "max": 1, "max_length": limits.MAX_STEPS + 1},
        )


def _seed_notes(params: StageParams, variants: int) -> list[str]:
    """About seeds that are given and not used."""
    given, notes = params.seeds or [], []
    if len(given) > variants:
        results = "one result" if variants == 1 else f"{variants} results"
        notes.append(
            f"{len(given)} seeds are given for {results}: {', '.join(map(str, given[variants:]))} are not used"
        )
    if given and params.seed >= 0 and params.seed != given[0]:
        notes.append(f"seed {params.seed} changes nothing beside seeds, which begin with {given[0]}")
    return notes


def _seeds(params: StageParams, variants: int) -> list[int]:
    """A seed per variant: the given ones in order, the rest random, all written into the request."""
    given = list(params.seeds or []) or ([params.seed] if params.seed >= 0 else [])
    if any(not -1 <= seed <= limits.MAX_SEED for seed in given):
        raise BadRequest(
            "seeds are 0 to 4294967295, -1 for random", field="seeds", limits={"min": -1, "max": limits.MAX_SEED}
        )
    filled = [*given, *[-1] * variants][:variants]
    source = random.SystemRandom()
    return [seed if seed >= 0 else source.randint(0, limits.MAX_SEED) for seed in filled]


def _plan_chain(registry: Registry, draft: Draft, world: World, inputs: Inputs) -> tuple[Plan, ...]:
    """A Plan per stage, with what it works on settled in ``inputs``."""

    def settle(index: int, stage: StageWish) -> Plan:
        given, model = inputs.find(index, stage), world.model(stage.params.model)
        plan = _plan(registry, stage, inputs.seen(given), model)
        inputs.settle(index, given, plan, model)
        return plan

    return tuple(
        _counted(draft, index, lambda i=index, s=stage: settle(i, s)) for index, stage in enumerate(draft.stages)
    )


def _plan(registry: Registry, stage: StageWish, facts: SourceFacts | None, model: ModelInfo) -> Plan:
    try:
        return registry.stage(stage.type).plan(stage.params, facts, model)
    except AceError:
        raise
    except Exception as failure:  # a plug-in's own code may raise anything
        raise PluginFailed(f"stage type {stage.type} failed to plan: {failure}", field="type") from failure


def _length_notes(output: Output, wish: Conditioning, part: SourceFacts, *, open_end: bool) -> list[str]:
    """About a length that nobody gave, or that is given twice."""
    if output.length is None and wish.duration is None and not open_end:
        return [f"no length is given: the part lasts {part.frames / part.rate:g} s"]
    if output.length is None or wish.duration is None or abs(wish.duration - output.length / part.rate) < 0.01:
        return []
    return [f"length is {output.length / part.rate:g} s, so duration {wish.duration:g} s changes nothing"]


def _rate_notes(
    plans: tuple[Plan, ...], inputs: list[StageInput], part: SourceFacts, first: SourceFacts | None
) -> list[str]:
    """About sources of another rate than the job's first: its new files all have one rate."""
    usual = (part.rate, first.rate if first is not None else part.rate)
    return [
        f"stage {index} works on a sound of {given.facts.rate} Hz; what it makes new is written at {part.rate} Hz"
        for index, (plan, given) in enumerate(zip(plans, inputs, strict=True), 1)
        if given.source is not None and given.facts is not None and not plan.splice and given.facts.rate not in usual
    ]


DEFAULT_DURATION = 30.0
"""Seconds of a new part when nothing says how long: the model's own default in its metadata prompt."""


def _requested_length(output: Output, wish: Conditioning, facts: SourceFacts | None, *, whole: bool) -> SourceFacts:
    """Rate, channels and length that a new part would have: asked for, else the duration, else the source's, else 30 s.

    ``facts`` are the source's; ``whole``: it is the job's own, so that its length counts too.
    """
    rate = output.rate or (facts.rate if facts is not None else limits.CODEC_RATE)
    channels = output.channels or (facts.channels if facts is not None else 2)
    seconds = wish.duration
    if seconds is None:
        seconds = facts.length / facts.rate if facts is not None and whole else DEFAULT_DURATION
    frames = output.length if output.length is not None else samples(seconds, rate)
    return SourceFacts(rate=rate, channels=channels, frames=frames, start=0, length=frames)
