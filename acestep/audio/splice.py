"""Putting a new region into a source: the crossfade lies outside the region, everything beyond it is the source's own samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from acestep.audio.layout import Layout
from acestep.audio.read import read_float


class Handles(msgspec.Struct, frozen=True):
    """Crossfade samples before and after the region."""

    before: int
    after: int


def clamp_handles(start: int, length: int, frames: int, crossfade: int) -> Handles:
    """The crossfade as far as the file reaches: none at a file's end, or where the region goes beyond it."""
    end = start + length
    before = min(crossfade, max(start, 0)) if start <= frames else 0
    after = min(crossfade, max(frames - end, 0)) if end >= 0 else 0
    return Handles(before, after)


def place_crossfades(handles: Handles, length: int, side: str) -> tuple[Handles, Handles]:
    """How far crossfades reach outside a region of ``length`` samples, and how far inside it: one of them, as ``side`` says. Inside
    each is at most half of the region.
    """
    if side == "outside":
        return handles, Handles(0, 0)
    half = length // 2
    return Handles(0, 0), Handles(min(handles.before, half), min(handles.after, half))


def fade_weights(handles: Handles, length: int) -> NDArray[np.float64]:
    """Weight of the new sound over handles and region: linear ramps, 1 in the region, [before + length + after].

    The ramps leave out 0 and 1: the sample before the fade is all source, the first of the region all new.
    """
    weights = np.ones(handles.before + length + handles.after)
    weights[: handles.before] = np.arange(1, handles.before + 1) / (handles.before + 1)
    weights[handles.before + length :] = np.arange(handles.after, 0, -1) / (handles.after + 1)
    return weights


class Splice(msgspec.Struct, frozen=True, kw_only=True):
    """A region of a source file and its new sound; ``new`` is [channels, before + length + after] at the source's rate."""

    path: Path
    layout: Layout
    start: int
    length: int
    handles: Handles
    new: Any

    @property
    def first(self) -> int:
        """First sample that differs from the source; negative when the region begins before the file."""
        return self.start - self.handles.before

    @property
    def last(self) -> int:
        """Sample after the last that differs."""
        return self.start + self.length + self.handles.after

    @property
    def single(self) -> bool:
        """Whether 32-bit floats hold every value of the source."""
        return self.layout.subtype not in ("PCM_32", "DOUBLE")

    def mixed(self) -> NDArray[np.float64]:
        """New sound with its handles faded into the source, [channels, last - first], -1 to 1.

        Where a float file holds the source exactly, values are rounded to it, so that patch and whole file say the same.
        """
        weights = fade_weights(self.handles, self.length)
        mixed = np.asarray(self.new, np.float64).copy()
        for place, size in ((self.first, self.handles.before), (self.start + self.length, self.handles.after)):
            if size:
                source = read_float(self.path, self.layout, place, size)
                part = slice(place - self.first, place - self.first + size)
                mixed[:, part] = source * (1 - weights[part]) + mixed[:, part] * weights[part]
        return mixed.astype(np.float32).astype(np.float64) if self.single else mixed
