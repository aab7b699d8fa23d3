"""Where a job's window, region and latent frames lie. Pure integers; knows nothing of audio, models or files.

A window is a stretch of the source's timeline that becomes latent frames of 40 ms. Its first sample is sample 0 of frame 0, so
regions may lie anywhere between frames and still come back to the sample. Windows begin on the timeline's own 40 ms grid, so that
latents of neighbouring edits and stored latents line up.
"""

from __future__ import annotations

from math import gcd

import msgspec

from acestep.api import limits
from acestep.api.limits import FRAMES_PER_SECOND
from acestep.api.plan import SourceFacts
from acestep.api.rounding import samples
from acestep.audio.splice import Handles

MIN_FRAMES = int(limits.MIN_DURATION * FRAMES_PER_SECOND)
FRAME_MULTIPLE = 10
"""Windows are whole DiT patches (2 frames) and whole semantic codes (5 frames)."""

DECODE_MARGIN = 2
"""Frames decoded beyond what is returned, so that the resampler's filter sees sound there."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A window on a timeline of ``rate`` samples a second.

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

    @property
    def region(self) -> tuple[int, int]:
        """The region in frames."""
        first = self.region_start * FRAMES_PER_SECOND // self.rate
        last = -(-(self.region_start + self.region_length) * FRAMES_PER_SECOND // self.rate)
        return first, min(last, self.frames)

    @property
    def seconds(self) -> float:
        """Length of the window."""
        return self.frames / FRAMES_PER_SECOND

    @property
    def audio_frames(self) -> int:
        """Latent frames that the read audio fills, the last one perhaps partly."""
        return min(-(-self.audio_length * FRAMES_PER_SECOND // self.rate), self.frames - self.lead)

    @property
    def codec_samples(self) -> int:
        """Length of the read audio at the codec's rate; the last sample may reach past the last one that is read."""
        return -(-self.audio_length * limits.CODEC_RATE // self.rate)


class Cut(msgspec.Struct, frozen=True):
    """What is decoded, frames [first, last), and what of it is returned: ``length`` samples from ``skip`` at the window's rate."""

    first: int
    last: int
    skip: int
    length: int


def grain(rate: int) -> int:
    """The least number of frames that is a whole number of samples at ``rate``; 1 at every usual rate."""
    return FRAMES_PER_SECOND // gcd(rate, FRAMES_PER_SECOND)


def frame_samples(frames: int, rate: int) -> int:
    """Samples at ``rate`` before frame ``frames``, rounded down."""
    return frames * rate // FRAMES_PER_SECOND


def region_frames(window: Window) -> tuple[int, int]:
    """The frames (first, last + 1) that lie wholly inside the region; none of them for a very short one."""
    first = -(-window.region_start * FRAMES_PER_SECOND // window.rate)
    last = (window.region_start + window.region_length) * FRAMES_PER_SECOND // window.rate
    return first, max(first, last)


def frame_count(samples: int, rate: int) -> int:
    """Frames of a window that holds ``samples``: within the model's minimum, and a multiple of what it needs."""
    needed = max(-(-samples * FRAMES_PER_SECOND // rate), MIN_FRAMES)
    return -(-needed // FRAME_MULTIPLE) * FRAME_MULTIPLE


def new_window(length: int, rate: int) -> Window:
    """The window of a new part of ``length`` samples."""
    return Window(rate=rate, start=0, frames=frame_count(length, rate), region_start=0, region_length=length)


def source_window(source: SourceFacts, context: float, *, around: bool = True) -> Window:
    """The window of an edit: the region, ``context`` seconds a side, and more while the whole is below the model's minimum.

    The region may reach outside the file; nothing else of the window does, except to fill the last frames. ``around`` False
    reads the region alone.
    """
    end = source.start + source.length
    low, high = min(source.start, 0), max(source.frames, end)
    first, last = source.start, end
    if around:
        reach = samples(context, source.rate)
        first, last = max(source.start - reach, low), min(end + reach, high)
        first, last = _grow((first, last), (low, high), int(limits.MIN_DURATION * source.rate))
    step = frame_samples(grain(source.rate), source.rate)
    first = first // step * step
    frames = frame_count(last - first, source.rate)
    lead = _lead(first, source.rate)
    audio_start = first + frame_samples(lead, source.rate)
    audio_end = min(source.frames, first + frame_samples(frames, source.rate) if around else end)
    return Window(
        rate=source.rate,
        start=first,
        frames=frames,
        region_start=source.start - first,
        region_length=source.length,
        lead=lead,
        audio_start=audio_start,
        audio_length=max(0, audio_end - audio_start),
    )


def _grow(window: tuple[int, int], bounds: tuple[int, int], wanted: int) -> tuple[int, int]:
    """A window made longer on both sides, evenly where the bounds allow it."""
    first, last = window
    missing = max(0, wanted - (last - first))
    left = min(first - bounds[0], missing // 2)
    right = min(bounds[1] - last, missing - left)
    left = min(first - bounds[0], missing - right)
    return first - left, last + right


def _lead(first: int, rate: int) -> int:
    """Frames of a window that lie before sample 0 of the file, as many as are whole numbers of samples."""
    if first >= 0:
        return 0
    unit = grain(rate)
    return -first * FRAMES_PER_SECOND // rate // unit * unit


def cut(window: Window, handles: Handles) -> Cut:
    """The frames to decode for the region with its handles, and where its samples begin in them."""
    first_sample = window.region_start - handles.before
    length = handles.before + window.region_length + handles.after
    unit = grain(window.rate)
    first = max(0, first_sample * FRAMES_PER_SECOND // window.rate - DECODE_MARGIN) // unit * unit
    last = -(-(first_sample + length) * FRAMES_PER_SECOND // window.rate) + DECODE_MARGIN
    return Cut(first, min(last, window.frames), first_sample - frame_samples(first, window.rate), length)
