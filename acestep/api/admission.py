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

from acestep.api import limits, music
from acestep.api.draft import parse
from acestep.api.errors import AceError, BadPreset, BadRequest, PluginFailed, TooLarge, UnknownName
from acestep.api.plan import Fill, Length, Plan, SourceFacts
from acestep.api.region import check_region, check_span, resolve_source
from acestep.api.registry import Registry
from acestep.api.request import Conditioning, Output, Render, Stage, StageParams, samples
from acestep.api.schema import describe
from acestep.api.sentences import quoted
from acestep.api.song_time import SongTime, metre_notes
from acestep.api.variants import ModelInfo
from acestep.api.world import World


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A request that can be run: its canonical form and a Plan per stage."""

    render: Render
    plans: tuple[Plan, ...]
    facts: SourceFacts | None
    notes: tuple[str, ...] = ()


def admit(registry: Registry, operation: str, request: Mapping[str, Any], world: World) -> Admitted:
    """Check a render request in flat or nested form and make it canonical.

    Raises an `AceError` that names the field. The result's `Render` admitted again gives itself.
    """
    draft = parse(registry, registry.operation(operation), dict(request))
    notes: list[str] = []
    if not 1 <= len(draft.stages) <= limits.MAX_STAGES:
        raise BadRequest(
            f"a job has 1 to {limits.MAX_STAGES} stages", field="stages", limits={"max": limits.MAX_STAGES}
        )
    stages = tuple(
        _resolve_stage(registry, stage, index, draft.output.variants, notes) for index, stage in enumerate(draft.stages)
    )
    time = SongTime(_resolve_conditioning(registry, draft.conditioning))
    source, facts = resolve_source(draft.source, draft.selection, world, time)
    rate = facts.rate if facts is not None else draft.output.rate or limits.CODEC_RATE
    output = time.delivered(draft.output, rate)
    conditioning = time.settled(rate, *((facts.start, facts.length) if facts is not None else (0, output.length)))
    length = _requested_length(output, conditioning, facts)
    plans = _plan_chain(registry, stages, world, facts, length)
    if time.wish.duration is not None and any(plan.length is Length.REQUEST for plan in plans):
        region = SongTime(msgspec.structs.replace(time.wish, duration=None))  # the duration is the new part's
        source, facts = resolve_source(draft.source, draft.selection, world, region)
        plans = _plan_chain(registry, stages, world, facts, length)
    check_region(plans, facts)
    output = _resolve_output(output, plans, facts, length)
    render = Render(stages=stages, conditioning=conditioning, source=source, output=output)
    notes += [*time.notes, *metre_notes(conditioning.time_signature), *(note for plan in plans for note in plan.notes)]
    return Admitted(render=render, plans=plans, facts=facts, notes=tuple(notes))


_NAMERS: dict[str, Callable[..., str]] = {
    "tracks": music.track_name,
    "keys": music.key_name,
    "metres": music.metre_name,
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


def _resolve_conditioning(registry: Registry, conditioning: Conditioning) -> Conditioning:
    codes = conditioning.audio_codes
    if codes is not None and any(not 0 <= code < 64_000 for code in codes):
        raise BadRequest("audio codes are 0 to 63999", field="audio_codes", limits={"min": 0, "max": 63_999})
    return _resolve_names(registry, conditioning)


def _resolve_stage(registry: Registry, stage: Stage, index: int, variants: int, notes: list[str]) -> Stage:
    params: StageParams = _resolve_names(registry, stage.params)
    notes.extend(_renamed(stage.params, params))
    if params.input is not None and params.input >= index:
        raise BadPreset(
            f"stage {index} names stage {params.input}, which is not before it", field=f"stages[{index}].input"
        )
    if (params.guidance_start or 0.0) > params.guidance_end:
        raise BadRequest("guidance_start lies above guidance_end", field="guidance_start")
    _check_timesteps(params.timesteps)
    seeds = _seeds(params, variants)
    return Stage(stage.type, msgspec.structs.replace(params, seed=seeds[0], seeds=seeds))


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


def _plan_chain(
    registry: Registry, stages: tuple[Stage, ...], world: World, facts: SourceFacts | None, length: SourceFacts
) -> tuple[Plan, ...]:
    """A Plan per stage. A stage that continues an earlier one sees that stage's result as its source."""
    plans: list[Plan] = []
    results: list[SourceFacts | None] = []
    for index, stage in enumerate(stages):
        before = index - 1 if stage.params.input is None else stage.params.input
        given = facts if before < 0 else results[before]
        plan = _plan(registry, stage, given, world.model(stage.params.model))
        needs_audio = plan.start_from_source or plan.fill in (Fill.SOURCE, Fill.BOTTLENECK)
        if needs_audio and given is None:
            raise BadRequest(f"{stage.type} needs audio to work on", field="source")
        plans.append(plan)
        results.append(length if plan.length is Length.REQUEST else given)
    return tuple(plans)


def _plan(registry: Registry, stage: Stage, facts: SourceFacts | None, model: ModelInfo) -> Plan:
    try:
        return registry.stage(stage.type).plan(stage.params, facts, model)
    except AceError:
        raise
    except Exception as failure:  # a plug-in's own code may raise anything
        raise PluginFailed(f"stage type {stage.type} failed to plan: {failure}", field="type") from failure


def _resolve_output(output: Output, plans: tuple[Plan, ...], facts: SourceFacts | None, length: SourceFacts) -> Output:
    last = plans[-1]
    returns = output.returns if output.returns else [last.returns[0]]
    for role in returns:
        if role not in last.returns:
            raise BadRequest(
                f"this operation returns {', '.join(last.returns)}, not {role}",
                field="returns",
                limits={"choices": list(last.returns)},
            )
    makes_new = any(plan.length is Length.REQUEST for plan in plans)
    if makes_new and not 1 <= length.frames <= samples(limits.MAX_DURATION, length.rate):
        raise TooLarge(
            f"a part has 1 sample to {limits.MAX_DURATION:.0f} s",
            field="duration",
            limits={"min_samples": 1, "max": limits.MAX_DURATION, "unit": "s"},
        )
    if "span" in returns:
        check_span(output, facts)
    return msgspec.structs.replace(
        output,
        returns=list(returns),
        rate=length.rate,
        channels=length.channels,
        length=length.frames if makes_new else output.length,
    )


DEFAULT_DURATION = 30.0
"""Seconds of a new part when nothing says how long: the model's own default in its metadata prompt."""


def _requested_length(output: Output, wish: Conditioning, facts: SourceFacts | None) -> SourceFacts:
    """Rate, channels and length that a new part would have: asked for, else the duration, else the source's, else 30 s."""
    rate = output.rate or (facts.rate if facts is not None else limits.CODEC_RATE)
    channels = output.channels or (facts.channels if facts is not None else 2)
    seconds = wish.duration
    if seconds is None:
        seconds = facts.length / facts.rate if facts is not None else DEFAULT_DURATION
    frames = output.length if output.length is not None else samples(seconds, rate)
    return SourceFacts(rate=rate, channels=channels, frames=frames, start=0, length=frames)
