"""Tempo and song position from MIDI clock (24 ticks a quarter note), steady under jitter.

Each tick is a noisy measurement of a straight line (time against tick number). The tempo is the slope of a
least-squares line through the last ticks: 24 at first, growing to 384 while the ticks stay on the line, so jitter of
several milliseconds averages out; when the newest ticks leave the line (a tempo change) the window falls back to one beat.
"""

from __future__ import annotations

from collections import deque

from acestep.api.limits import BPM_RANGE
from bridge.performance.timeline import TempoSource, Timeline

TICKS_PER_BEAT = 24
SHORT = TICKS_PER_BEAT
"""Ticks of the shortest window: one beat, the usual smoothing."""
LONG = 16 * TICKS_PER_BEAT
"""Ticks of the longest window: with 5 ms jitter the tempo's error is then below 0.02 %."""
TICKS_PER_SONG_POSITION = 6
"""A song position pointer counts sixteenth notes."""
GAP = 1.0
"""Seconds without a tick after which the clock counts as gone (below 2.5 bpm)."""


class MidiClock:
    """Follows one MIDI clock. Feed it the messages with their arrival times (s, monotonic)."""

    def __init__(self) -> None:
        self.running = False
        self._ticks: deque[float] = deque(maxlen=LONG)
        self._position = 0
        """Ticks since the start of the song, of the last tick received while running."""

    def tick(self, clock: float) -> None:
        """A clock message (0xF8)."""
        if self._ticks and not 0 < clock - self._ticks[-1] < GAP:
            self._ticks.clear()
        self._ticks.append(clock)
        if self.running:
            self._position += 1
        if len(self._ticks) > 2 * SHORT and self._left_the_line():
            while len(self._ticks) > SHORT:
                self._ticks.popleft()

    def start(self) -> None:
        """A start message (0xFA): the next tick is the first of the song."""
        self.running = True
        self._position = -1

    def resume(self) -> None:
        """A continue message (0xFB): go on from where the song stood."""
        self.running = True
        self._position -= 1

    def stop(self) -> None:
        """A stop message (0xFC)."""
        self.running = False

    def song_position(self, sixteenths: int) -> None:
        """A song position pointer (0xF2); valid while stopped, in sixteenth notes."""
        self._position = sixteenths * TICKS_PER_SONG_POSITION

    def present(self, clock: float) -> bool:
        """Whether ticks are coming in and one beat of them is known."""
        return len(self._ticks) >= SHORT and clock - self._ticks[-1] < GAP

    @property
    def last_tick(self) -> float:
        """When the last tick came (s)."""
        return self._ticks[-1] if self._ticks else float("-inf")

    def held(self) -> Timeline | None:
        """The tempo and position of a clock that has gone, as they were: a song that ran goes on in its time, a stopped one stands
        where it stood. None before one beat was heard."""
        return self.timeline(self.last_tick)

    def timeline(self, clock: float) -> Timeline | None:
        """The tempo and position seen from a clock time; none while no clock is present, or none that is music."""
        if not self.present(clock):
            return None
        interval, latest = _line(list(self._ticks))
        bpm = 60 / (interval * TICKS_PER_BEAT)
        if not BPM_RANGE[0] <= bpm <= BPM_RANGE[1]:
            return None
        return Timeline(
            bpm=bpm,
            anchor=latest,
            beat=max(self._position, 0) / TICKS_PER_BEAT,
            running=self.running,
            source=TempoSource.MIDI_CLOCK,
        )

    def _left_the_line(self) -> bool:
        """Whether the newest half beat lies, all on one side, off the line of the older ticks."""
        ticks = list(self._ticks)
        recent = ticks[-TICKS_PER_BEAT // 2 :]
        older = ticks[: -len(recent)]
        interval, latest = _line(older)
        spread = max(abs(when - (latest - (len(older) - 1 - at) * interval)) for at, when in enumerate(older))
        misses = [when - (latest + (at + 1) * interval) for at, when in enumerate(recent)]
        one_sided = all(miss > 0 for miss in misses[-6:]) or all(miss < 0 for miss in misses[-6:])
        return one_sided and abs(sum(misses[-6:]) / 6) > max(1.5 * spread, 0.002)


def _line(times: list[float]) -> tuple[float, float]:
    """Least-squares line through equally numbered ticks: seconds per tick, and the line's time at the last tick."""
    count = len(times)
    centre = (count - 1) / 2
    mean = sum(times) / count
    slope = sum((at - centre) * (when - mean) for at, when in enumerate(times)) * 12 / (count * (count * count - 1))
    return slope, mean + slope * centre
