"""Deterministic samplers for a flow ``x_t = t noise + (1 - t) data`` with velocity ``v = noise - data``.

The clean latent is ``x0 = x - t v``. Orders of convergence are shown in the tests on a flow with a known solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from typing import Any

from acestep.api.sampling import Step, Tensor, Velocity

Samples = Generator[Step, Tensor, None]
Noise = Callable[[int], Tensor]
State = dict[str, Any]


def euler(velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None) -> Samples:
    """First order: ``x <- x + (t_next - t) v``."""
    for t, t_next in pairwise(times):
        v = velocity(x, t)
        x = yield Step(x=x + (t_next - t) * v, x0=x - t * v)


def heun(velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None) -> Samples:
    """Second order: the mean of the velocities at both ends of the step; the step to 0 is plain, where the model was hardly
    trained (as turbo does it; local error of one step keeps the order)."""
    for t, t_next in pairwise(times):
        v = velocity(x, t)
        if t_next > 0:
            v = (v + velocity(x + (t_next - t) * v, t_next, corrector=True)) / 2
        x = yield Step(x=x + (t_next - t) * v, x0=x - t * v)


def dpmpp_2m(
    velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None
) -> Samples:
    """DPM-Solver++(2M), Lu et al. 2022 (arXiv 2211.01095), with alpha = 1 - t and sigma = t.

    The clean estimate is extrapolated linearly in half log-SNR from this step's and the last one's; the first step and the one to
    0 are first order, since the log-SNR has no end there.
    """
    t_prev, x0_prev = (None, None) if state is None else (state["t"], state["x0"])
    for t, t_next in pairwise(times):
        x0 = x - t * velocity(x, t)
        denoised = x0 if t_prev is None else extrapolate(x0, x0_prev, (t_prev, t, t_next))
        ratio = t_next / t
        x = yield Step(x=ratio * x + (1 - t_next - (1 - t) * ratio) * denoised, x0=x0, state={"t": t, "x0": x0})
        t_prev, x0_prev = t, x0


def extrapolate(x0: Tensor, x0_prev: Tensor, times: tuple[float, float, float]) -> Tensor:
    """The clean estimate at the middle of a step in log-SNR, from this step's and the last one's; ``times`` are t of the last
    step, of this one and of the next. Unchanged where a step has no finite length in log-SNR."""
    before, now, after = map(log_snr, times)
    if not (math.isfinite(before) and math.isfinite(after)):
        return x0
    return x0 + (after - now) / (2 * (now - before)) * (x0 - x0_prev)


def log_snr(t: float) -> float:
    """Half log-SNR ``log((1 - t) / t)``, infinite at both ends."""
    if t <= 0:
        return math.inf
    return -math.inf if t >= 1 else math.log((1 - t) / t)
