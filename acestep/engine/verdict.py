"""Whether a newly made part is what was asked for: tempo, place on the grid, key and level are heard and compared.

What is not as asked is told, made again with another seed, or conformed, as the job asks (`Output.check`), before anything is
written.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acestep.admission.song_time import SongTime
from acestep.analysis.beat import Beat, BeatFinder, pulse
from acestep.analysis.harmony import LikelyKeys, find_keys
from acestep.analysis.level import find_level
from acestep.api import limits
from acestep.api.metre import Metre, parse_metre
from acestep.api.plan import Fill, SourceFacts
from acestep.api.request import Stage
from acestep.audio.read import read_window
from acestep.engine.deliver import VariantSound
from acestep.engine.render_state import RETRIES, StageState
from acestep.engine.source_encoder import OpenSource
from acestep.engine.stage_files import crossfades_of
from acestep.engine.takes import wants_measure
from acestep.engine.tempo import MAX_CONFORM

SHORTEST = 4.0
"""Seconds below which a part says too little of its tempo."""

LONGEST = 60.0
"""Seconds that are listened to."""

TEMPO = 0.01
"""Share by which a heard tempo may differ from the asked one."""

GRID = "the grid"
"""What beats are held against where the request says the tempo."""

AROUND = 20.0
"""Seconds beside a region that are listened to: far enough for a clear beat, near enough to count it on without drift."""

LEVELS = (1 / 3, 0.5, 2 / 3, 1.0, 4 / 3, 1.5, 2.0, 3.0)
"""Metrical levels at which the asked pulse may be heard: halves, doubles and threes of it are the same time."""

SPOKEN = {
    1 / 3: "a third of", 0.5: "half of", 2 / 3: "two thirds of", 4 / 3: "four thirds of", 1.5: "one and a half times",
    2.0: "double", 3.0: "three times",
}  # fmt: skip
"""What a level is of the asked tempo, for sentences."""

SPARSE = 0.8
"""Share of the regularity of half a tempo below which that tempo's own pulse is too thin: the part is felt in half-time."""

OFF = 0.06
"""Seconds by which beats may lie off the grid: what a musician calls loose."""

RIVAL = 0.6
"""Least share of the clearest tempo's regularity at which the asked one counts as heard too."""


@dataclass(frozen=True)
class Expected:
    """What a part should be: quarters a minute, seconds from its start to a beat of the grid, metre, key; none: not asked."""

    bpm: float | None = None
    beat: float | None = None
    metre: Metre = field(default_factory=Metre)
    key: str = ""
    source: str = GRID
    """What the beat is that of, for sentences."""

    @property
    def tempo(self) -> str:
        """The tempo and where it comes from, as a sentence begins."""
        return f"asked for {self.bpm:g} bpm" if self.source == GRID else f"{self.source} has {self.bpm:.1f} bpm"


@dataclass(frozen=True)
class Verdict:
    """What was heard, and a sentence for everything that is not as asked. ``speed``: what the part would have to be played at
    to have the asked tempo exactly; 1 where that is not known."""

    heard: dict[str, Any]
    problems: tuple[str, ...] = ()
    speed: float = 1.0
    remarks: tuple[str, ...] = ()
    """Sentences about what is as asked and may surprise all the same."""

    @property
    def weight(self) -> float:
        """How far off the part is, to choose the best of several: the number of problems, then the error of the tempo."""
        return len(self.problems) + min(abs(self.speed - 1), 0.99)


def judge(sound: NDArray[np.float32], rate: int, expected: Expected) -> Verdict:
    """Listen to a part [channels, samples] and compare it with what was asked."""
    level = find_level(sound, rate)
    heard: dict[str, Any] = {"loudness": round(level.loudness, 1), "peak": round(level.peak, 1)}
    if level.silent:
        return Verdict(heard, (f"it is nearly silent ({level.loudness:.0f} LUFS)",))
    if sound.shape[-1] < SHORTEST * rate:
        return Verdict(heard)
    finder = BeatFinder(sound[..., : round(LONGEST * rate)], rate)
    remarks: list[str] = []
    problems = [*_tempo(finder, expected, heard, remarks), *_key(find_keys(finder.pitches), expected, heard)]
    speed = expected.bpm / heard["bpm"] if expected.bpm and "bpm" in heard and not problems else 1.0
    return Verdict(heard, tuple(problems), speed, tuple(remarks))


