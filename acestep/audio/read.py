"""Reading windows of sound files: only the asked samples are read, whatever the length of the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from acestep.api.errors import CorruptAudio, NotFound
from acestep.audio import far, pcm
from acestep.audio.flac_header import WithLength
from acestep.audio.layout import Layout

BLOCK = 1 << 18
"""Samples per block when a file is copied: 2 MiB of 32-bit stereo."""

SEEK_LIMIT = 30
"""Seconds before the end of a lossy file behind which nothing is searched for, only decoded: libvorbisfile lands some samples away
in a file's last page."""

LOSSY_SLACK = 3 * 1152
"""Samples at the end that decoders of MP3 may count differently: their own delay, and a last frame without its neighbour."""


def read_native(path: Path, layout: Layout, start: int, length: int) -> pcm.Samples:
    """Samples [start, start + length) in the file's own form, [channels, length]; the window lies inside the file.

    Raises `CorruptAudio` when the file ends early or cannot be decoded, `NotFound` when it is gone.
    """
    try:
        if layout.container == "FLAC":
            found = _read_flac(path, layout, start, length)
        elif layout.lossy:
            found = _read_lossy(path, layout, start, length)
        else:
            first, size = layout.data + start * layout.frame_bytes, length * layout.frame_bytes
            far.fetch(path, first, first + size)
            with path.open("rb") as file:
                file.seek(first)
                data = file.read(size)
            whole = len(data) // layout.frame_bytes * layout.frame_bytes
            found = pcm.decode(data[:whole], layout.subtype, layout.channels, big_endian=layout.big_endian)
    except (soundfile.LibsndfileError, EOFError):
        raise CorruptAudio(
            f"{path.name} is damaged or cut short: it cannot be decoded from {start / layout.rate:.3f} to "
            f"{(start + length) / layout.rate:.3f} s",
            field="source",
        ) from None
    except OSError as failure:
        raise NotFound(f"{path} cannot be read: {failure.strerror}", field="source") from None
    if found.shape[1] < length:
        raise CorruptAudio(f"{path.name} ends after {start + found.shape[1]} samples: it is truncated", field="source")
    return found


def _read_flac(path: Path, layout: Layout, start: int, length: int) -> pcm.Samples:
    with (
        WithLength(path, layout.frames) if layout.open_ended else nullcontext(path) as data,
        soundfile.SoundFile(data) as file,
    ):
        if (file.samplerate, file.channels, file.frames) != (layout.rate, layout.channels, layout.frames):
            raise CorruptAudio(f"{path.name} contradicts its own header", field="source")
        file.seek(start)
        native = file.read(length, dtype="int32", always_2d=True)
    return np.ascontiguousarray(native.T >> (32 - layout.bits))


def _read_lossy(path: Path, layout: Layout, start: int, length: int) -> pcm.Samples:
    """Decoded sound as 32-bit floats. What a decoder leaves out at the very end of an untagged file is silence."""
    with soundfile.SoundFile(path) as file:
        if (file.samplerate, file.channels) != (layout.rate, layout.channels):
            raise CorruptAudio(f"{path.name} contradicts its own header", field="source")
        first = min(start, file.frames)
        file.seek(max(0, min(first, file.frames - SEEK_LIMIT * layout.rate)))
        while file.tell() < first:
            file.read(min(first - file.tell(), BLOCK), dtype="float32")
        data = file.read(max(min(length, file.frames - first), 0), dtype="float32", always_2d=True).T
    missing = length - data.shape[1]
    if missing > 0 and layout.frames - start - data.shape[1] <= LOSSY_SLACK:
        data = np.pad(data, ((0, 0), (0, missing)))
    return np.ascontiguousarray(data)


def read_float(path: Path, layout: Layout, start: int, length: int) -> NDArray[np.float64]:
    """Samples [start, start + length) as numbers from -1 to 1 (float files: beyond), [channels, length]; inside the file.

    Raises `CorruptAudio` also for a value that is not a number, and says where it stands.
    """
    values = pcm.to_float(read_native(path, layout, start, length), layout.subtype)
    if layout.floating:
        require_finite(values, path.name, start, layout.rate)
    return values


def require_finite(values: NDArray[np.floating], name: str, start: int, rate: int) -> None:
    """Refuse a source's NaN or infinite samples, [channels, n], the first of which is sample ``start``. Raises `CorruptAudio`."""
    wrong = ~np.isfinite(values)
    if wrong.any():
        place = int(np.argmax(wrong.any(axis=0)))
        kind = "no number (NaN)" if np.isnan(values[:, place]).any() else "infinite"
        raise CorruptAudio(
            f"{name} is damaged: sample {start + place:,} (at {(start + place) / rate:.3f} s) is {kind}; repair it there, or "
            "choose a region farther away",
            field="source",
        )


def read_window(path: Path, layout: Layout, start: int, length: int) -> NDArray[np.float32]:
    """Any window as float32 [channels, length]; zeros where it reaches outside the file."""
    window = np.zeros((layout.channels, length), np.float32)
    first, last = max(start, 0), min(start + length, layout.frames)
    if first < last:
        window[:, first - start : last - start] = read_float(path, layout, first, last - first)
    return window


def native_blocks(path: Path, layout: Layout, start: int, end: int) -> Iterator[pcm.Samples]:
    """Samples [start, end) in blocks, in the file's own form; empty for an empty or reversed range."""
    for place in range(start, end, BLOCK):
        yield read_native(path, layout, place, min(BLOCK, end - place))
