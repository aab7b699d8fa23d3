"""The tempo that rules: host, MIDI clock, tap or default, in that order."""

from __future__ import annotations

import time
from typing import Any

from acestep.api.errors import BadRequest
from bridge.performance.midi_clock import MidiClock
from bridge.performance.timeline import Metre, TapTempo, TempoSource, Timeline, choose, parse_grid

LEAD = 0.03
"""Seconds a launch needs to reach the sound card; a boundary closer than this is taken as the next one."""


class Tempo:
    """All sources of musical time of one daemon."""

    def __init__(self, default_bpm: float) -> None:
        self.default_bpm = default_bpm
        self.clock = MidiClock()
        self._host: Timeline | None = None
        self._tapped: Timeline | None = None
        self._tap = TapTempo()

    def timeline(self) -> Timeline:
        """The time that rules now: host, MIDI clock, tap, default, in that order."""
        found = [
            self._host,
            self.clock.timeline(time.monotonic()),
            self._tapped,
            Timeline(bpm=self.default_bpm),
        ]
        return choose([timeline for timeline in found if timeline is not None])

    def set_host(self, bpm: float, beat: float = 0.0, metre: str = "4/4", running: bool = True) -> dict[str, Any]:
        """Tempo and position from the host: at this moment the song stands at ``beat`` (quarter notes)."""
        numerator, _, denominator = metre.partition("/")
        if not (numerator.isdigit() and denominator in ("1", "2", "4", "8", "16")) or not 1 <= int(numerator) <= 64:
            raise BadRequest(f"{metre!r} is no metre", field="metre")
        self._host = Timeline(
            bpm=bpm,
            anchor=time.monotonic(),
            beat=beat,
            metre=Metre(int(numerator), int(denominator)),
            running=running,
            source=TempoSource.HOST,
        )
        return self.state()

    def forget_host(self) -> dict[str, Any]:
        """Let go of the host's tempo: MIDI clock, tap or the default rule again."""
        self._host = None
        return self.state()

    def tap(self) -> dict[str, Any]:
        """A tap on the beat."""
        now = time.monotonic()
        bpm = self._tap.tap(now)
        if bpm is not None and 30 <= bpm <= 300:
            self._tapped = Timeline(bpm=bpm, anchor=now, beat=0.0, source=TempoSource.TAP)
        return self.state()

    def state(self) -> dict[str, Any]:
        """The ruling tempo and position."""
        timeline = self.timeline()
        return {
            "bpm": timeline.bpm,
            "beat": timeline.beat_at(time.monotonic()),
            "metre": f"{timeline.metre.numerator}/{timeline.metre.denominator}",
            "running": timeline.running,
            "source": timeline.source.name.lower(),
        }

    def next_line(self, quantise: str) -> float:
        """The monotonic time of the next grid line that can still be reached."""
        grid = parse_grid(quantise)
        timeline = self.timeline()
        reach = time.monotonic() + LEAD
        if grid.beats(timeline.metre) == 0 or not timeline.running:
            return reach
        return timeline.clock_at(timeline.boundary(reach, grid))
