"""What a part that a job makes new will be: its rate, channels and length, and what has to be said about them."""

from __future__ import annotations

from collections.abc import Sequence

from acestep.admission.chain import StageInput
from acestep.api import limits
from acestep.api.conditioning import Conditioning
from acestep.api.plan import Plan, SourceFacts
from acestep.api.request import Output
from acestep.api.rounding import samples

DEFAULT_DURATION = 30.0
"""Seconds of a new part when nothing says how long: the model's own default in its metadata prompt."""


def requested_part(
    output: Output, conditioning: Conditioning, facts: SourceFacts | None, *, whole: bool
) -> SourceFacts:
    """Rate, channels and length that a new part would have: asked for, else the duration, else the source's, else 30 s.

    ``facts`` are the source's; ``whole``: it is the job's own, so that its length counts too.
    """
    rate = output.rate or (facts.rate if facts is not None else limits.CODEC_RATE)
    channels = output.channels or (facts.channels if facts is not None else 2)
    seconds = conditioning.seconds
    if seconds is None:
        seconds = facts.length / facts.rate if facts is not None and whole else DEFAULT_DURATION
    frames = samples(seconds, rate) if output.frames is None else output.frames
    return SourceFacts(rate=rate, channels=channels, frames=frames, start=0, length=frames)


def length_notes(output: Output, conditioning: Conditioning, part: SourceFacts, *, open_end: bool) -> list[str]:
    """About a length that nobody gave, or that is given twice. ``open_end``: the planner will say how long."""
    length, duration = output.frames, conditioning.seconds
    if length is None and duration is None and not open_end:
        return [f"no length is given: the part lasts {part.frames / part.rate:g} s"]
    if length is None or duration is None or abs(duration - length / part.rate) < 0.01:
        return []
    return [f"length is {length / part.rate:g} s, so duration {duration:g} s has no effect"]


def rate_notes(
    plans: Sequence[Plan], inputs: Sequence[StageInput], part: SourceFacts, first: SourceFacts | None
) -> list[str]:
    """About sources of another rate than the job's first: its new files all have one rate."""
    usual = (part.rate, first.rate if first is not None else part.rate)
    return [
        f"stage {index} works on a sound of {given.facts.rate} Hz; what it makes new is written at {part.rate} Hz"
        for index, (plan, given) in enumerate(zip(plans, inputs, strict=True), 1)
        if given.source is not None and given.facts is not None and not plan.splice and given.facts.rate not in usual
    ]
