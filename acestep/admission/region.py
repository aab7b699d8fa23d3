"""A source and its region: where it lies, in whole samples, and whether it may."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from acestep.admission.host import HostInfo
from acestep.admission.song_time import SongTime, timed
from acestep.api import limits
from acestep.api.errors import BadRequest, RegionOutside, TooLarge, UnsupportedChannels
from acestep.api.plan import Plan, SourceFacts
from acestep.api.request import Output
from acestep.api.rounding import rescaled
from acestep.api.source import AudioFacts, Region, SelectionFields, Source, SourceRequest

PLACES = ("path", "upload", "latent", "stage")

LATENT = "latent"
"""The format of a stored latent in the facts of a source."""


AskedSource = SourceRequest | Source
"""A sound as a client names it, or with its region in samples already."""


class PlacedSource(NamedTuple):
    """A sound with its region in whole samples, and what its header says."""

    source: Source
    facts: SourceFacts


def source_of(selection: SelectionFields) -> SourceRequest | None:
    """The source that a flat request names; none when it names none."""
    if not (selection.source or selection.upload or selection.source_latent):
        return None
    region = {name: getattr(selection, name) for name in Region.__struct_fields__}
    return SourceRequest(
        path=selection.source,
        upload=selection.upload,
        latent=selection.source_latent,
        context=selection.context,
        **region,
    )


def names_a_place(request: AskedSource) -> bool:
    """Whether a source says where it lies; one that does not is the job's own. Raises `BadRequest` for two places."""
    named = [name for name in PLACES if getattr(request, name)]
    if len(named) > 1:
        raise BadRequest(f"name one source, not {' and '.join(named)}", field="source")
    return bool(named)


def names_a_region(request: AskedSource) -> bool:
    """Whether a source says which part of it is meant."""
    edges = Region.__struct_fields__ if isinstance(request, SourceRequest) else ("start",)
    return request.length is not None or any(getattr(request, name) is not None for name in edges)


def open_source(request: AskedSource, host: HostInfo, time: SongTime) -> PlacedSource:
    """The file that a request names with its region in samples, and what its header says. Raises as `HostInfo.probe` does."""
    if request.stage is not None:
        raise BadRequest("the job's source is audio; only a stage's source names another stage", field="source.stage")
    if not names_a_place(request):
        raise BadRequest("name exactly one source: a file, an upload or a stored latent", field="source")
    context = limits.CONTEXT_SECONDS if request.context is None else request.context
    source = Source(
        path=request.path,
        upload=request.upload,
        latent=request.latent,
        context=context,
        fingerprint=request.fingerprint,
    )
    facts = host.probe(source)
    placed = place(request, whole_of(facts), time)
    source = msgspec.structs.replace(
        source, start=placed.start, length=placed.length, fingerprint=source.fingerprint or facts.fingerprint
    )
    return PlacedSource(source, placed)


def region_heard(selection: SelectionFields, facts: AudioFacts) -> SourceFacts:
    """A sound with the region of it that a request listens to, which has to lie inside.

    Raises `BadRequest`, `UnsupportedChannels`, `RegionOutside`, `TooLarge`.
    """
    if facts.format == LATENT:
        raise BadRequest("a stored latent cannot be used here; name the audio file beside it", field="source")
    region = {name: getattr(selection, name) for name in Region.__struct_fields__}
    placed = place(SourceRequest(**region), whole_of(facts), SongTime(timed(selection)))
    check_region(placed, extends=False)
    return placed


def whole_of(facts: AudioFacts) -> SourceFacts:
    """A sound as a source, all of it. Raises `UnsupportedChannels`."""
    if facts.channels > limits.MAX_CHANNELS:
        raise UnsupportedChannels(
            f"the source has {facts.channels} channels; mono and stereo are accepted",
            field="source",
            limits={"max": limits.MAX_CHANNELS},
        )
    return SourceFacts(
        rate=facts.rate,
        channels=facts.channels,
        frames=facts.frames,
        start=0,
        length=facts.frames,
        subtype=facts.subtype,
        format=facts.format,
        notes=facts.notes,
    )


def place(request: AskedSource, whole: SourceFacts, time: SongTime) -> SourceFacts:
    """A sound's facts with the region that a request names. Raises `RegionOutside`, and `BadRequest` for a side given twice."""
    start, end = _edges(request, whole.rate, time)
    if request.length is not None:
        if end is not None:
            raise BadRequest("give the region's end or its length, not both", field="length")
        length = time.length(request.length, whole.rate, start or 0, "length") or 0
        first, last = start or 0, (start or 0) + length
    else:
        first, last = time.region((start, end), whole.frames, whole.rate)
    if last <= first and (end is not None or request.length is not None):
        raise RegionOutside(
            f"the region ends at sample {last}, at or before its start {first}",
            field="end",
            limits={"frames": whole.frames},
        )
    if last <= first:
        raise RegionOutside(
            "the region is empty or begins at or after the end of the source",
            field="start",
            limits={"frames": whole.frames},
        )
    return msgspec.structs.replace(whole, start=first, length=last - first)


def _edges(request: AskedSource, rate: int, time: SongTime) -> tuple[int | None, int | None]:
    """First sample of a region and the one after its last, as far as they are given. A length is another matter."""
    if isinstance(request, Source):
        return request.start, None
    start = time.edge(request.start, request.start_seconds, rate, "start")
    return start, time.edge(request.end, request.end_seconds, rate, "end")


def check_region(facts: SourceFacts, *, extends: bool) -> None:
    """Refuse a region that is too long, or outside the source where no stage extends it."""
    seconds = facts.length / facts.rate
    if seconds > limits.MAX_DURATION:
        raise TooLarge(
            f"a region of {seconds:.1f} s is over the limit of {limits.MAX_DURATION:.0f} s",
            field="end",
            limits={"max": limits.MAX_DURATION, "unit": "s"},
        )
    inside = facts.start >= 0 and facts.start + facts.length <= facts.frames
    if not inside and not extends:
        raise RegionOutside(
            f"the region {facts.start} to {facts.start + facts.length} is not inside the source's {facts.frames} samples",
            field="start" if facts.start < 0 or facts.start >= facts.frames else "end",
            limits={"min": 0, "max": facts.frames, "unit": "samples"},
        )


def check_span(output: Output, facts: SourceFacts | None) -> None:
    """Refuse a span that does not cover the region or leaves the source."""
    start, end = output.span
    if facts is None or start is None or end is None:
        raise BadRequest("a span needs span_start and span_end", field="span_start")
    covered = start <= facts.start and end >= facts.start + facts.length
    if not covered or start < min(0, facts.start) or end > max(facts.frames, facts.start + facts.length):
        raise RegionOutside(
            "a span covers the region and stays inside the source",
            field="span_start",
            limits={"min": 0, "max": facts.frames, "unit": "samples"},
        )


def result_facts(plan: Plan, given: SourceFacts, part: SourceFacts) -> SourceFacts:
    """The file that a stage on the timeline of ``given`` returns: the whole source with the edit in it, or a part of its own."""
    if plan.splice:
        first, last = min(0, given.start), max(given.frames, given.start + given.length)
        return msgspec.structs.replace(given, frames=last - first, start=0, length=last - first, format="")
    frames = max(1, rescaled(given.length, given.rate, part.rate))
    return msgspec.structs.replace(part, frames=frames, start=0, length=frames)
