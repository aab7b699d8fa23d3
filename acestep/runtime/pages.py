"""Pages of mapped weight files: given back when their network has done its work. Nothing happens where the system does not tell
what a page holds."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from torch import Tensor

SMAPS = Path("/proc/self/smaps")

WORTH = 256 * 2**20
"""Bytes of weights below which nobody misses their pages: the embedded model has 40 MB."""


def forget_pages(tensor: Tensor) -> None:
    """Give back the memory of a tensor that nobody will read again: a mapped file's pages stay until the whole file is closed.
    Only whole pages of its own; on Linux and macOS."""
    if sys.platform == "win32" or tensor.device.type != "cpu":
        return
    first = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (tensor.data_ptr() + tensor.nbytes - first) // mmap.PAGESIZE * mmap.PAGESIZE
    if length > 0:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_DONTNEED)


def give_back_pages(tensors: Iterable[Tensor]) -> int:
    """Take pages of tensors that lie unchanged in mapped files out of this process; they are read again when they are needed, as a
    rule from the system's cache. Returns their bytes. Memory of the process's own is left alone: it would be lost.
    """
    found = [tensor for tensor in tensors if tensor.device.type == "cpu" and tensor.nbytes]
    if sys.platform != "linux" or sum(tensor.nbytes for tensor in found) < WORTH:
        return 0
    ranges, given = list(_unchanged_files()), 0
    for tensor in found:
        begin, end = tensor.data_ptr(), tensor.data_ptr() + tensor.nbytes
        if any(first <= begin and end <= last for first, last in ranges):
            forget_pages(tensor)
            given += tensor.nbytes
    return given


def _unchanged_files() -> Iterator[tuple[int, int]]:
    """Address ranges of mapped files in which this process has written nothing."""
    place, is_file = (0, 0), False
    try:
        with SMAPS.open(encoding="ascii", errors="replace") as table:
            for line in table:
                words = line.split()
                if "-" in words[0] and not words[0].endswith(":"):
                    first, _, last = words[0].partition("-")
                    place = int(first, 16), int(last, 16)
                    is_file = len(words) > 5 and words[4] != "0"
                elif is_file and words[0] == "Anonymous:" and words[1] == "0":  # of a file: pages that were written to
                    yield place
    except OSError:  # no such table in this container
        return
