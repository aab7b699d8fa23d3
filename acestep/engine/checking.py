"""Checks what a stage made before it is written: heard, told, made again with another seed, or conformed, as the job asks."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from acestep.admission.song_time import SongTime
from acestep.analysis.beat import BeatFinder
from acestep.api import limits
from acestep.api.metre import Metre, parse_metre
from acestep.api.plan import Fill, SourceFacts
from acestep.api.request import Stage
from acestep.audio.read import read_window
from acestep.checkpoints.load import Model
from acestep.engine.chain import Chain, Job
from acestep.engine.conform import MOST
from acestep.engine.deliver import VariantSound
from acestep.engine.source import OpenSource
from acestep.engine.truth import LONGEST, Expected, Verdict, judge

RETRIES = 2
"""Further seeds that are tried for a part."""

EXACT = 0.0005
"""Share of a tempo that is not worth conforming: half a millisecond in a second."""

Remake = Callable[[int, str], VariantSound]
"""Makes a variant again, with the seed that the chain has for it now, shown under a name."""


def is_checked(chain: Chain, index: int, model: Model) -> bool:
    """Whether what a stage makes is listened to: new sound that is returned, of a model that was trained. A stem that is cut out
    of its source is what the source is."""
    stage = chain.stages[index]
    return bool(
        chain.render.output.check != "off"
        and chain.roles(index)
        and model.info.trained
        and not stage.plan.soft_mask
        and not (stage.plan.splice and chain.facts(index) is not None)
    )


def expected(chain: Chain, index: int) -> Expected:
    """What the wish says of a stage's part; beside given audio, tempo and beat are that audio's where the wish has none."""
    wish, facts, sound = chain.render.conditioning, chain.facts(index), chain.sound_of(index, 0)
    metre = parse_metre(wish.time_signature) if wish.time_signature else Metre()
    rate = facts.rate if facts is not None else chain.windows[index].rate
    start = facts.start if facts is not None else 0
    told = Expected(metre=metre, key=wish.key)
    if wish.tempo_map is not None or wish.bar_offset is not None or (wish.bpm is not None and facts is None):
        tempo = SongTime(wish).tempo(rate)
        assert tempo is not None
        length = facts.length if facts is not None else chain.windows[index].region_length
        if len({stretch.bpm for stretch in tempo.stretches}) > 1:
            return told  # a tempo that changes is no single number
        beat = (tempo.bar_sample(1) - start) / rate % (60 / tempo.bpm(start, start + length))
        return dataclasses.replace(told, bpm=tempo.bpm(start, start + length), beat=beat)
    if facts is not None and sound is not None and chain.stages[index].plan.fill is Fill.SOURCE:
        return _of_source(sound, facts, dataclasses.replace(told, bpm=wish.bpm))
    return dataclasses.replace(told, bpm=wish.bpm)


def _of_source(sound: OpenSource, facts: SourceFacts, told: Expected) -> Expected:
    """Tempo and beat of the audio that a part shall go with."""
    length = min(facts.length, round(LONGEST * facts.rate))
    beat = BeatFinder(read_window(sound.path, sound.layout, facts.start, length), facts.rate).find(told.bpm, told.metre)
    if beat is None or not beat.clear:
        return told
    return dataclasses.replace(told, bpm=beat.bpm, beat=beat.bar, source="the audio it was made for")


def check_variant(job: Job, index: int, variant: VariantSound, wanted: Expected, remake: Remake) -> VariantSound:
    """The variant, heard; made again where that is asked and needed. The best of what was made is returned, and all is told."""
    chain = job.chain
    tried = [_heard(chain, index, variant, wanted)]
    best = variant, tried[0]
    seeds = [variant.seed]
    while chain.render.output.check == "retry" and best[1].problems and len(tried) <= RETRIES:
        seeds.append(random.Random(f"{variant.seed}/retry/{len(tried)}").randint(0, limits.MAX_SEED))
        _reseed(chain, index, variant.index, seeds[-1])
        made = remake(variant.index, f"{chain.stages[index].stage.type} (retry {len(tried)})")
        tried.append(_heard(chain, index, made, wanted))
        if tried[-1].weight < best[1].weight:
            best = made, tried[-1]
    if best[0].seed != seeds[-1]:  # an earlier one was better: its latents are the chain's again
        _reseed(chain, index, variant.index, best[0].seed)
        best = remake(variant.index, chain.stages[index].stage.type), best[1]
    if chain.render.output.check == "conform" and MOST >= abs(best[1].speed - 1) > EXACT and chain.facts(index) is None:
        best = _conformed(chain, variant, best[1], remake), best[1]
    _tell(chain, index, best, list(zip(seeds, tried, strict=True)))
    return best[0]


def _heard(chain: Chain, index: int, variant: VariantSound, wanted: Expected) -> Verdict:
    facts = chain.facts(index)
    rate = facts.rate if facts is not None else chain.windows[index].rate
    return judge(variant.samples, rate, wanted)


def _reseed(chain: Chain, index: int, variant: int, seed: int) -> None:
    """Give a variant of a stage another seed, in the chain and in the recipe."""
    stage = chain.stages[index]
    seeds = list(stage.params.seeds or [stage.params.seed] * chain.render.output.variants)
    seeds[variant] = seed
    params = msgspec.structs.replace(stage.params, seed=seeds[0], seeds=seeds)
    changed: Stage = msgspec.structs.replace(stage.stage, params=params)
    chain.stages[index] = dataclasses.replace(stage, stage=changed)
    chain.recipe = copy.deepcopy(chain.recipe)
    chain.recipe["request"]["stages"][index] |= {"seed": seeds[0], "seeds": seeds}


def _conformed(chain: Chain, variant: VariantSound, verdict: Verdict, remake: Remake) -> VariantSound:
    """The variant played at the speed that gives its asked tempo."""
    chain.conform = dataclasses.replace(chain.conform, speed=chain.conform.speed * verdict.speed)
    cents = 1200 * float(np.log2(verdict.speed))
    chain.note(
        f"{verdict.heard['bpm']:.2f} bpm were heard and conformed to what was asked: the pitch moves by {cents:+.1f} cents"
    )
    return remake(variant.index, "")


def _tell(chain: Chain, index: int, best: tuple[VariantSound, Verdict], tried: list[tuple[int, Verdict]]) -> None:
    """Notes about what is not as asked, and everything that was heard as data."""
    variant, verdict = best
    name = f"take {variant.index + 1}: " if chain.render.output.variants > 1 else ""
    if len(tried) > 1:
        count = len(tried) - 1
        chain.note(
            f"{name}made again {count} time{'s' if count > 1 else ''} with other seeds: {'; '.join(tried[0][1].problems)}"
        )
    chain.note(*(f"{name}{sentence}" for sentence in (*verdict.problems, *verdict.remarks)))
    found = {"stage": index + 1, "variant": variant.index, "seed": variant.seed, "heard": verdict.heard}
    found["problems"] = list(verdict.problems)
    if len(tried) > 1:
        found["tried"] = [{"seed": seed, "heard": one.heard, "problems": list(one.problems)} for seed, one in tried]
        made = {"stage": index + 1, "variant": variant.index, "seeds": [seed for seed, _ in tried]}
        chain.recipe = {**chain.recipe, "tried": [*chain.recipe.get("tried", []), made]}
    chain.checks.append(found)


def checked(
    job: Job, index: int, model: Model, variants: Iterator[VariantSound], remake: Remake
) -> Iterator[VariantSound]:
    """The variants of a stage, each heard before it is handed on. With retries all are heard first, so that every file's recipe
    names the seeds of all."""
    if not is_checked(job.chain, index, model):
        yield from variants
        return
    wanted, base = expected(job.chain, index), job.chain.conform

    def one(variant: VariantSound) -> VariantSound:
        with job.clock.measure("check"):
            return check_variant(job, index, variant, wanted, remake)

    if job.chain.render.output.check == "retry":
        yield from [one(variant) for variant in variants]
        return
    for variant in variants:
        yield one(variant)
        job.chain.conform = base
