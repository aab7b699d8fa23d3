"""Pieces longer than the model hears at once: which codes it is shown, and how many it adds. Pure. No torch."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

WINDOW_SECONDS = 30.0
"""What the model was trained on."""


class Turn(msgspec.Struct, frozen=True):
    """One call of the model: it is shown ``kept`` frames and adds ``new`` ones."""

    kept: int
    new: int


def turns(known: int, frames: int, window: int, stride: int) -> Iterator[Turn]:
    """The calls that lead from ``known`` frames to ``frames``, no one longer than ``window``.

    Where codes are shown, at most ``window - stride`` of them are, the newest, so that there is room for ``stride`` new ones.
    """
    while known < frames:
        kept = min(known, window - stride)
        new = min(window - kept, frames - known)
        yield Turn(kept, new)
        known += new
