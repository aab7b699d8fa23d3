"""Musical time is exact arithmetic."""

import time

import mido
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestep.api.errors import BadRequest
from bridge.performance.tempo import Tempo
from bridge.performance.timeline import Grid, Metre, TapTempo, TempoSource, Timeline, choose, parse_grid


@given(st.floats(30, 300), st.floats(0, 10_000), st.floats(0, 1_000))
def test_beat_and_clock_are_inverse(bpm, clock, beat):
    timeline = Timeline(bpm=bpm, anchor=clock, beat=beat)
    assert timeline.beat_at(timeline.clock_at(beat + 7.25)) == pytest.approx(beat + 7.25, abs=1e-6)


@pytest.mark.parametrize(
    ("grid", "metre", "beat", "expected"),
    [
        ("now", Metre(), 3.3, 3.3),
        ("beat", Metre(), 3.3, 4),
        ("bar", Metre(), 3.3, 4),
        ("bar", Metre(), 4.0, 4),
        ("bar", Metre(6, 8), 3.3, 6),
        ("bar", Metre(3, 4), 3.3, 6),
        ("4 bars", Metre(), 17.0, 32),
        ("2 bars", Metre(3, 4), 0.1, 6),
    ],
)
def test_the_next_boundary_lies_on_the_grid(grid, metre, beat, expected):
    timeline = Timeline(bpm=60, anchor=100.0, beat=beat, metre=metre)
    assert timeline.boundary(100.0, parse_grid(grid)) == pytest.approx(expected)


@given(st.floats(30, 300), st.floats(0, 500), st.integers(1, 16))
def test_a_boundary_is_never_in_the_past_and_never_further_than_one_step(bpm, clock, bars):
    timeline = Timeline(bpm=bpm)
    distance = timeline.boundary(clock, Grid(bars=bars)) - timeline.beat_at(clock)
    assert -1e-6 <= distance <= bars * 4 + 1e-6


@pytest.mark.parametrize("text", ["bars", "0 bars", "1.5 bars", "-1 bar", "soon"])
def test_what_is_no_grid_is_refused(text):
    with pytest.raises(BadRequest):
        parse_grid(text)


def test_the_first_ranking_source_wins():
    host = Timeline(bpm=90, source=TempoSource.HOST)
    clock = Timeline(bpm=91, source=TempoSource.MIDI_CLOCK)
    assert choose([clock, host]) is host
    assert choose([]).source is TempoSource.DEFAULT


def test_taps_give_their_mean_tempo_and_a_pause_forgets_them():
    tap = TapTempo()
    assert tap.tap(10.0) is None
    assert [tap.tap(10.0 + 0.5 * n) for n in (1, 2, 3)] == [pytest.approx(120)] * 3
    assert tap.tap(20.0) is None


def test_the_first_tap_of_a_series_begins_a_bar():
    """Four taps are a count-in: the next bar line is one beat after the fourth."""
    tempo = Tempo(120.0)
    for clock in (10.0, 10.5, 11.0, 11.5):
        tempo.tap(clock)
    timeline = tempo.timeline()
    assert timeline.source is TempoSource.TAP
    assert timeline.clock_at(timeline.boundary(11.6, parse_grid("bar"))) == pytest.approx(12.0)


def ticking(tempo: Tempo, bpm: float) -> None:
    """A clock that has come in up to now."""
    now = time.monotonic()
    for n in range(48, 0, -1):
        tempo.clock.feed(mido.Message("clock"), now - n * 60 / bpm / 24, "port")


def test_request_host_midi_clock_tap_and_default_rule_in_this_order():
    tempo = Tempo(70.0)
    ruling = [tempo.timeline().source]
    tempo.tap(10.0)
    tempo.tap(10.5)
    ruling.append(tempo.timeline().source)
    ticking(tempo, 90.0)
    ruling.append(tempo.timeline().source)
    tempo.set_host(80.0)
    ruling.append(tempo.timeline().source)
    ruling.append(tempo.asked(bpm=60.0).source)
    assert ruling == [
        TempoSource.DEFAULT,
        TempoSource.TAP,
        TempoSource.MIDI_CLOCK,
        TempoSource.HOST,
        TempoSource.REQUEST,
    ]
    tempo.forget_host()
    assert tempo.timeline().bpm == pytest.approx(90.0, rel=1e-3)


def test_what_a_request_leaves_open_is_the_ruling_time():
    tempo = Tempo(70.0)
    tempo.set_host(80.0, beat=12.0, metre="3/4")
    asked = tempo.asked(bpm=60.0)
    assert (asked.bpm, asked.metre) == (60.0, Metre(3, 4))
    assert asked.beat == pytest.approx(12.0, abs=0.1)
    assert tempo.asked() is None


def test_sources_without_a_metre_have_the_default_one():
    tempo = Tempo(70.0)
    tempo.default_metre = Metre(3, 4)
    ticking(tempo, 90.0)
    assert tempo.timeline().metre == Metre(3, 4)
