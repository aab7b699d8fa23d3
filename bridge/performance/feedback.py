"""What goes back to the controller: which pads are lit, and the time its clock is made from. The player process sends both."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from bridge.performance.link import PlayerLink
from bridge.performance.mapping import Mapping
from bridge.performance.player.messages import ClockBeat, FeedbackOutput, Levels
from bridge.performance.tempo import Tempo
from bridge.performance.timeline import TempoSource, Timeline

BRIGHT, DIM = 127, 32
"""Velocities of pad lights: playing and ready."""

STEER = 0.05
"""Seconds between looks at the current tempo while a clock is sent."""

SIXTEENTH = 0.25
"""Beats between the places a song position pointer can name."""

SONG = (TempoSource.HOST, TempoSource.MIDI_CLOCK)
"""Sources that have a song, whose positions mean something; others have only bars, and a transport joins them on a bar line."""


class Feedback:
    """Lights and clock of one daemon. ``ready`` tells whether a slot holds something."""

    def __init__(self, player: PlayerLink, tempo: Tempo, ready: Callable[[int], bool], backend: str = "") -> None:
        self.sends_clock = False
        """Whether MIDI clock goes to the feedback port."""
        self._player = player
        self._tempo = tempo
        self._ready = ready
        self._backend = backend
        self._output = ""
        self._pads: list[tuple[int, int, int]] = []
        """(channel from 0, note, slot) of every pad that launches a slot."""
        self._lit: dict[tuple[int, int], int] = {}
        self._sent: ClockBeat | None = None
        self._turned = asyncio.Event()

    async def take_over(self, mapping: Mapping) -> None:
        """Light the pads of another mapping, on its output."""
        self._pads = _pads(mapping)
        known = {(channel, note) for channel, note, _ in self._pads}
        gone = {place: 0 for place, velocity in self._lit.items() if velocity and place not in known}
        if gone:
            await self._player.light(gone)
        self._lit = {place: velocity for place, velocity in self._lit.items() if place in known}
        if mapping.feedback != self._output:
            self._output = mapping.feedback
            await self._player.feed_back(FeedbackOutput(output=mapping.feedback, backend=self._backend))

    async def show(self, levels: Levels) -> None:
        """Light the pads of slots: bright while playing, dim while ready, off otherwise. Only what changes is sent."""
        lights = {(channel, note): self._brightness(slot, levels) for channel, note, slot in self._pads}
        changed = {place: velocity for place, velocity in lights.items() if self._lit.get(place, 0) != velocity}
        self._lit = lights
        if changed:
            await self._player.light(changed)

    def send_clock(self, on: bool) -> dict[str, Any]:
        """Send MIDI clock to the feedback port, or stop doing so."""
        self.sends_clock = on
        self._turned.set()
        return self.state()

    def state(self) -> dict[str, Any]:
        """The output that is asked for, the one that is open, and the clock with the largest delay (s) of its last ticks."""
        levels = self._player.levels
        problem = (
            "" if not self._output or levels.feedback else f"there is no MIDI output {self._output!r}; it is looked for"
        )
        if self.sends_clock and not self._output:
            problem = "the clock has nowhere to go; name an output as `feedback` in the mapping"
        clock = {"on": self.sends_clock, "state": levels.clock, "late": levels.clock_late}
        return {"output": self._output, "open": levels.feedback, "problem": problem, "clock": clock}

    async def keep_time(self) -> None:
        """Hand the current time to the player whenever it changes, forever."""
        while True:
            self._turned.clear()
            beat = self._beat(self._tempo.timeline())
            if self._differs(beat):
                self._sent = beat
                await self._player.follow(beat)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STEER if self.sends_clock else None):
                    await self._turned.wait()

    def steer(self) -> None:
        """Look at the tempo now: somebody changed it."""
        self._turned.set()

    def _beat(self, timeline: Timeline) -> ClockBeat:
        bar = timeline.metre.bar
        return ClockBeat(
            bpm=timeline.bpm,
            anchor=timeline.anchor,
            beat=timeline.beat,
            running=timeline.running,
            clock=self.sends_clock,
            join=SIXTEENTH if timeline.source in SONG else bar,
            bar=bar,
        )

    def _differs(self, beat: ClockBeat) -> bool:
        before = self._sent
        if before is None or (before.clock, before.join, before.bar) != (beat.clock, beat.join, beat.bar):
            return True
        return beat.clock and _line(before).differs(_line(beat), time.monotonic())

    def _brightness(self, slot: int, levels: Levels) -> int:
        if slot in levels.playing:
            return BRIGHT
        return DIM if self._ready(slot) else 0


def _line(beat: ClockBeat) -> Timeline:
    return Timeline(bpm=beat.bpm, anchor=beat.anchor, beat=beat.beat, running=beat.running)


def _pads(mapping: Mapping) -> list[tuple[int, int, int]]:
    return [
        ((trigger.channel or 1) - 1, note, note - trigger.low if trigger.slot == -1 else trigger.slot)
        for trigger in mapping.trigger
        if trigger.action == "launch" and trigger.on == "note" and trigger.slot is not None
        for note in range(trigger.low, trigger.high + 1)
    ]