def _tempo(finder: BeatFinder, expected: Expected, heard: dict[str, Any], remarks: list[str]) -> list[str]:
    found = finder.find(None, expected.metre)
    if found is None or not found.clear:
        heard["beat"] = "none that is clear"
        return []
    if expected.bpm is None:
        heard |= {"bpm": round(found.bpm, 2)}
        return []
    at_asked = finder.find(expected.bpm, expected.metre)
    if at_asked is None or not (_same(found.bpm, expected.bpm) or at_asked.clarity > RIVAL * found.clarity):
        heard |= {"bpm": round(found.bpm, 2)}
        return [f"{expected.tempo}, {found.bpm:.1f} are heard"]
    heard |= {"bpm": round(at_asked.bpm, 3)}
    if abs(at_asked.bpm / expected.bpm - 1) > TEMPO:
        return [f"{expected.tempo}, {at_asked.bpm:.1f} are heard"]
    slower = finder.find(expected.bpm / 2, expected.metre)
    if slower is not None and at_asked.clarity < SPARSE * slower.clarity:
        remarks += _felt(slower.bpm, expected.bpm, heard)
    elif found.bpm > expected.bpm:
        remarks += _felt(found.bpm, expected.bpm, heard)
    return _phase(finder, at_asked, expected, heard)


def _felt(found: float, asked: float, heard: dict[str, Any]) -> list[str]:
    """That a part is on the grid and its pulse is felt at another level: half-time and its kin."""
    level = min(SPOKEN, key=lambda one: abs(found / (asked * one) - 1))
    if not _near(found, asked * level) or _near(found, asked):
        return []
    heard["felt"] = round(found, 2)
    return [f"asked for {asked:g} bpm; it is heard as {found:.0f}, {SPOKEN[level]} {asked:g}"]


def _same(heard: float, asked: float) -> bool:
    return any(_near(heard, asked * level) for level in LEVELS)


def _near(heard: float, asked: float) -> bool:
    return abs(heard / asked - 1) < 2 * TEMPO


def _phase(finder: BeatFinder, beat: Beat, expected: Expected, heard: dict[str, Any]) -> list[str]:
    """How far the beats lie off, at the tempo that was asked; the nearest beat counts."""
    if expected.beat is None or expected.bpm is None:
        return []
    period = pulse(expected.metre) * 60 / expected.bpm
    place = finder.bar(expected.bpm, expected.metre)
    off = (place - expected.beat + period / 2) % period - period / 2
    heard["off"] = round(off, 4)
    if abs(off) <= OFF:
        return []
    return [f"its beats come {abs(off) * 1000:.0f} ms {'after' if off > 0 else 'before'} those of {expected.source}"]


def _key(keys: LikelyKeys | None, expected: Expected, heard: dict[str, Any]) -> list[str]:
    if keys is None:
        return []
    heard["key"] = keys.name
    if not expected.key or keys.allow(expected.key):
        return []
    return [f"asked for {expected.key}, it sounds like {keys.name}"]


EXACT = 0.0005
"""Share of a tempo that is not worth conforming: half a millisecond in a second."""

Remake = Callable[[int, str], VariantSound]
"""Makes a variant again, with the seed and the speed that the render has for it now, shown under a name."""


def checked(stage: StageState, variants: Iterator[VariantSound], remake: Remake) -> Iterator[VariantSound]:
    """The variants of a stage, each heard before it is handed on."""
    if not is_checked(stage):
        yield from variants
        return
    check = VariantCheck(stage, expected(stage), remake)
    if stage.state.render.output.check == "retry":
        # all before the first is written: every file's recipe names the seeds of all variants
        yield from [check(variant) for variant in variants]
        return
    base = stage.state.conform
    for variant in variants:
        yield check(variant)
        stage.state.conform = base  # each variant is conformed by what was heard in it alone


