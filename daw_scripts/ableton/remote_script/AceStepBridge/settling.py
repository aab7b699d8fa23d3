"""A new clip is as it was asked for a little later.

Live switches warping between two ticks and keeps the numbers of the markers, which then count in another unit: a clip of 8 beats
ends at 8 seconds. Auto-Warp may have moved the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import live

if TYPE_CHECKING:
    from collections.abc import Generator

    from .kinds import Clip

PATIENCE_TICKS = 20
"""Ticks to wait for Live to switch a clip's warping, and to show its markers where they were put."""


def settle(clip: Clip, tempo: float | None) -> Generator[None, None, bool]:
    """Make a clip play its whole file, a step per tick; whether it does at the end.

    With a tempo it is warped from it and goes with the song. Where Live does not lay it so, it would be out of time: it stays
    unwarped, as a clip without a tempo, which plays as it is.
    """
    if tempo and (yield from _is_as(clip, tempo)):
        return True
    return (yield from _is_as(clip, None))


def _is_as(clip: Clip, tempo: float | None) -> Generator[None, None, bool]:
    clip.warping = bool(tempo)
    yield
    for _ in range(PATIENCE_TICKS):
        if clip.warping == bool(tempo):
            live.show_whole(clip, tempo)
            yield
            if live.shows_whole(clip, tempo):
                return True
        else:
            yield
    return False
