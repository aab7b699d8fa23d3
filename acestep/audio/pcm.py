"""Samples in a file's own form: bytes to numbers and back, exactly.

``native`` samples are what the file holds: int32 (right-justified, 8 to 32 bit, signed) or float. Arrays are [channels, samples].
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.floating] | NDArray[np.int32]

FLOATS: dict[str, np.dtype[np.floating]] = {"FLOAT": np.dtype("f4"), "DOUBLE": np.dtype("f8")}


def depth(subtype: str) -> int:
    """Bits of an integer subtype; 0 for floating point."""
    if subtype in FLOATS:
        return 0
    return 8 if subtype in ("PCM_U8", "PCM_S8") else int(subtype.removeprefix("PCM_"))


def decode(data: bytes, subtype: str, channels: int, *, big_endian: bool = False) -> Samples:
    """Interleaved bytes -> native samples [channels, n]."""
    order = ">" if big_endian else "<"
    if subtype in FLOATS:
        flat: Samples = np.frombuffer(data, np.dtype(f"{order}{FLOATS[subtype].str[1:]}")).astype(FLOATS[subtype])
    elif subtype == "PCM_24":
        flat = _widen(np.frombuffer(data, np.uint8).reshape(-1, 3), big_endian)
    elif subtype == "PCM_U8":
        flat = np.frombuffer(data, np.uint8).astype(np.int32) - 128
    else:
        flat = np.frombuffer(data, np.dtype(f"{order}i{depth(subtype) // 8}")).astype(np.int32)
    return cast(Samples, np.ascontiguousarray(flat.reshape(-1, channels).T))


def _widen(triples: NDArray[np.uint8], big_endian: bool) -> NDArray[np.int32]:
    high, middle, low = (triples[:, index].astype(np.int32) for index in ((0, 1, 2) if big_endian else (2, 1, 0)))
    return ((high << 24) | (middle << 16) | (low << 8)) >> 8


def encode(native: Samples, subtype: str, *, big_endian: bool = False) -> bytes:
    """Native samples [channels, n] -> interleaved bytes."""
    order = ">" if big_endian else "<"
    flat = np.ascontiguousarray(native.T).reshape(-1)
    if subtype in FLOATS:
        return flat.astype(np.dtype(f"{order}{FLOATS[subtype].str[1:]}")).tobytes()
    if subtype == "PCM_24":
        wide = flat.astype(f"{order}i4").view(np.uint8).reshape(-1, 4)
        return wide[:, 1:].tobytes() if big_endian else wide[:, :3].tobytes()
    if subtype == "PCM_U8":
        return (flat + 128).astype(np.uint8).tobytes()
    return flat.astype(np.dtype(f"{order}i{depth(subtype) // 8}")).tobytes()


def to_float(native: Samples, subtype: str) -> NDArray[np.float64]:
    """Native samples -> -1 to 1, exact in double precision."""
    bits = depth(subtype)
    return native.astype(np.float64) if not bits else native.astype(np.float64) / (1 << (bits - 1))


def quantise(values: NDArray[np.floating], subtype: str) -> tuple[Samples, int]:
    """-1 to 1 -> native samples and how many of them had to be clipped (floating point never is)."""
    bits = depth(subtype)
    if not bits:
        return values.astype(FLOATS[subtype]), 0
    full = 1 << (bits - 1)
    rounded = np.rint(values.astype(np.float64) * full)
    clipped = int(np.count_nonzero((rounded < -full) | (rounded > full - 1)))
    return np.clip(rounded, -full, full - 1).astype(np.int32), clipped
