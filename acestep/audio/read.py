"""Reading windows of sound files: only the asked samples are read, whatever the length of the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from acestep.api.errors import CorruptAudio, NotFound
from acestep.audio import pcm
from acestep.audio.sniff import Layout

BLOCK = 1 << 18
"""Samples per block when a file is copied: 2 MiB of 32-bit stereo."""


def read_native(path: Path, layout: Layout, start: int, length: int) -> pcm.Samples:
    """Samples [start, start + length) in the file's own form, [channels, length]; the window lies inside the file.

    Raises `CorruptAudio` when the file ends early or cannot be decoded, `NotFound` when it is gone.
    """
    try:
        if layout.container == "FLAC":
            found = _read_flac(path, layout, start, length)
        else:
            with path.open("rb") as file:
                file.seek(layout.data + start * layout.frame_bytes)
                data = file.read(length * layout.frame_bytes)
            whole = len(data) // layout.frame_bytes * layout.frame_bytes
            found = pcm.decode(data[:whole], layout.subtype, layout.channels, big_endian=layout.big_endian)
    except (soundfile.LibsndfileError, EOFError) as failure:
        raise CorruptAudio(f"{path.name} cannot be decoded: {failure}", field="source") from None
    except OSError as failure:
        raise NotFound(f"{path} cannot be read: {failure.strerror}", field="source") from None
    if found.shape[1] < length:
        raise CorruptAudio(f"{path.name} ends after {start + found.shape[1]} samples: it is truncated", field="source")
    return found


def _read_flac(path: Path, layout: Layout, start: int, length: int) -> pcm.Samples:
    with soundfile.SoundFile(path) as file:
        if (file.samplerate, file.channels, file.frames) != (layout.rate, layout.channels, layout.frames):
            raise CorruptAudio(f"{path.name} contradicts its own header", field="source")
        file.seek(start)
        data = file.read(length, dtype="int32", always_2d=True)
    return np.ascontiguousarray(data.T >> (32 - layout.bits))


def read_window(path: Path, layout: Layout, start: int, length: int) -> NDArray[np.float32]:
    """Any window as float32 [channels, length]; zeros where it reaches outside the file."""
    window = np.zeros((layout.channels, length), np.float32)
    first, last = max(start, 0), min(start + length, layout.frames)
    if first < last:
        native = read_native(path, layout, first, last - first)
        window[:, first - start : last - start] = pcm.to_float(native, layout.subtype)
    return window


def native_blocks(path: Path, layout: Layout, start: int, end: int) -> Iterator[pcm.Samples]:
    """Samples [start, end) in blocks, in the file's own form; empty for an empty or reversed range."""
    for place in range(start, end, BLOCK):
        yield read_native(path, layout, place, min(BLOCK, end - place))
