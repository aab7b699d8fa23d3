"""The time that a job's guide runs on: what the request says, else what is heard around the region, else a plain assumption."""

from __future__ import annotations

import math

import msgspec

from acestep.api.request import Conditioning
from acestep.api.song_time import SongTime
from acestep.api.tempo_map import TempoMap
from acestep.engine.chain import Chain, Job
from acestep.engine.conditions import DEFAULT_BPM, guide_of
from acestep.engine.geometry import Window

LATE = 0.05
"""Bars: a region that begins this little before a bar line begins with that bar."""


def settle_pulse(job: Job, index: int) -> None:
    """Give the chain its time, once, before the first stage that follows a guide. What was assumed is noted and, as numbers,
    written into the request, so that the recipe holds it."""
    chain = job.chain
    text = guide_of(chain.stages[index], chain.render.conditioning)
    if chain.tempo is not None or not text:
        return
    window, wish = chain.windows[index], chain.render.conditioning
    if wish.tempo_map is None and wish.bpm is None:
        chain.note(f"no tempo is given; the guide runs at {DEFAULT_BPM:.0f} bpm")
        wish = msgspec.structs.replace(wish, bpm=DEFAULT_BPM)
    tempo = SongTime(wish).tempo(window.rate)
    assert tempo is not None
    chain.tempo = tempo
    chain.first_bar = _first_bar(chain, tempo, window, wish)


def _first_bar(chain: Chain, tempo: TempoMap, window: Window, wish: Conditioning) -> int:
    """The bar with which the guide's chords begin."""
    if wish.guide_from == "song":
        return 1
    start = window.start + window.region_start
    return math.floor(tempo.bar(start) + LATE)