def is_checked(stage: StageState) -> bool:
    """Whether what a stage makes is listened to: new sound that is returned, of a model that was trained. A stem that is cut out
    of its source is what the source is."""
    return bool(
        (stage.state.render.output.check != "off" or wants_measure(stage.state.render.output))
        and stage.roles
        and stage.model.info.trained
        and not stage.plan.soft_mask
    )


def expected(stage: StageState) -> Expected:
    """What the request says of a stage's part; beside given audio, tempo and beat are that audio's where it says nothing."""
    asked, facts, sound = stage.state.render.conditioning, stage.facts, stage.sound_of(0)
    metre = parse_metre(asked.time_signature) if asked.time_signature else Metre()
    rate, start = stage.rate, facts.start if facts is not None else 0
    found = Expected(metre=metre, key=asked.key)
    if asked.tempo_map is not None or asked.bar_offset is not None or (asked.bpm is not None and facts is None):
        tempo = SongTime(asked).tempo(rate)
        assert tempo is not None
        length = facts.length if facts is not None else stage.window.region_length
        if len({stretch.bpm for stretch in tempo.stretches}) > 1:
            return found  # a tempo that changes is not a single number
        beat = (tempo.bar_sample(1) - start) / rate % (60 / tempo.bpm(start, start + length))
        return dataclasses.replace(found, bpm=tempo.bpm(start, start + length), beat=beat)
    found = dataclasses.replace(found, bpm=asked.bpm)
    if facts is None or sound is None:
        return found
    if stage.plan.splice:
        return _of_surroundings(sound, facts, found)
    return _of_source(sound, facts, found) if stage.plan.fill is Fill.SOURCE else found


def _of_source(sound: OpenSource, facts: SourceFacts, asked: Expected) -> Expected:
    """Tempo and beat of the audio that a part should go with."""
    length = min(facts.length, round(LONGEST * facts.rate))
    beat = BeatFinder(read_window(sound.path, sound.layout, facts.start, length), facts.rate).find(
        asked.bpm, asked.metre
    )
    if beat is None or not beat.clear:
        return asked
    return dataclasses.replace(asked, bpm=beat.bpm, beat=beat.bar, source="the audio it was made for")


def _of_surroundings(sound: OpenSource, facts: SourceFacts, asked: Expected) -> Expected:
    """Tempo and beat of the audio around a region that is made new in its place: of the longer side, the nearest `AROUND`
    seconds of it, counted on to the region. Where both sides are too short, of what the region held."""
    reach = round(AROUND * facts.rate)
    first, last = max(facts.start, 0), min(facts.start + facts.length, facts.frames)
    sides = [(max(0, first - reach), first), (last, min(facts.frames, last + reach))]
    start, end = max(sides, key=lambda side: side[1] - side[0])
    source = "the audio around it"
    if end - start < SHORTEST * facts.rate:
        start, end, source = first, min(last, first + round(LONGEST * facts.rate)), "what was there"
    beat = BeatFinder(read_window(sound.path, sound.layout, start, end - start), facts.rate).find(
        asked.bpm, asked.metre
    )
    if beat is None or not beat.clear:
        return asked
    bar = asked.metre.bar * 60 / beat.bpm
    place = ((start - facts.start) / facts.rate + beat.bar) % bar
    return dataclasses.replace(asked, bpm=beat.bpm, beat=place, source=source)


