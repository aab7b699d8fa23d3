"""When the MIDI clock stops, its tempo and phase rule on, until another clock, the host or a tap says otherwise."""

from __future__ import annotations

import time

import mido
import pytest

from bridge.performance.tempo import Tempo


def play(tempo: Tempo, bpm: float, port: str, *, end: float, beats: int = 4) -> None:
    """Clock ticks at a tempo whose last one came ``end`` seconds ago."""
    step = 60 / bpm / 24
    last = time.monotonic() - end
    for number in range(beats * 24):
        tempo.clock.feed(mido.Message("clock"), last - (beats * 24 - 1 - number) * step, port)


def test_174_stays_174_after_the_clock_has_gone():
    tempo = Tempo(120.0)
    play(tempo, 174.0, "one", end=30.0)
    line = tempo.timeline()
    assert line.bpm == pytest.approx(174.0, rel=1e-3)
    assert tempo.state()["source"] == "midi_clock"


def test_another_clock_the_host_and_a_later_tap_win_over_a_held_one():
    tempo = Tempo(120.0)
    now = time.monotonic()
    for beat in range(4):
        tempo.tap(now - 60 + beat * 0.5)
    play(tempo, 174.0, "one", end=10.0)
    assert tempo.timeline().bpm == pytest.approx(174.0, rel=1e-3)
    for beat in range(4):
        tempo.tap(now - 4 + beat)
    assert tempo.timeline().bpm == pytest.approx(60.0)
    play(tempo, 90.0, "two", end=0.0)
    assert tempo.timeline().bpm == pytest.approx(90.0, rel=1e-3)
    tempo.set_host(100.0)
    assert tempo.timeline().bpm == 100.0
