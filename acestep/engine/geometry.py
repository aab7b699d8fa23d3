"""Where a job's window, region and latent frames lie. Pure integers; knows nothing of audio, models or files.

A window is a stretch of the source's timeline that becomes latent frames. Its first sample is sample 0 of frame 0, so regions may
lie anywhere between frames and still come back to the sample. Where frames are whole samples, windows begin on the timeline's own
grid of them, so that latents of neighbouring edits and stored latents line up.
"""

from __future__ import annotations

import msgspec

from acestep.api.grid import LatentGrid
from acestep.api.plan import SourceFacts
from acestep.api.rounding import samples
from acestep.audio.splice import Handles

GRID = LatentGrid()

LONGEST_GRAIN = 1.0
"""Seconds: a grid on which fewer places than this are whole samples is of no use to begin windows on."""

DECODE_MARGIN = 2
"""Frames decoded beyond what is returned, so that the resampler's filter sees sound there."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window on a timeline of ``rate`` samples a second, in frames of ``grid``.

    ``start`` is the timeline's sample that frame 0 begins with (negative before the file); ``frames`` latent frames follow.
    ``lead`` frames lie before the audio that is read: ``audio_start`` to ``audio_start + audio_length`` on the timeline. What
    is not read is silence. ``region`` is (first, last + 1) in frames and covers every sample of the region.
    """

    rate: int
    start: int
    frames: int
    region_start: int
    """The region's first sample, counted from the window's."""
    region_length: int
    lead: int = 0
    audio_start: int = 0
    audio_length: int = 0
    grid: LatentGrid = GRID

    @property
    def region(self) -> tuple[int, int]:
        """The region in frames."""
        first = self.grid.frame_at(self.region_start, self.rate)
        last = self.grid.covering(self.region_start + self.region_length, self.rate)
        return first, min(last, self.frames)

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.grid.seconds(self.frames)

    @property
    def audio_frames(self) -> int:
        """Latent frames that the read audio fills, the last one perhaps partly."""
        return min(self.grid.covering(self.audio_length, self.rate), self.frames - self.lead)

    @property
    def codec_samples(self) -> int:
        """Length of the read audio at the codec's rate; the last sample may reach past the last one that is read."""
        return -(-self.audio_length * self.grid.rate // self.rate)


class Cut(msgspec.Struct, frozen=True):
    """What is decoded, frames [first, last), and what of it is returned: ``length`` samples from ``skip`` at the window's rate."""

    first: int
    last: int
    skip: int
    length: int


def region_frames(window: Window) -> tuple[int, int]:
    """The frames (first, last + 1) that lie wholly inside the region; none of them for a very short one."""
    first = window.grid.covering(window.region_start, window.rate)
    last = window.grid.frame_at(window.region_start + window.region_length, window.rate)
    return first, max(first, last)


def new_window(length: int, rate: int, grid: LatentGrid = GRID) -> Window:
    """The window of a new part of ``length`` samples."""
    return Window(rate=rate, start=0, frames=grid.window(length, rate), region_start=0, region_length=length, grid=grid)


def source_window(source: SourceFacts, context: float, *, around: bool = True, grid: LatentGrid = GRID) -> Window:
    """The window of an edit: the region, ``context`` seconds a side, and more while the whole is below the model's minimum.

    The region may reach outside the file; nothing else of the window does, except to fill the last frames. ``around`` False
    reads the region alone. Where the model has a longest piece, the context is cut to what fits beside the region.
    """
    end = source.start + source.length
    low, high = min(source.start, 0), max(source.frames, end)
    first, last = source.start, end
    if around:
        reach = min(samples(context, source.rate), _room(source, grid))
        first, last = max(source.start - reach, low), min(end + reach, high)
        first, last = _grow((first, last), (low, high), grid.samples(grid.least, source.rate))
    step = _step(source.rate, grid)
    first = first // step * step
    frames = grid.window(last - first, source.rate)
    lead = _lead(first, source.rate, grid)
    audio_start = first + grid.samples(lead, source.rate)
    audio_end = min(source.frames, first + grid.samples(frames, source.rate) if around else end)
    return Window(
        rate=source.rate,
        start=first,
        frames=frames,
        region_start=source.start - first,
        region_length=source.length,
        lead=lead,
        audio_start=audio_start,
        audio_length=max(0, audio_end - audio_start),
        grid=grid,
    )


def _room(source: SourceFacts, grid: LatentGrid) -> int:
    """Samples a side that the longest piece of a model leaves beside a region."""
    if not grid.most:
        return source.frames + source.length
    return max(0, (grid.samples(grid.most, source.rate) - source.length) // 2)


def _step(rate: int, grid: LatentGrid) -> int:
    """Samples between the places at which a window may begin: of a grid whose frames are hardly ever whole samples, any."""
    unit = grid.samples(grid.grain(rate), rate)
    return unit if unit <= LONGEST_GRAIN * rate else 1


def _grow(window: tuple[int, int], bounds: tuple[int, int], wanted: int) -> tuple[int, int]:
    """A window made longer on both sides, evenly where the bounds allow it."""
    first, last = window
    missing = max(0, wanted - (last - first))
    left = min(first - bounds[0], missing // 2)
    right = min(bounds[1] - last, missing - left)
    left = min(first - bounds[0], missing - right)
    return first - left, last + right


def _lead(first: int, rate: int, grid: LatentGrid) -> int:
    """Frames of a window that lie before sample 0 of the file, as many as are whole numbers of samples."""
    if first >= 0:
        return 0
    unit = grid.grain(rate)
    return grid.frame_at(-first, rate) // unit * unit


def cut(window: Window, handles: Handles) -> Cut:
    """The frames to decode for the region with its handles, and where its samples begin in them."""
    grid, first_sample = window.grid, window.region_start - handles.before
    length = handles.before + window.region_length + handles.after
    unit = grid.grain(window.rate)
    first = max(0, grid.frame_at(first_sample, window.rate) - DECODE_MARGIN) // unit * unit
    last = grid.covering(first_sample + length, window.rate) + DECODE_MARGIN
    return Cut(first, min(last, window.frames), first_sample - grid.samples(first, window.rate), length)
