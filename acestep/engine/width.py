"""How wide in stereo a stage's sound is made, for models whose codec hardly tells left from right.

Where the source plays on (cover, refine) its own width is followed through the region; where a region is new (repaint, extend) it
is as wide as what stands around it, so that nobody hears the edit narrow down; a new part has a width of its own. What is mono
stays mono, and the mono sum is always the model's.
"""

from __future__ import annotations

import math

from acestep.api.plan import SourceFacts
from acestep.audio.read import read_window
from acestep.codec.width import AROUND, NEW, NEW_PART, SOURCE, StageWidth, follow, measure
from acestep.engine.geometry import Cut
from acestep.engine.render_state import StageState
from acestep.engine.source_encoder import OpenSource

LEAST = 0.5
"""Seconds of surroundings from which a width is read; of fewer the region's own sound is taken."""


def find_width(stage: StageState, variant: int, piece: Cut) -> StageWidth | None:
    """The width for the sound of a variant that is decoded as ``piece`` says; None where the model's own is kept."""
    output, facts, plan = stage.state.render.output, stage.facts, stage.plan
    if not stage.model.info.defaults.narrow or output.width == "model":
        return None
    if (output.channels if facts is None else facts.channels) == 1:
        return None  # it is mixed down to one channel
    sound = stage.sound_of(variant)
    if facts is None or sound is None or not plan.splice:
        return None if plan.residual and facts is not None else StageWidth(NEW, (NEW_PART,))
    around = _surroundings(stage, facts, sound) if plan.silence_region else None
    return around or _own(stage, sound, piece, followed=not plan.silence_region) or StageWidth(NEW, (NEW_PART,))


def _surroundings(stage: StageState, facts: SourceFacts, sound: OpenSource) -> StageWidth | None:
    """The width of what the window holds beside the region, before and after it."""
    window = stage.window
    first, last = facts.start, facts.start + facts.length
    begin, end = max(window.audio_start, 0), min(window.audio_start + window.audio_length, facts.frames)
    spans = [(low, high) for low, high in ((begin, min(first, end)), (max(last, begin), end)) if low < high]
    if sum(high - low for low, high in spans) < LEAST * facts.rate:
        return None
    found = measure([read_window(sound.path, sound.layout, low, high - low) for low, high in spans], facts.rate)
    return None if found is None else StageWidth(AROUND, (found,))


def _own(stage: StageState, sound: OpenSource, piece: Cut, *, followed: bool) -> StageWidth | None:
    """The width of the source where the decoded piece lies, from its first sample on."""
    window = stage.window
    first = window.start + window.grid.samples(piece.first, window.rate)
    length = math.ceil(window.grid.seconds(piece.last - piece.first) * window.rate)
    heard = read_window(sound.path, sound.layout, first, length)
    whole = measure([heard], window.rate)
    if whole is None:
        return None
    widths = tuple(follow(heard, window.rate)) if followed else (whole,)
    return StageWidth(SOURCE, widths if len(set(widths)) > 1 else widths[:1])
