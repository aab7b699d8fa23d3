"""Which frame is heard at which moment: the sound card's frames against the machine's monotonic clock."""

from __future__ import annotations

import statistics
from collections import deque


class StreamClock:
    """Maps monotonic time to frames of a stream.

    Every callback says: frame ``f`` is heard (or was played into the input) at time ``t``. Single reports jitter with the
    scheduler; the median over the last ones does not, and it follows the slow drift of the card's crystal.
    """

    def __init__(self, rate: int, window: int = 63) -> None:
        self.rate = rate
        self._offsets: deque[float] = deque(maxlen=window)

    def observe(self, frame: int, clock: float) -> None:
        """Frame ``frame`` belongs to monotonic time ``clock`` (s)."""
        offset = clock - frame / self.rate
        if self._offsets and abs(offset - self._offsets[-1]) > 0.25:
            self._offsets.clear()
        self._offsets.append(offset)

    @property
    def known(self) -> bool:
        """Whether the stream has run at all."""
        return bool(self._offsets)

    def frame_at(self, clock: float) -> int:
        """The frame that belongs to a monotonic time, rounded to the nearest."""
        return round((clock - statistics.median(self._offsets)) * self.rate)

    def clock_at(self, frame: int) -> float:
        """The monotonic time that belongs to a frame."""
        return statistics.median(self._offsets) + frame / self.rate
