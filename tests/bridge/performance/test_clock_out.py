"""MIDI clock lies where the timeline has it, and tells a receiver where the song stands."""

from __future__ import annotations

import mido
import pytest

from bridge.performance.midi_clock import MidiClock
from bridge.performance.player.clock_out import LOST, ClockOut
from bridge.performance.player.messages import ClockBeat
from bridge.performance.tempo import ClockInput

SIXTEENTH, BAR = 0.25, 4.0


def beat(bpm: float = 120.0, at: float = 0.0, song: float = 0.0, **wish) -> ClockBeat:
    """At time ``at`` the song stands at ``song`` beats."""
    return ClockBeat(
        **{"bpm": bpm, "anchor": at, "beat": song, "running": True, "clock": True, "join": SIXTEENTH, **wish}
    )


class Line:
    """A clock, and what its receiver hears: (time, message)."""

    def __init__(self) -> None:
        self.clock = ClockOut()
        self.heard: list[tuple[float, mido.Message]] = []
        self.now = 0.0

    def follow(self, wish: ClockBeat | None) -> list[str]:
        return self._hear(self.clock.follow(wish, self.now))

    def run(self, until: float) -> list[str]:
        """Everything up to a time, each tick taken the moment it is due."""
        told = []
        while (due := self.clock.due()) is not None and due <= until:
            self.now = max(self.now, due)
            told += self._hear(self.clock.take(self.now))
        self.now = until
        return told

    def _hear(self, messages: list[mido.Message]) -> list[str]:
        self.heard += [(self.now, message) for message in messages]
        return [message.type for message in messages]

    def ticks(self) -> list[float]:
        return [when for when, message in self.heard if message.type == "clock"]


@pytest.mark.parametrize("bpm", [30.0, 97.3, 120.0, 300.0])
def test_twenty_four_ticks_a_beat_lie_on_the_timeline(bpm):
    line = Line()
    line.follow(beat(bpm))
    line.run(10.0)
    assert line.ticks() == pytest.approx([n * 60 / bpm / 24 for n in range(len(line.ticks()))])
    assert len(line.ticks()) == int(10.0 * bpm / 60 * 24 + 1e-6) + 1


def test_a_song_that_begins_is_started_before_its_first_tick():
    line = Line()
    assert line.follow(beat()) == ["start"]
    assert line.run(0.0) == ["clock"]


def test_a_start_that_arrives_a_little_late_is_still_the_start():
    """The ticks that were missed go out at once, so the receiver has as many as the song."""
    line = Line()
    line.now = 0.02
    assert line.follow(beat()) == ["start"]
    line.run(1.0)
    assert len(line.ticks()) == 49


def test_within_a_song_the_position_comes_right_before_its_sixteenth():
    line = Line()
    assert line.follow(beat(song=9.1)) == []
    told = line.run(1.0)
    assert told[:5] == ["clock", "clock", "clock", "songpos", "continue"]
    position = next(message.pos for _, message in line.heard if message.type == "songpos")
    place = next(n for n, (_, message) in enumerate(line.heard) if message.type == "continue")
    assert position == 37
    assert line.heard[place + 1][0] == pytest.approx((37 / 4 - 9.1) / 2)


def test_without_a_song_the_transport_joins_on_a_bar_line():
    line = Line()
    line.follow(beat(song=9.0, join=BAR))
    line.run(3.0)
    position = next(message.pos for _, message in line.heard if message.type == "songpos")
    started = next(when for when, message in line.heard if message.type == "continue")
    assert position == 12 * 4
    assert 1.5 - started == pytest.approx(60 / 120 / 24)


@pytest.mark.parametrize(("song", "bar"), [(4096.0, 4.0), (1_000_001.5, 4.0), (5000.0, 3.0), (70_000.0, 3.5)])
def test_a_position_that_cannot_be_told_begins_again_on_a_bar_line(song, bar):
    line = Line()
    line.follow(beat(song=song - 0.1, bar=bar, join=bar))
    line.run(10.0)
    told = [message for _, message in line.heard if message.type in ("songpos", "start")]
    position = told[0].pos if told[0].type == "songpos" else 0
    assert position * SIXTEENTH % bar == 0