@dataclass
class VariantCheck:
    """Hears one variant after the other; the best of what was made of each is returned, and everything is told."""

    stage: StageState
    wanted: Expected
    remake: Remake

    def __call__(self, variant: VariantSound) -> VariantSound:
        """The variant, made again where that is asked and needed."""
        with self.stage.clock.measure("check"):
            return self._check(variant)

    def _check(self, variant: VariantSound) -> VariantSound:
        mode, index = self.stage.state.render.output.check, variant.index
        tried = [self._hear(variant)]
        best = variant, tried[0]
        seeds = [variant.seed]
        while mode == "retry" and best[1].problems and len(tried) <= RETRIES:
            # drawn from the first seed, so that a recipe with that seed tries the same ones again
            seeds.append(random.Random(f"{variant.seed}/retry/{len(tried)}").randint(0, limits.MAX_SEED))
            self._reseed(index, seeds[-1])
            made = self.remake(index, f"{self.stage.type} (retry {len(tried)})")
            tried.append(self._hear(made))
            if tried[-1].weight < best[1].weight:
                best = made, tried[-1]
        if best[0].seed != seeds[-1]:  # an earlier one was better: its latents are the render's again
            self._reseed(index, best[0].seed)
            best = self.remake(index, self.stage.type), best[1]
        if mode == "conform" and self.stage.facts is None and MAX_CONFORM >= abs(best[1].speed - 1) > EXACT:
            best = self._conform(variant, best[1]), best[1]
        self._report(best, list(zip(seeds, tried, strict=True)))
        return best[0]

    def _hear(self, variant: VariantSound) -> Verdict:
        facts, before = self.stage.facts, crossfades_of(self.stage)[0].before
        length = variant.samples.shape[-1] if facts is None else facts.length
        return judge(variant.samples[..., before : before + length], self.stage.rate, self.wanted)

    def _reseed(self, index: int, seed: int) -> None:
        """Give a variant another seed, in the render and in the recipe."""
        state, params = self.stage.state, self.stage.params
        seeds = list(params.seeds or [params.seed] * state.render.output.variants)
        seeds[index] = seed
        params = msgspec.structs.replace(params, seed=seeds[0], seeds=seeds)
        changed: Stage = msgspec.structs.replace(self.stage.resolved.stage, params=params)
        state.stages[self.stage.index] = dataclasses.replace(self.stage.resolved, stage=changed)
        state.recipe = copy.deepcopy(state.recipe)  # files that are written already keep theirs
        state.recipe["request"]["stages"][self.stage.index] |= {"seed": seeds[0], "seeds": seeds}

    def _conform(self, variant: VariantSound, verdict: Verdict) -> VariantSound:
        """The variant played at the speed that gives its asked tempo."""
        state = self.stage.state
        state.conform = dataclasses.replace(state.conform, speed=state.conform.speed * verdict.speed)
        cents = 1200 * math.log2(verdict.speed)
        self.stage.note(
            f"{verdict.heard['bpm']:.2f} bpm were heard and conformed to what was asked: the pitch moves by {cents:+.1f} cents"
        )
        return self.remake(variant.index, "")

    def _report(self, best: tuple[VariantSound, Verdict], tried: list[tuple[int, Verdict]]) -> None:
        """Notes about what is not as asked, and everything that was heard as data."""
        (variant, verdict), state, number = best, self.stage.state, self.stage.index + 1
        name = f"take {variant.index + 1}: " if state.render.output.variants > 1 else ""
        if len(tried) > 1:
            count = len(tried) - 1
            problems = "; ".join(tried[0][1].problems)
            state.note(f"{name}made again {count} time{'s' if count > 1 else ''} with other seeds: {problems}")
        state.note(*(f"{name}{sentence}" for sentence in (*verdict.problems, *verdict.remarks)))
        found = {"stage": number, "variant": variant.index, "seed": variant.seed, "heard": verdict.heard}
        found["problems"] = list(verdict.problems)
        if len(tried) > 1:
            found["tried"] = [{"seed": seed, "heard": one.heard, "problems": list(one.problems)} for seed, one in tried]
            made = {"stage": number, "variant": variant.index, "seeds": [seed for seed, _ in tried]}
            state.recipe = {**state.recipe, "tried": [*state.recipe.get("tried", []), made]}
        state.checks.append(found)
