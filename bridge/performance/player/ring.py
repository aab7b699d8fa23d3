"""The capture ring: the last bars of an input, always there, in bounded memory."""

from __future__ import annotations

import numpy as np

from acestep.api.errors import RegionOutside


class CaptureRing:
    """A ring of float32 frames ``[capacity, channels]``, addressed by the frame number of the input stream.

    One thread writes (the audio callback), any other reads; a read copies and then checks that nothing of it was
    overwritten meanwhile, so no lock is ever held in the callback.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        self._data = np.zeros((capacity, channels), dtype=np.float32)
        self._end = 0
        self._claimed = 0
        """Frame number up to which the writer may already have overwritten what is a capacity older."""
        self._peak = 0.0

    @property
    def end(self) -> int:
        """Frame number after the newest frame."""
        return self._end

    @property
    def start(self) -> int:
        """Frame number of the oldest frame still held."""
        return max(0, self._claimed - len(self._data))

    def write(self, block: np.ndarray) -> None:
        """Append a block ``[frames, channels]``."""
        size = len(self._data)
        kept = block[-size:]
        self._claimed = self._end + len(block)
        at = (self._end + len(block) - len(kept)) % size
        head = min(len(kept), size - at)
        self._data[at : at + head] = kept[:head]
        self._data[: len(kept) - head] = kept[head:]
        self._end += len(block)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))

    def take_peak(self) -> float:
        """The largest sample since the last question; the input's level."""
        peak, self._peak = self._peak, 0.0
        return peak

    def skip_to(self, frame: int) -> None:
        """Fill with silence up to a frame number: input that the machine lost keeps its place in time."""
        missing = frame - self._end
        if missing > 0:
            self.write(np.zeros((min(missing, len(self._data)), self._data.shape[1]), np.float32))
            self._end = self._claimed = frame

    def read(self, start: int, count: int) -> np.ndarray:
        """A copy of ``count`` frames from frame number ``start``. Raises `RegionOutside` if the ring does not hold them."""
        if count < 1 or start < self.start or start + count > self._end:
            raise RegionOutside(
                "the capture does not reach that far",
                field="bars",
                limits={"min": self.start, "max": self._end, "unit": "samples"},
            )
        copy = self._data[np.arange(start, start + count) % len(self._data)]
        if start < self.start:
            raise RegionOutside("the capture was overwritten while it was read", field="bars")
        return copy
