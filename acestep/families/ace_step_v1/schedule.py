"""Noise levels of a run, falling from 1 to 0. No torch.

The shift of 3 acts twice on the ends of the grid: once when the original makes its scheduler, once when that makes the steps. The
weights are used with that, so it stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from acestep.api.errors import BadRequest
from acestep.api.limits import MAX_STEPS
from acestep.api.times import float32

SHIFT = 3.0
SMALLEST = 0.001
"""Lowest noise level of the training grid of 1000."""


def shifted(level: float) -> float:
    """``3 s / (1 + 2 s)``: more steps at high noise."""
    return SHIFT * level / (1 + (SHIFT - 1) * level)


def levels(steps: int, highest: float = 1.0) -> list[float]:
    """The ``steps + 1`` noise levels of a run, in float32; ``highest`` below 1 begins later. Raises `BadRequest`."""
    if not 1 <= steps <= MAX_STEPS:
        limits = {"min": 1, "max": MAX_STEPS}
        raise BadRequest(f"{steps} steps are outside 1 to {MAX_STEPS}", field="steps", limits=limits)
    first, last = shifted(highest), shifted(SMALLEST)
    grid = [first + (last - first) * index / max(1, steps - 1) for index in range(steps)]
    return [*(float32(shifted(level)) for level in grid), 0.0]


def picked_levels(indices: Sequence[int]) -> list[float]:
    """The levels at these steps (counted from 1) of a run as long as the last of them, shifted once more: a list of chosen steps.

    Raises `BadRequest` unless the steps rise.
    """
    if not indices or list(indices) != sorted(set(indices)) or indices[0] < 1 or indices[-1] > MAX_STEPS:
        limits = {"min": 1, "max": MAX_STEPS}
        raise BadRequest(f"oss_steps are rising numbers from 1 to {MAX_STEPS}", field="options", limits=limits)
    whole = levels(indices[-1])
    return [*(float32(shifted(whole[index - 1])) for index in indices), 0.0]


def levels_near(steps: int, strength: float) -> tuple[list[float], float]:
    """A run near a reference: its noise levels, and the level to which the reference is noised at the start.

    ``strength`` 0 gives the whole run from noise; 1 has no step left, so that the reference comes back as the codec makes it. The
    first level of the run lies above that of the start, as in the original (0.9 and 0.75 at strength 0.5).
    """
    highest = 1.0 - strength
    left = int(highest * steps)
    start = shifted(highest)
    return (levels(left, highest), start) if left else ([0.0], 0.0)
