"""The time that a job's guide runs on: what the request says, else what is heard around the region, else a plain assumption."""

from __future__ import annotations

import math

import msgspec

from acestep.admission.song_time import SongTime
from acestep.analysis.beat import Beat, BeatFinder
from acestep.api.conditioning import Conditioning
from acestep.api.metre import Metre, parse_metre
from acestep.api.tempo_map import TempoMap
from acestep.audio.read import read_window
from acestep.conditioning.guide_text import parse_guide
from acestep.engine.chain import Chain, Job
from acestep.engine.conditions import DEFAULT_BPM
from acestep.engine.geometry import Window
from acestep.engine.guides import guide_text
from acestep.engine.source import OpenSource

LATE = 0.05
"""Bars: a region that begins this little before a bar line begins with that bar."""

AROUND = 20.0
"""Seconds a side of the region that are listened to."""

LONGEST = 60.0
"""Seconds that are listened to at most."""

EXACT = 0.02
"""Seconds: a bar line heard this near to the file's beginning is its beginning."""

DRIFT = 0.005
"""Share by which the tempo that is heard may differ from the one that is given before it is told."""


def settle_pulse(job: Job, index: int) -> None:
    """Give the chain its time on the timeline of a stage that follows a guide. What was assumed is noted and, as numbers, written
    into the request, so that the recipe holds it and later stages share it."""
    chain = job.chain
    stage = chain.stages[index]
    text = guide_text(stage.plan, stage.params, chain.render.conditioning, stage.model)
    if not text:
        return
    window, wish = chain.windows[index], chain.render.conditioning
    if wish.tempo_map is None and wish.bar_offset is None and (sound := chain.sound_of(index, 0)) is not None:
        wish = _listen(chain, sound, window, wish)
    if wish.tempo_map is None and wish.bpm is None:
        chain.note(f"no tempo is given; the guide runs at {DEFAULT_BPM:.0f} bpm")
        wish = msgspec.structs.replace(wish, bpm=DEFAULT_BPM)
    tempo = SongTime(wish).tempo(window.rate)
    assert tempo is not None
    chain.tempo = tempo
    chain.first_bar = _first_bar(chain, tempo, window, text)


def _listen(chain: Chain, source: OpenSource, window: Window, wish: Conditioning) -> Conditioning:
    """The wish with the tempo and bar 1 that are heard around the region, where a beat is heard; also in the chain's request."""
    metre = parse_metre(wish.time_signature) if wish.time_signature else Metre()
    first, beat = _beat_around(source, window, wish.bpm, metre)
    if beat is None or not beat.clear:
        if wish.bpm is not None:
            chain.note("no beat could be heard around the region; bar 1 of the guide is taken to begin with the file")
        return wish
    bpm = beat.bpm if wish.bpm is None else wish.bpm
    bar = metre.bar * 60 / bpm
    offset = (first / window.rate + beat.bar + bar / 2) % bar - bar / 2
    found: dict[str, float | int] = {"bar_offset": 0 if abs(offset) < EXACT else round(offset * window.rate)}
    if wish.bpm is None:
        found["bpm"] = round(bpm, 2)
        chain.note(f"no tempo is given; {bpm:.2f} bpm were heard around the region")
    elif abs(beat.bpm / wish.bpm - 1) > DRIFT:
        chain.note(f"{beat.bpm:.2f} bpm are heard around the region, not {wish.bpm:g}")
    if found["bar_offset"]:
        chain.note(
            f"bar 1 was heard at {offset:.3f} s and the guide follows it; bar_offset or a tempo map says otherwise"
        )
    chain.settle(**found)
    return msgspec.structs.replace(wish, **found)


def _beat_around(source: OpenSource, window: Window, bpm: float | None, metre: Metre) -> tuple[int, Beat | None]:
    """The first sample that was listened to, and the beat heard from there on."""
    rate, region = window.rate, window.start + window.region_start
    first = max(0, region - round(AROUND * rate))
    last = min(
        source.layout.frames, region + window.region_length + round(AROUND * rate), first + round(LONGEST * rate)
    )
    if last <= first:
        return first, None
    sound = read_window(source.path, source.layout, first, last - first)
    return first, BeatFinder(sound, rate).find(bpm, metre)


def _first_bar(chain: Chain, tempo: TempoMap, window: Window, text: str) -> int:
    """The bar with which the guide's chords begin; where that is not the region's own, what the region gets is noted."""
    wish = chain.render.conditioning
    here = math.floor(tempo.bar(window.start + window.region_start) + LATE)
    if wish.guide_from == "region":
        return here
    bars = parse_guide(text, wish.time_signature or "4", wish.key).bars if wish.guide else ()
    if len(bars) > 1 and here != 1:
        place = (here - 1) % len(bars) + 1
        chain.note(
            f"the chord line begins with bar 1 of the song: the region, from bar {here} on, begins with bar {place} of the line; "
            "guide_from region lets the line begin with the region"
        )
    return 1
