"""The tempo of a render: how a fractional one is conformed, and which time a guide runs on.

The model knows whole beats per minute, so a new part is rendered at the nearest one and resampled by the small rest. A guide runs
on the time that the request gives, else on what is heard around the region, else on a plain assumption.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from acestep.admission.song_time import SongTime
from acestep.analysis.beat import Beat, BeatFinder
from acestep.analysis.harmony import chroma, find_keys
from acestep.api.conditioning import Conditioning
from acestep.api.metre import Metre, parse_metre
from acestep.api.plan import Length
from acestep.api.request import Render
from acestep.api.resolve import ResolvedStage, guide_of
from acestep.api.rounding import half_up
from acestep.api.tempo_map import TempoMap
from acestep.audio.read import read_window
from acestep.conditioning.guide_text import PULSE, PULSE_KEY, parse_guide
from acestep.engine.geometry import Window

if TYPE_CHECKING:
    from acestep.engine.source_encoder import OpenSource

MAX_CONFORM = 0.005
"""Largest change of speed; it moves the pitch by at most 9 cents."""

SAME_TEMPO = 1e-6
"""Share of a tempo below which a fraction is rounding in a host: under a millisecond in ten minutes."""

DEFAULT_BPM = 120.0
"""Tempo of a guide when none is given."""

LATE = 0.05
"""Bars: a region that begins this little before a bar line begins with that bar."""

AROUND = 20.0
"""Seconds a side of the region that are listened to."""

MAX_HEARD = 60.0
"""Seconds around a region that are listened to at most."""

AT_START = 0.02
"""Seconds: a bar line heard this near to the file's beginning is its beginning."""

DRIFT = 0.005
"""Share by which the tempo that is heard may differ from the one that is given before it is told."""


@dataclass(frozen=True)
class Conform:
    """How much faster than rendered a part is played, and the sentence about it."""

    speed: float = 1.0
    note: str = ""

    def model_length(self, length: int) -> int:
        """Samples to render for ``length`` samples of result."""
        return math.ceil(length * self.speed)


def conform_render(render: Render, stages: Sequence[ResolvedStage]) -> Conform:
    """The tempo correction of a render: only what is made new throughout may be stretched."""
    bpm = render.conditioning.bpm
    conform = conform_tempo(bpm)
    # given sound keeps its length to the sample, so nothing that begins with a source is conformed
    if render.source is None and not any(
        stage.stage.source is not None or (stage.plan.length is not Length.REQUEST and not stage.plan.start_from_source)
        for stage in stages
    ):
        if conform.speed == 1.0 and any(guide_of(stage, render.conditioning) for stage in stages):
            return Conform()  # the guide gives the exact tempo, so the model's whole beats make no difference
        return conform
    makes_new = any(stage.plan.length is Length.REQUEST for stage in stages)
    return Conform(note=_unconformed_note(bpm) if makes_new and conform.speed != 1.0 else "")


def conform_tempo(bpm: float | None) -> Conform:
    """The correction for a tempo: none for whole numbers, and none beyond half a percent, which says so."""
    if bpm is None or abs(bpm - round(bpm)) < SAME_TEMPO * bpm:
        return Conform()
    seen = half_up(bpm)
    speed = bpm / seen
    if abs(speed - 1) > MAX_CONFORM:
        return Conform(
            note=f"the model works in whole beats per minute: {seen} instead of {bpm:g}, too far apart to conform"
        )
    cents = 1200 * math.log2(speed)
    return Conform(speed, f"rendered at {seen} bpm and conformed to {bpm:g} bpm: the pitch moves by {cents:+.1f} cents")


def _unconformed_note(bpm: float | None) -> str:
    """The sentence about a fractional tempo that later stages keep from being conformed."""
    seen = half_up(bpm or 0)
    return f"the model works in whole beats per minute: {seen} instead of {bpm:g}, as later stages work on the part"


@dataclass
class GuideTime:
    """The time that a stage's guide runs on, on the timeline of the stage."""

    tempo: TempoMap
    first_bar: int = 1
    """Where the guide's chords begin."""
    heard: dict[str, Any] = field(default_factory=dict)
    """Fields of the conditioning that were found by listening; written into the request, the recipe holds them."""
    notes: list[str] = field(default_factory=list)


