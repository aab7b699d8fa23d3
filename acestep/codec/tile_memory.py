"""How a codec's memory comes from the system while it works on a CPU. Only glibc has the switches; elsewhere nothing happens."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Names of the switches in ``malloc.h``."""

_NEVER = -1
_USUAL_TRIM, _USUAL_MMAPS = 128 * 1024, 65_536
"""What glibc begins with."""


@contextmanager
def freed_memory_kept(roomy: bool = True) -> Iterator[Callable[[], object]]:
    """Inside, freed memory is used again instead of asking the system anew for every large block; afterwards, and whenever the
    function that this gives is called, all that is free goes back to the system, since the DAW beside us needs it.

    A convolution over ten seconds of sound fills and frees blocks of hundreds of megabytes; getting each of them from the
    system, page by page, took half of the encoder's time. Blocks of several sizes leave holes that nothing fits into, a few
    dozen megabytes a tile; hence give back between tiles. Where memory is not ``roomy`` it goes back at once, as usual.
    """
    libc = _glibc()
    if libc is None:
        yield lambda: None
        return
    if roomy:
        libc.mallopt(_MMAP_MAX, 0)
        libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    try:
        yield lambda: libc.malloc_trim(0)
    finally:
        if roomy:
            libc.mallopt(_MMAP_MAX, _USUAL_MMAPS)
            libc.mallopt(_TRIM_THRESHOLD, _USUAL_TRIM)
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
