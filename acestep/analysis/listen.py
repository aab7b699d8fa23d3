"""Everything that is heard in a sound, at once: for labels, the choice of the best take, and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from acestep.analysis.beat import Beat, BeatFinder
from acestep.analysis.harmony import LikelyKeys, find_keys
from acestep.analysis.level import Level, find_level
from acestep.analysis.spectrum import Sound
from acestep.api.metre import Metre


@dataclass(frozen=True)
class Heard:
    """What a sound is: beat and keys where there are any, and its level."""

    beat: Beat | None
    keys: LikelyKeys | None
    level: Level

    def to_data(self) -> dict[str, Any]:
        """As plain values: bpm, seconds to the first bar line, key, LUFS, dB."""
        found: dict[str, Any] = {"loudness": round(self.level.loudness, 1), "peak": round(self.level.peak, 1)}
        if self.beat is not None and self.beat.clear:
            found |= {
                "bpm": round(self.beat.bpm, 2),
                "bar": round(self.beat.bar, 4),
                "clarity": round(self.beat.clarity, 3),
            }
        if self.keys is not None:
            found["key"] = self.keys.name
        return found


def listen(sound: Sound, rate: int, near: float | None = None, metre: Metre | None = None) -> Heard:
    """Listen to a sound [channels, samples]. ``near``: a tempo that is known; ``metre``: 4/4 where none is given."""
    finder = BeatFinder(sound, rate)
    return Heard(finder.find(near, metre or Metre()), find_keys(finder.pitches), find_level(sound, rate))