def find_guide_time(guide: str, conditioning: Conditioning, window: Window, sound: OpenSource | None) -> GuideTime:
    """The time of a guide in a window; listens to ``sound`` around the region where the request leaves bar 1 or tempo open."""
    heard: dict[str, Any] = {}
    notes: list[str] = []
    if conditioning.tempo_map is None and conditioning.bar_offset is None and sound is not None:
        heard, notes = _listen(conditioning, sound, window)
        conditioning = msgspec.structs.replace(conditioning, **heard)
    if guide == PULSE and not conditioning.key:
        key, told = _key(sound, window)
        heard, notes = {**heard, "key": key}, [*notes, told]
        conditioning = msgspec.structs.replace(conditioning, key=key)
    if conditioning.tempo_map is None and conditioning.bpm is None:
        notes.append(f"no tempo is given; the guide runs at {DEFAULT_BPM:.0f} bpm")
        conditioning = msgspec.structs.replace(conditioning, bpm=DEFAULT_BPM)
    tempo = SongTime(conditioning).tempo(window.rate)
    assert tempo is not None
    first_bar, note = _first_bar(guide, conditioning, tempo, window)
    return GuideTime(tempo, first_bar, heard, [*notes, *note])


def _listen(conditioning: Conditioning, source: OpenSource, window: Window) -> tuple[dict[str, Any], list[str]]:
    """The tempo and bar 1 that are heard around the region, as fields of the conditioning, and sentences about them."""
    metre = parse_metre(conditioning.time_signature) if conditioning.time_signature else Metre()
    first, beat = _beat_around(source, window, conditioning.bpm, metre)
    if beat is None or not beat.clear:
        if conditioning.bpm is None:
            return {}, []
        return {}, ["no beat could be heard around the region; bar 1 of the guide is assumed to begin with the file"]
    bpm = beat.bpm if conditioning.bpm is None else conditioning.bpm
    bar = metre.bar * 60 / bpm
    # the bar line nearest to the file's beginning, before or after it
    offset = (first / window.rate + beat.bar + bar / 2) % bar - bar / 2
    heard: dict[str, float | int] = {"bar_offset": 0 if abs(offset) < AT_START else round(offset * window.rate)}
    notes = []
    if conditioning.bpm is None:
        heard["bpm"] = round(bpm, 2)
        notes.append(f"no tempo is given; {bpm:.2f} bpm were heard around the region")
    elif abs(beat.bpm / conditioning.bpm - 1) > DRIFT:
        notes.append(f"{beat.bpm:.2f} bpm are heard around the region, not {conditioning.bpm:g}")
    if heard["bar_offset"]:
        notes.append(
            f"bar 1 was heard at {offset:.3f} s and the guide follows it; to change that, set bar_offset or a tempo map"
        )
    return heard, notes


def _key(sound: OpenSource | None, window: Window) -> tuple[str, str]:
    """The key of a pulse for which none is given, and the sentence about it: what is heard around the region, else a plain one."""
    if sound is not None:
        first, last = _around(sound, window)
        heard = read_window(sound.path, sound.layout, first, max(0, last - first))
        if (keys := find_keys(chroma(heard, window.rate))) is not None:
            return keys.name, f"no key is given; {keys.name} was heard around the region, and the guide plays in it"
    return PULSE_KEY, f"no key is given; the guide plays in {PULSE_KEY}"


def _around(source: OpenSource, window: Window) -> tuple[int, int]:
    """The samples (first, last + 1) around a region that are listened to."""
    rate, region = window.rate, window.start + window.region_start
    first = max(0, region - round(AROUND * rate))
    end = min(region + window.region_length + round(AROUND * rate), first + round(MAX_HEARD * rate))
    return first, min(source.layout.frames, end)


def _beat_around(source: OpenSource, window: Window, bpm: float | None, metre: Metre) -> tuple[int, Beat | None]:
    """The first sample that was listened to, and the beat heard from there on."""
    first, last = _around(source, window)
    if last <= first:
        return first, None
    sound = read_window(source.path, source.layout, first, last - first)
    return first, BeatFinder(sound, window.rate).find(bpm, metre)


def _first_bar(guide: str, conditioning: Conditioning, tempo: TempoMap, window: Window) -> tuple[int, list[str]]:
    """The bar with which the guide's chords begin; where that is not the region's own, a sentence says what the region gets."""
    here = math.floor(tempo.bar(window.start + window.region_start) + LATE)
    if conditioning.guide_from == "region":
        return here, []
    bars = parse_guide(guide, conditioning.time_signature or "4", conditioning.key).bars if conditioning.guide else ()
    if len(bars) < 2 or here == 1:
        return 1, []
    place = (here - 1) % len(bars) + 1
    return 1, [
        f"the chord line begins with bar 1 of the song: the region, from bar {here} on, begins with bar {place} of the line; "
        "guide_from region lets the line begin with the region"
    ]
