"""Behaviour of the original that we leave out on purpose, kept so that its recordings (and its takes) can be reproduced.

Nothing here is used by default; docs/engine.md lists each difference with its reason. Flags of the loop are in
`acestep.denoising.denoising_run.Quirks`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from typing import Any

from acestep.api.sampling import Step, Tensor, Velocity

TURBO_TIMES = sorted({s * t / (1 + (s - 1) * t) for s in (1, 2, 3) for t in (k / 8 for k in range(1, 9))}, reverse=True)
"""The 20 times that turbo models were distilled at."""

MOST_TURBO_TIMES = 20


def snap_turbo_times(timesteps: Sequence[float]) -> list[float]:
    """The original's reading of custom timesteps on turbo: closing zeros dropped, every value moved to the nearest known one."""
    kept = [float(t) for t in timesteps]
    while kept and kept[-1] == 0:
        kept.pop()
    return [min(TURBO_TIMES, key=lambda known: abs(known - t)) for t in kept[:MOST_TURBO_TIMES]] + [0.0]


def heun_to_zero(
    velocity: Velocity,
    x: Tensor,
    times: Sequence[float],
    noise: Callable[[int], Tensor],
    state: dict[str, Any] | None = None,
) -> Generator[Step, Tensor, None]:
    """Heun as base and sft run it: the last step, too, takes a second evaluation, at t = 0."""
    for t, t_next in pairwise(times):
        v = velocity(x, t)
        v = (v + velocity(x + (t_next - t) * v, t_next, corrector=True)) / 2
        x = yield Step(x=x + (t_next - t) * v, x0=x - t * v)


def sde_unshifted(
    velocity: Velocity,
    x: Tensor,
    times: Sequence[float],
    noise: Callable[[int], Tensor],
    state: dict[str, Any] | None = None,
) -> Generator[Step, Tensor, None]:
    """SDE as base and sft run it: noised to ``1 - (i + 1) / n`` whatever the schedule says (so the level may even rise)."""
    done = 0 if state is None else state["done"]
    steps = done + len(times) - 1
    for i, t in enumerate(times[:-1]):
        x0 = x - t * velocity(x, t)
        level = 1 - (done + i + 1) / steps
        x = yield Step(x=level * noise(i) + (1 - level) * x0, x0=x0, t=level, state={"done": done + i + 1})