def test_a_song_that_stops_is_stopped_and_its_ticks_go_on():
    line = Line()
    line.follow(beat())
    line.run(1.0)
    before = len(line.ticks())
    assert line.follow(beat(at=1.0, song=2.0, running=False)) == ["stop"]
    told = line.run(2.0)
    assert set(told) == {"clock"}
    assert len(line.ticks()) - before == pytest.approx(48, abs=1)
    steps = [later - earlier for earlier, later in zip(line.ticks(), line.ticks()[1:], strict=False)]
    assert min(steps) == pytest.approx(max(steps))


def test_a_song_that_goes_on_continues_where_it_stood():
    line = Line()
    line.follow(beat())
    line.run(1.0)
    line.follow(beat(at=1.0, song=2.0, running=False))
    line.run(3.0)
    line.follow(beat(at=3.0, song=2.0))
    line.run(4.0)
    assert [message.pos for _, message in line.heard if message.type == "songpos"] == [8]


def test_a_song_that_is_relocated_stops_and_continues_elsewhere():
    line = Line()
    line.follow(beat())
    line.run(1.0)
    assert line.follow(beat(at=1.0, song=64.0))[0] == "stop"
    line.run(2.0)
    assert [message.pos for _, message in line.heard if message.type == "songpos"] == [256]
    assert line.clock.rolling


def test_a_tempo_change_bends_the_ticks_and_interrupts_nothing():
    line = Line()
    line.follow(beat())
    line.run(1.0)
    assert line.follow(beat(90.0, at=1.0, song=2.0)) == []
    assert set(line.run(3.0)) == {"clock"}
    assert len(line.ticks()) == 2 * 24 + 3 * 24 + 1


def test_a_clock_that_is_switched_off_stops_its_receiver_and_falls_silent():
    line = Line()
    line.follow(beat())
    line.run(1.0)
    assert line.follow(beat(clock=False)) == ["stop"]
    assert line.run(5.0) == []


def test_ticks_are_not_made_up_for_after_a_long_sleep():
    line = Line()
    line.follow(beat())
    line.run(1.0)
    line.now = 1.0 + 10 * LOST
    assert line.clock.take(line.now)[0].type == "stop"
    line.run(line.now + 2.0)
    assert line.clock.rolling
    assert line.ticks()[-1] == pytest.approx(line.now, abs=0.03)


def test_a_receiver_that_comes_later_is_told_where_the_song_stands():
    line = Line()
    line.follow(beat())
    line.run(1.1)
    line.clock.rejoin(line.now)
    assert "continue" in line.run(2.0)


@pytest.mark.parametrize(("bpm", "song"), [(120.0, 0.0), (93.7, 33.3), (171.0, 1000.0)])
def test_our_own_clock_input_hears_the_same_tempo_and_position(bpm, song):
    line, ear = Line(), ClockInput()
    line.follow(beat(bpm, song=song))
    line.run(20.0)
    for when, message in line.heard:
        ear.feed(message, when, "out")
    timeline = ear.timeline(20.0)
    assert timeline.bpm == pytest.approx(bpm, rel=1e-6)
    assert timeline.beat_at(20.0) == pytest.approx(song + 20.0 * bpm / 60, abs=0.01)
    assert timeline.running


def test_the_clock_input_follows_one_port_until_its_clock_is_gone():
    """The same clock by two ways, or two clocks, are never mixed."""
    ear = ClockInput()
    for n in range(96):
        ear.feed(mido.Message("clock"), n * 60 / 120 / 24, "a")
        ear.feed(mido.Message("clock"), n * 60 / 120 / 24 + 0.003, "b")
    end = 96 * 60 / 120 / 24
    assert (ear.timeline(end).bpm, ear.port) == (pytest.approx(120.0), "a")
    for n in range(96):
        ear.feed(mido.Message("clock"), end + 0.003 + n * 60 / 120 / 24, "b")
    assert (ear.timeline(end + 2.0).bpm, ear.port) == (pytest.approx(120.0), "b")


def test_a_clock_message_is_the_clocks_and_others_are_not():
    ear = ClockInput()
    assert ear.feed(mido.Message("start"), 0.0, "a")
    assert not ear.feed(mido.Message("note_on", note=1), 0.0, "a")
    assert MidiClock().timeline(0.0) is None
