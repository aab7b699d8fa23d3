"""The tempo that rules: the request's own, host, MIDI clock (also one that has gone), tap or default, in that order."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from acestep.api.limits import BPM_RANGE
from acestep.api.metre import Metre, parse_metre
from bridge.performance.midi_clock import MidiClock
from bridge.performance.timeline import TapTempo, TempoSource, Timeline, choose, parse_grid

LEAD = 0.03
"""Seconds a launch needs to reach the sound card; a boundary closer than this is taken as the next one."""


class Tempo:
    """All sources of musical time of one daemon."""

    def __init__(self, default_bpm: float) -> None:
        self.default_bpm = default_bpm
        self.default_metre = Metre()
        """Of every source that does not say its own: MIDI clock, taps, the default tempo."""
        self.clock = ClockInput()
        self._host: Timeline | None = None
        self._tapped: Timeline | None = None
        self._tap = TapTempo()

    def timeline(self) -> Timeline:
        """The time that rules now: host, MIDI clock, tap, default, in that order."""
        without_metre = [self._clock_timeline(time.monotonic()), self._tapped, Timeline(bpm=self.default_bpm)]
        found = [
            msgspec.structs.replace(timeline, metre=self.default_metre)
            for timeline in without_metre
            if timeline is not None
        ]
        return choose(found if self._host is None else [self._host, *found])

    def _clock_timeline(self, now: float) -> Timeline | None:
        """The MIDI clock's time; of a clock that has gone, the time it had, until somebody taps another."""
        if (line := self.clock.timeline(now)) is not None:
            return line
        held = self.clock.held()
        newer = self._tapped is not None and held is not None and self._tapped.anchor > held.anchor
        return None if newer else held

    def asked(self, bpm: float | None = None, beat: float | None = None, metre: str = "") -> Timeline | None:
        """The time that one request brings along, from this moment on; what it leaves open is taken from the current one.

        None if it leaves everything open.
        """
        if bpm is None and beat is None and not metre:
            return None
        now, ruling = time.monotonic(), self.timeline()
        return Timeline(
            bpm=ruling.bpm if bpm is None else bpm,
            anchor=now,
            beat=ruling.beat_at(now) if beat is None else beat,
            metre=parse_metre(metre) if metre else ruling.metre,
            source=TempoSource.REQUEST,
        )

    def set_host(self, bpm: float, beat: float = 0.0, metre: str = "4/4", running: bool = True) -> dict[str, Any]:
        """Tempo and position from the host: at this moment the song stands at ``beat`` (quarter notes)."""
        self._host = Timeline(
            bpm=bpm,
            anchor=time.monotonic(),
            beat=beat,
            metre=parse_metre(metre),
            running=running,
            source=TempoSource.HOST,
        )
        return self.state()

    def forget_host(self) -> dict[str, Any]:
        """Let go of the host's tempo: MIDI clock, tap or the default rule again."""
        self._host = None
        return self.state()

    def tap(self, clock: float | None = None) -> dict[str, Any]:
        """A tap on the beat, at a clock time (s; none: now). The first of a series begins a bar."""
        now = time.monotonic() if clock is None else clock
        bpm = self._tap.tap(now)
        if bpm is not None and BPM_RANGE[0] <= bpm <= BPM_RANGE[1]:
            self._tapped = Timeline(bpm=bpm, anchor=now, beat=float(self._tap.beat), source=TempoSource.TAP)
        return self.state()

    def state(self) -> dict[str, Any]:
        """The current tempo and position."""
        timeline = self.timeline()
        return {
            "bpm": timeline.bpm,
            "beat": timeline.beat_at(time.monotonic()),
            "metre": str(timeline.metre),
            "running": timeline.running,
            "source": timeline.source.name.lower(),
        }

    def next_line(self, quantise: str, asked: Timeline | None = None) -> tuple[float, float]:
        """The next grid line that can still be reached: its monotonic time and its beat. ``asked``: the request's own time."""
        grid = parse_grid(quantise)
        timeline = asked or self.timeline()
        reach = time.monotonic() + LEAD
        if grid.beats(timeline.metre) == 0 or not timeline.running:
            return reach, timeline.beat_at(reach)
        beat = timeline.boundary(reach, grid)
        return timeline.clock_at(beat), beat


class ClockInput:
    """MIDI clock from whichever port sends it. One port rules at a time, until its clock is gone: the same clock that
    comes in by two ways, or two clocks, would otherwise be mixed into a tempo that nobody plays."""

    def __init__(self) -> None:
        self._clocks: dict[str, MidiClock] = {}
        self._ruling = ""

    def feed(self, message: Any, clock: float, port: str) -> bool:
        """Take in a message from a port at its time of arrival (s); whether it was one of the clock's."""
        follow = _CLOCK_MESSAGES.get(message.type)
        if follow is None:
            return False
        follow(self._clocks.setdefault(port, MidiClock()), message, clock)
        return True

    def timeline(self, clock: float) -> Timeline | None:
        """The tempo and position of the current port; none while no clock is present."""
        found = {port: line for port, one in self._clocks.items() if (line := one.timeline(clock)) is not None}
        if found and self._ruling not in found:
            self._ruling = next(iter(found))
        return found.get(self._ruling)

    def held(self) -> Timeline | None:
        """The time of the clock that was heard last and has gone; none before there was one."""
        return max(self._clocks.values(), key=lambda one: one.last_tick).held() if self._clocks else None

    @property
    def port(self) -> str:
        """The port whose clock rules or ruled last; empty: none yet."""
        return self._ruling


_CLOCK_MESSAGES: dict[str, Any] = {
    "clock": lambda one, message, clock: one.tick(clock),
    "start": lambda one, message, clock: one.start(),
    "continue": lambda one, message, clock: one.resume(),
    "stop": lambda one, message, clock: one.stop(),
    "songpos": lambda one, message, clock: one.song_position(message.pos),
}
"""Messages of MIDI clock -> what they do."""
