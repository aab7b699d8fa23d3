"""Window geometry over any rate, length and region: pure integers, so every rule is checked exactly."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from acestep.api.plan import SourceFacts
from acestep.audio.splice import clamp_handles
from acestep.engine.geometry import GRID, cut, new_window, source_window

RATES = st.one_of(st.sampled_from([44_100, 48_000, 88_200, 96_000, 22_050, 8_000]), st.integers(8_000, 192_000))


@st.composite
def facts(draw, *, extend: bool = False) -> SourceFacts:
    """A file and a region of it; with ``extend`` it may reach beyond either end."""
    rate = draw(RATES)
    frames = draw(st.integers(1, 400 * rate))
    if extend:
        start = draw(st.integers(-60 * rate, frames))
        end = draw(st.integers(max(start + 1, 0), frames + 60 * rate))
    else:
        start = draw(st.integers(0, frames - 1))
        end = draw(st.integers(start + 1, frames))
    return SourceFacts(rate=rate, channels=2, frames=frames, start=start, length=end - start)


CONTEXT = st.sampled_from([0.0, 0.5, 10.0, 33.3])


def seconds(frames: int) -> Fraction:
    return Fraction(frames, 25)


@given(source=facts(), context=CONTEXT)
def test_region_lies_inside_its_frames(source, context):
    """Every sample of the region is covered by region frames, and those overshoot by less than a frame a side."""
    window = source_window(source, context)
    first, last = window.region
    start = Fraction(window.region_start, window.rate)
    end = Fraction(window.region_start + window.region_length, window.rate)
    assert 0 <= start - seconds(first) < Fraction(1, 25)
    assert 0 <= seconds(last) - end < Fraction(1, 25)
    assert 0 <= first < last <= window.frames
    assert window.start + window.region_start == source.start


@given(source=facts(), context=CONTEXT)
def test_window_is_what_the_model_takes(source, context):
    """At least ten seconds, whole patches and codes."""
    window = source_window(source, context)
    assert window.frames >= GRID.least
    assert window.frames % GRID.multiple == 0


@given(source=facts(), context=CONTEXT)
def test_only_the_window_is_read(source, context):
    """What is read lies in the file, and its length follows region and context, not the file."""
    window = source_window(source, context)
    assert window.audio_start >= 0 and window.audio_start + window.audio_length <= source.frames
    most = max(source.length / source.rate + 2 * context, 10) + 25 / 25 + 1
    assert window.frames / 25 <= most + 0.4
    assert window.audio_frames + window.lead <= window.frames


@given(source=facts(), context=CONTEXT)
def test_context_is_there_where_the_file_has_it(source, context):
    """As much context as asked for stands on either side unless the file ends before."""
    window = source_window(source, context)
    reach = round(context * source.rate)
    assert window.audio_start <= max(0, source.start - reach)
    assert window.audio_start + window.audio_length >= min(source.frames, source.start + source.length + reach)


@given(source=facts(extend=True), context=CONTEXT)
def test_beyond_the_file_only_the_region_reaches(source, context):
    """Extending: frames before the audio belong to the region, and the audio begins exactly on a frame."""
    window = source_window(source, context)
    assert window.audio_start == window.start + window.lead * window.rate // 25
    assert window.lead * window.rate % 25 == 0
    if window.lead:
        assert window.region[0] <= 25 and window.region[1] >= min(window.lead, window.region[1])
    step = -(-window.rate // 25) * 25
    assert window.start >= min(0, source.start) - step


@given(source=facts(extend=True), context=CONTEXT, crossfade=st.integers(0, 10_000))
def test_trimming_gives_exactly_what_was_asked(source, context, crossfade):
    """Decoded frames contain handles and region whole, and skip is the exact place of the first of their samples."""
    window = source_window(source, context)
    handles = clamp_handles(source.start, source.length, source.frames, crossfade)
    piece = cut(window, handles)
    assert piece.length == handles.before + source.length + handles.after
    assert piece.first * window.rate % 25 == 0
    decoded_from = window.start + piece.first * window.rate // 25
    assert decoded_from + piece.skip == source.start - handles.before
    if context * source.rate >= crossfade:
        assert 0 <= piece.first < piece.last <= window.frames
        assert piece.skip >= 0
        assert seconds(piece.last - piece.first) >= Fraction(piece.skip + piece.length, window.rate)


@given(length=st.integers(1, 600 * 48_000), rate=RATES)
def test_new_parts_fit(length, rate):
    """A new part from one sample on fits its window and starts with it."""
    window = new_window(length, rate)
    assert seconds(window.frames) >= Fraction(length, rate)
    assert window.frames >= GRID.least and window.region[0] == 0


@given(source=facts())
def test_region_alone_reads_nothing_else(source):
    """Without context nothing beyond the region is read, but for less than a grid step before it."""
    window = source_window(source, 10.0, around=False)
    assert window.audio_start + window.audio_length == source.start + source.length
    assert source.start - window.audio_start < -(-window.rate // 25) * 25
