"""The source of a request and its region: where it lies, in whole samples, and whether it may."""

from __future__ import annotations

import msgspec

from acestep.api import limits
from acestep.api.errors import BadRequest, RegionOutside, TooLarge, UnsupportedChannels
from acestep.api.plan import Plan, SourceFacts
from acestep.api.request import Output, SelectionFields, Source
from acestep.api.song_time import SongTime
from acestep.api.world import AudioFacts, World


def resolve_source(
    source: Source | None, selection: SelectionFields | None, world: World, time: SongTime
) -> tuple[Source | None, SourceFacts | None]:
    """The one source that is named, its region in samples, and what its header says; none for a job without a source."""
    if selection is not None and (selection.source or selection.upload or selection.source_latent):
        source = Source(
            path=selection.source, upload=selection.upload, latent=selection.source_latent, context=selection.context
        )
    if source is None:
        return None, None
    if sum(bool(place) for place in (source.path, source.upload, source.latent)) != 1:
        raise BadRequest("name exactly one source: a file, an upload or a stored latent", field="source")
    facts = world.probe(source)
    if facts.channels > limits.MAX_CHANNELS:
        raise UnsupportedChannels(
            f"the source has {facts.channels} channels; mono and stereo are accepted",
            field="source",
            limits={"max": limits.MAX_CHANNELS},
        )
    if selection is not None:
        source = _region_in_samples(source, selection, facts, time)
    start = source.start
    length = source.length if source.length is not None else facts.frames - start
    if length < 1:
        raise RegionOutside(
            "the region is empty or begins at or after the end of the source",
            field="start",
            limits={"frames": facts.frames},
        )
    source = msgspec.structs.replace(
        source, start=start, length=length, fingerprint=source.fingerprint or facts.fingerprint
    )
    return source, SourceFacts(
        rate=facts.rate,
        channels=facts.channels,
        frames=facts.frames,
        start=start,
        length=length,
        subtype=facts.subtype,
        format=facts.format,
    )


def _region_in_samples(source: Source, selection: SelectionFields, facts: AudioFacts, time: SongTime) -> Source:
    start = time.edge(selection.start, selection.start_seconds, facts.rate, "start")
    end = time.edge(selection.end, selection.end_seconds, facts.rate, "end")
    first, last = time.region((start, end), facts.frames, facts.rate)
    if last <= first:
        raise RegionOutside(
            f"the region ends at sample {last}, at or before its start {first}",
            field="end",
            limits={"frames": facts.frames},
        )
    return msgspec.structs.replace(source, start=first, length=last - first)


def check_region(plans: tuple[Plan, ...], facts: SourceFacts | None) -> None:
    """Refuse a region that is too long, or outside the source where no stage extends it."""
    if facts is None:
        return
    seconds = facts.length / facts.rate
    if seconds > limits.MAX_DURATION:
        raise TooLarge(
            f"a region of {seconds:.1f} s is over the limit of {limits.MAX_DURATION:.0f} s",
            field="end",
            limits={"max": limits.MAX_DURATION, "unit": "s"},
        )
    inside = facts.start >= 0 and facts.start + facts.length <= facts.frames
    if not inside and not any(plan.extend for plan in plans):
        raise RegionOutside(
            f"the region {facts.start} to {facts.start + facts.length} is not inside the source's {facts.frames} samples",
            field="start" if facts.start < 0 or facts.start >= facts.frames else "end",
            limits={"min": 0, "max": facts.frames, "unit": "samples"},
        )


def check_span(output: Output, facts: SourceFacts | None) -> None:
    """Refuse a span that does not cover the region or leaves the source."""
    if facts is None or output.span_start is None or output.span_end is None:
        raise BadRequest("a span needs span_start and span_end", field="span_start")
    covered = output.span_start <= facts.start and output.span_end >= facts.start + facts.length
    if (
        not covered
        or output.span_start < min(0, facts.start)
        or output.span_end > max(facts.frames, facts.start + facts.length)
    ):
        raise RegionOutside(
            "a span covers the region and stays inside the source",
            field="span_start",
            limits={"min": 0, "max": facts.frames, "unit": "samples"},
        )
