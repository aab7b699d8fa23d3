"""Which frame is heard at which moment: the sound card's frames against the machine's monotonic clock."""

from __future__ import annotations

from collections import deque

RECENT = 8
"""Blocks that must all be late before frames count as lost; a single late wake-up is only the scheduler."""


class StreamClock:
    """Maps monotonic time to frames of a stream.

    Every callback says: frame ``f`` is heard (or was played into the input) at time ``t``. A callback can wake up late
    but never early, so the true relation is the earliest one seen lately. When the machine misses time (an xrun) every
    later report is late by the same amount: `observe` then answers how many frames were lost, and the caller skips
    them, so that musical time goes on.
    """

    def __init__(self, rate: int, window: int = 256) -> None:
        self.rate = rate
        self._offsets: deque[float] = deque(maxlen=window)

    def observe(self, frame: int, clock: float, block: int) -> int:
        """Frame ``frame``, the first of a block of ``block`` frames, belongs to monotonic time ``clock`` (s).

        Returns the frames that were lost before this block and must be skipped; mostly 0, and never less than half a block:
        smaller shifts are drift, which the window follows by itself.
        """
        self._offsets.append(clock - frame / self.rate)
        if len(self._offsets) < 2 * RECENT:
            return 0
        recent = list(self._offsets)[-RECENT:]
        before = min(list(self._offsets)[:-RECENT])
        lost = round((min(recent) - before) * self.rate)
        if lost < block / 2:
            return 0
        for _ in recent:
            self._offsets.pop()
        self._offsets.extend(offset - lost / self.rate for offset in recent)
        return lost

    @property
    def known(self) -> bool:
        """Whether the stream has run at all."""
        return bool(self._offsets)

    def frame_at(self, clock: float) -> int:
        """The frame that belongs to a monotonic time, rounded to the nearest."""
        return round((clock - min(self._offsets)) * self.rate)

    def clock_at(self, frame: int) -> float:
        """The monotonic time that belongs to a frame."""
        return min(self._offsets) + frame / self.rate
