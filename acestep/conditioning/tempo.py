"""Musical time to samples: a tempo map as a DAW knows it, piecewise constant."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from acestep.api.errors import BadRequest


@dataclass(frozen=True, slots=True)
class TempoMap:
    """`changes`: (sample, quarters a minute), ascending. `downbeat`: the sample of a bar line = quarter 0, anywhere.

    Before the first change its tempo holds too, so a downbeat may lie before the sound (negative) or after it.
    """

    changes: tuple[tuple[int, float], ...]
    downbeat: int = 0
    rate: int = 48000

    def __post_init__(self) -> None:
        places = [sample for sample, _ in self.changes]
        if not places or sorted(set(places)) != places or any(not 10 <= bpm <= 1000 for _, bpm in self.changes):
            raise BadRequest("a tempo map needs ascending samples and tempi from 10 to 1000 bpm", field="bpm")

    @classmethod
    def steady(cls, bpm: float, rate: int = 48000, downbeat: int = 0) -> TempoMap:
        return cls(((0, float(bpm)),), downbeat, rate)

    def sample(self, quarter: float) -> float:
        """Where a quarter lies, in samples (not rounded)."""
        target = self._quarters_from_start(self.downbeat) + quarter
        index = max(0, bisect_right(self._starts(), target) - 1)
        place, bpm = self.changes[index]
        return place + (target - self._starts()[index]) * self.rate * 60.0 / bpm

    def quarter(self, sample: float) -> float:
        """The inverse of `sample`."""
        return self._quarters_from_start(sample) - self._quarters_from_start(self.downbeat)

    def _starts(self) -> list[float]:
        """Quarters from the first change to each change."""
        starts = [0.0]
        for (place, bpm), (following, _) in zip(self.changes, self.changes[1:], strict=False):
            starts.append(starts[-1] + (following - place) * bpm / (60.0 * self.rate))
        return starts

    def _quarters_from_start(self, sample: float) -> float:
        index = max(0, bisect_right([place for place, _ in self.changes], sample) - 1)
        place, bpm = self.changes[index]
        return self._starts()[index] + (sample - place) * bpm / (60.0 * self.rate)
