"""Reads a sound file and writes its peaks to standard output: ``python -m bridge.doors.http.page.peaks_process FILE``.

Format, little-endian: the letters ``PEAK``, then as uint32 the version (1), rate, channels, samples per bin; as uint64 the length
in samples; then for each bin the smallest and the largest sample of all channels as int8 (-127 to 127), and its root mean square as
uint8 (0 to 255). The bins follow while the file is read, so that a reader can draw what is there.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

HEADER = struct.Struct("<4sIIIIQ")
VERSION = 1

FINEST = 128
"""Samples of the smallest bin: 3 ms at 48 kHz."""

MOST_BINS = 400_000
"""Bins of the longest file: at two hours 0.02 s each, and 1.2 MB."""

BLOCK_BINS = 1024
"""Bins that are made at a time, and read at a time: a file is never held whole."""


def samples_per_bin(frames: int) -> int:
    """The size of a bin: `FINEST`, and twice that as often as `MOST_BINS` demands."""
    size = FINEST
    while frames > size * MOST_BINS:
        size *= 2
    return size


def write_peaks(path: str, sink: BinaryIO) -> None:
    """Read a file and write its peaks."""
    with soundfile.SoundFile(path) as file:
        size = samples_per_bin(file.frames)
        sink.write(HEADER.pack(b"PEAK", VERSION, file.samplerate, file.channels, size, file.frames))
        sink.flush()
        for block in file.blocks(size * min(BLOCK_BINS, max(1, (1 << 22) // size)), dtype="float32", always_2d=True):
            for part in bins(block, size):
                sink.write(part)
            sink.flush()


def bins(block: NDArray[np.float32], size: int) -> Iterator[bytes]:
    """The bins of a block [n, channels]; the last one may be shorter than the others."""
    whole = len(block) // size * size
    parts = [block[:whole].reshape(-1, size * block.shape[1])] if whole else []
    if whole < len(block):
        parts.append(block[whole:].reshape(1, -1))
    for part in parts:
        low, high = part.min(axis=1), part.max(axis=1)
        loud = np.sqrt(np.mean(np.square(part), axis=1))
        made = np.empty((len(part), 3), np.uint8)
        made[:, 0] = np.clip(np.floor(low * 127), -127, 127).astype(np.int8).view(np.uint8)
        made[:, 1] = np.clip(np.ceil(high * 127), -127, 127).astype(np.int8).view(np.uint8)
        made[:, 2] = np.clip(np.rint(loud * 255), 0, 255).astype(np.uint8)
        yield made.tobytes()


if __name__ == "__main__":
    try:
        write_peaks(sys.argv[1], sys.stdout.buffer)
    except (OSError, soundfile.SoundFileError) as failure:
        sys.exit(f"no peaks: {failure}")
