"""Deterministic samplers for a flow ``x_t = t noise + (1 - t) data`` with velocity ``v = noise - data``.

The clean latent is ``x0 = x - t v``. Orders of convergence are shown in the tests on a flow with a known solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import Any

from acestep.api.sampling import Step, Tensor, Velocity

Samples = Generator[Step, Tensor, None]
Noise = Callable[[int], Tensor]
State = dict[str, Any]


def first_step(state: State | None) -> int:
    """Index of the step to begin with."""
    return 0 if state is None else state["index"] + 1


def euler(velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None) -> Samples:
    """First order: ``x <- x + (t' - t) v``."""
    for i in range(first_step(state), len(times) - 1):
        t, following = times[i], times[i + 1]
        v = velocity(x, t)
        x = yield Step(i, following, x + (following - t) * v, x - t * v, {"index": i})


def heun(velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None) -> Samples:
    """Second order: the mean of the velocities at both ends of the step; the step to 0 is plain, where the model was hardly
    trained (as turbo does it; local error of one step keeps the order)."""
    for i in range(first_step(state), len(times) - 1):
        t, following = times[i], times[i + 1]
        v = velocity(x, t)
        if following > 0:
            v = (v + velocity(x + (following - t) * v, following, corrector=True)) / 2
        x = yield Step(i, following, x + (following - t) * v, x - t * v, {"index": i})


def dpmpp_2m(
    velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None
) -> Samples:
    """DPM-Solver++(2M), Lu et al. 2022 (arXiv 2211.01095), with alpha = 1 - t and sigma = t.

    The clean estimate is extrapolated linearly in half log-SNR from this step's and the last one's; the first step and the one to
    0 are first order, since the log-SNR has no end there.
    """
    past = None if state is None else state["x0"]
    for i in range(first_step(state), len(times) - 1):
        t, following = times[i], times[i + 1]
        x0 = x - t * velocity(x, t)
        clean = x0 if past is None else extrapolate(x0, past, times, i)
        share = following / t
        x = yield Step(i, following, share * x + (1 - following - (1 - t) * share) * clean, x0, {"index": i, "x0": x0})
        past = x0


def extrapolate(x0: Tensor, past: Tensor, times: Sequence[float], i: int) -> Tensor:
    """The clean estimate at the middle of step ``i`` in log-SNR, from this one and the last; unchanged where a step has no
    finite length in log-SNR."""
    before, now, after = (log_snr(times[k]) for k in (i - 1, i, i + 1))
    if not (math.isfinite(before) and math.isfinite(after)):
        return x0
    return x0 + (after - now) / (2 * (now - before)) * (x0 - past)


def log_snr(t: float) -> float:
    """Half log-SNR ``log((1 - t) / t)``, infinite at both ends."""
    if t <= 0:
        return math.inf
    return -math.inf if t >= 1 else math.log((1 - t) / t)
