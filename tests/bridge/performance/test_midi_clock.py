"""Tempo from MIDI clock is steady under jitter and follows real changes."""

import random

import pytest

from bridge.performance.midi_clock import MidiClock


def feed(clock: MidiClock, bpm: float, ticks: int, *, start: float = 0.0, jitter: float = 0.0, seed: int = 1) -> float:
    rng = random.Random(seed)
    step = 60 / bpm / 24
    for n in range(ticks):
        clock.tick(start + n * step + rng.uniform(-jitter, jitter))
    return start + ticks * step


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("bpm", [72.0, 120.0, 171.3])
def test_five_milliseconds_of_jitter_leave_the_tempo_within_a_thousandth(bpm, seed):
    clock = MidiClock()
    now = feed(clock, bpm, 16 * 24, jitter=0.005, seed=seed)
    assert clock.timeline(now).bpm == pytest.approx(bpm, rel=1e-3)


def test_a_tempo_change_is_followed_within_two_beats():
    clock = MidiClock()
    now = feed(clock, 120, 16 * 24, jitter=0.001)
    now = feed(clock, 90, 3 * 24, start=now, jitter=0.001, seed=2)
    assert clock.timeline(now).bpm == pytest.approx(90, rel=0.01)


def test_no_tempo_before_one_beat_and_none_after_the_clock_is_gone():
    clock = MidiClock()
    now = feed(clock, 120, 23)
    assert clock.timeline(now) is None
    clock.tick(now)
    assert clock.timeline(now) is not None
    assert clock.timeline(now + 1.5) is None


def test_a_clock_that_has_gone_is_held_in_tempo_and_phase():
    """A song that ran goes on in its own time, to the sample; one that was stopped stands. Before one beat nothing is held."""
    clock = MidiClock()
    assert clock.held() is None
    clock.start()
    now = feed(clock, 174, 16 * 24)
    before = clock.timeline(now)
    held = clock.held()
    assert clock.timeline(now + 2) is None
    assert held.bpm == pytest.approx(174)
    assert held.beat_at(now + 60) == pytest.approx(before.beat_at(now + 60), abs=1e-6)
    clock.stop()
    assert (clock.held().running, clock.held().beat_at(now + 60)) == (False, pytest.approx(held.beat))


def test_the_song_position_counts_from_start_and_stands_while_stopped():
    clock = MidiClock()
    now = feed(clock, 120, 48)
    clock.start()
    now = feed(clock, 120, 25, start=now)
    assert clock.timeline(now).beat == pytest.approx(1.0)
    clock.stop()
    now = feed(clock, 120, 24, start=now)
    timeline = clock.timeline(now)
    assert (timeline.running, timeline.beat) == (False, pytest.approx(1.0))
    clock.resume()
    now = feed(clock, 120, 25, start=now)
    assert clock.timeline(now).beat == pytest.approx(2.0)


def test_a_song_position_pointer_moves_the_song():
    clock = MidiClock()
    now = feed(clock, 120, 24)
    clock.song_position(64)
    clock.resume()
    now = feed(clock, 120, 1, start=now)
    assert clock.timeline(now).beat == pytest.approx(16.0)


@pytest.mark.parametrize("bpm", [2_000.0, 20.0])
def test_ticks_that_are_no_tempo_do_not_rule(bpm):
    clock = MidiClock()
    assert clock.timeline(feed(clock, bpm, 60)) is None
