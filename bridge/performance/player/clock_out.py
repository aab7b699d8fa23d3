"""MIDI clock that follows a timeline: 24 ticks a quarter note, start, stop, continue and song position.

Pure: timelines and moments go in, messages and the moments at which they are due come out. Tick ``n`` belongs to beat
``n / 24``: the ticks of a song are numbered from its beginning, and each lies where the timeline has it, however late the last
one was.
"""

from __future__ import annotations

import math

import mido

from bridge.performance.midi_clock import TICKS_PER_BEAT, TICKS_PER_SONG_POSITION
from bridge.performance.player.messages import ClockBeat
from bridge.performance.timeline import Timeline

JUMP = 0.125
"""Beats by which a new timeline may differ at this moment and still be the same song, only steered; above it the song jumped."""

SLACK = 1.0
"""Ticks by which a place to join may lie in the past: a host's start always arrives a little late."""

LOST = 0.5
"""Seconds behind at which ticks are not made up for: the machine slept, and the transport joins anew."""

POSITIONS = 16_384
"""What a song position pointer can count, in sixteenth notes; later positions begin again, on a bar line."""


class ClockOut:
    """The clock that one receiver hears. `follow` whenever the time changes, `take` whenever `due` has come."""

    def __init__(self) -> None:
        self.rolling = False
        """Whether the receiver's transport runs."""
        self._beat: ClockBeat | None = None
        self._line: Timeline | None = None
        self._tick = 0
        """The next tick."""
        self._join: int | None = None
        """The tick at which the transport starts; none while it rolls or the song stands."""

    def follow(self, beat: ClockBeat | None, now: float) -> list[mido.Message]:
        """Go on by another time from this moment (s) on; what the receiver must hear of it at once."""
        before, self._beat = self._line, beat if beat is not None and beat.clock else None
        if self._beat is None:
            self._line = None
            return self._stop()
        line = Timeline(bpm=self._beat.bpm, anchor=self._beat.anchor, beat=self._beat.beat)
        if not self._beat.running:
            self._line = self._idle(before, now)
            return self._stop()
        steered = before is not None and abs(line.beat_at(now) - before.beat_at(now)) < JUMP
        self._line = line
        if steered and (self.rolling or self._join is not None):
            return []
        return [*self._stop(), *self._approach(now)]

    def rejoin(self, now: float) -> list[mido.Message]:
        """Begin anew, for a receiver that has heard nothing so far."""
        beat, self.rolling, self._line = self._beat, False, None
        return self.follow(beat, now)

    def due(self) -> float | None:
        """When the next tick must go out (s); none while no clock is sent."""
        return None if self._line is None else self._line.clock_at(self._tick / TICKS_PER_BEAT)

    def take(self, now: float) -> list[mido.Message]:
        """The messages that are due. A transport message stands right behind the tick before its place, so that the
        receiver is ready when its tick comes."""
        due = self.due()
        if due is None or due > now:
            return []
        if now - due > LOST and self._beat is not None and self._beat.running:
            return [*self._stop(), *self._approach(now)]
        self._tick += 1
        return [mido.Message("clock"), *(self._begin() if self._tick == self._join else [])]

    def _stop(self) -> list[mido.Message]:
        rolled, self.rolling, self._join = self.rolling, False, None
        return [mido.Message("stop")] if rolled else []

    def _idle(self, before: Timeline | None, now: float) -> Timeline:
        """The ticks of a song that stands still: they go on from where they were, at the tempo that will rule."""
        assert self._beat is not None
        if before is None:
            self._tick = 0
            return Timeline(bpm=self._beat.bpm, anchor=now)
        beat = self._tick / TICKS_PER_BEAT
        return Timeline(bpm=self._beat.bpm, anchor=max(now, before.clock_at(beat)), beat=beat)

    def _approach(self, now: float) -> list[mido.Message]:
        """Find the place to join; starts at once if that is the next tick."""
        assert self._beat is not None and self._line is not None
        here = self._line.beat_at(now) * TICKS_PER_BEAT
        step = max(TICKS_PER_SONG_POSITION, round(self._beat.join * TICKS_PER_BEAT))
        self._join = max(0, math.ceil((here - SLACK) / step) * step)
        self._tick = min(self._join, math.ceil(here - 1e-6))
        return self._begin() if self._tick == self._join else []

    def _begin(self) -> list[mido.Message]:
        assert self._join is not None and self._beat is not None
        bar = max(1, round(self._beat.bar * TICKS_PER_BEAT / TICKS_PER_SONG_POSITION))
        position = self._join // TICKS_PER_SONG_POSITION % (POSITIONS // bar * bar)
        self.rolling, self._join = True, None
        if position == 0:
            return [mido.Message("start")]
        return [mido.Message("songpos", pos=position), mido.Message("continue")]
