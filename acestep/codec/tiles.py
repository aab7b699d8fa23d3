"""How a long stretch is cut into tiles: pure integers.

Each tile's *core* is kept; the margin around it only lets the network see what stands beside, and is thrown away. At the ends
of the stretch there is no margin and nothing is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Tile(msgspec.Struct, frozen=True):
    """Frames [first, last) go through the network; [core_first, core_last) of them are kept."""

    first: int
    last: int
    core_first: int
    core_last: int


class Tiling(msgspec.Struct, frozen=True):
    """Frames per tile and margin a side; a tile keeps ``chunk - 2 * margin`` frames."""

    chunk: int
    margin: int

    def halved(self) -> Tiling | None:
        """The next smaller tiling, for a device that is short of memory; None when it would get pointless."""
        chunk = self.chunk // 2
        return Tiling(chunk, min(self.margin, chunk // 4)) if chunk >= 32 else None


def fitted(tiling: Tiling, frame_bytes: int, free: int | None) -> Tiling:
    """The largest tiling, halved as often as it takes, whose tile needs no more than half of the memory that is free."""
    while free is not None and 2 * tiling.chunk * frame_bytes > free and (smaller := tiling.halved()) is not None:
        tiling = smaller
    return tiling


def tiles(first: int, last: int, total: int, tiling: Tiling) -> Iterator[Tile]:
    """Tiles whose cores cover [first, last) of a stretch of ``total`` frames, in order and without overlap."""
    stride = tiling.chunk - 2 * tiling.margin
    for start in range(first, last, stride):
        end = min(start + stride, last)
        yield Tile(max(0, start - tiling.margin), min(total, end + tiling.margin), start, end)


def tile_count(first: int, last: int, tiling: Tiling) -> int:
    """How many tiles `tiles` gives."""
    return -(-(last - first) // (tiling.chunk - 2 * tiling.margin))
