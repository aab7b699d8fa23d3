"""The parameters of a stage, written out before it plans: names, timesteps, a seed for every variant, the model by name."""

from __future__ import annotations

import random

import msgspec

from acestep.admission.host import HostInfo
from acestep.admission.names import alias_notes, resolve_names
from acestep.api import limits
from acestep.api.ability import fit_params
from acestep.api.errors import BadRequest
from acestep.api.registry import Registry
from acestep.api.request import StageParams
from acestep.api.times import custom_times


def resolve_params(
    registry: Registry, host: HostInfo, params: StageParams, variants: int
) -> tuple[StageParams, list[str]]:
    """The parameters with nothing left to chance or to another default, and sentences about what changed or is not used.

    Raises `UnknownName`, `BadRequest`, `ModelMissing`.
    """
    named = resolve_names(registry, params)
    if (named.guidance_start or 0.0) > named.guidance_end:
        raise BadRequest("guidance_start is above guidance_end", field="guidance_start")
    if named.timesteps is not None:
        custom_times(named.timesteps)
    seeds = _seeds(named, variants)
    model = host.model(named.model)
    fitted, remarks = fit_params(named, model, registry.families)
    notes = [*alias_notes(params, named), *_seed_notes(named, variants), *remarks]
    # by its name, so that another default later changes nothing
    return msgspec.structs.replace(fitted, seed=seeds[0], seeds=seeds, model=model.name), notes


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


def _seed_notes(params: StageParams, variants: int) -> list[str]:
    """About seeds that are given and not used."""
    given, notes = params.seeds or [], []
    if len(given) > variants:
        results = "one result" if variants == 1 else f"{variants} results"
        notes.append(
            f"{len(given)} seeds are given for {results}: {', '.join(map(str, given[variants:]))} are not used"
        )
    if given and params.seed >= 0 and params.seed != given[0]:
        notes.append(f"seed {params.seed} has no effect, because seeds is set and begins with {given[0]}")
    return notes
