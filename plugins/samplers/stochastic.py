"""Samplers with fresh noise at every step; the noise is keyed by seed and step, so they repeat exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

from acestep.api.sampling import Step, Tensor, Velocity
from plugins.samplers.ode import Noise, Samples, State, extrapolate, first_step


def sde(velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None) -> Samples:
    """``x0 = x - t v``, then ``x <- t' eps + (1 - t') x0``; the last step ends at x0 and draws nothing."""
    for i in range(first_step(state), len(times) - 1):
        t, following = times[i], times[i + 1]
        x0 = x - t * velocity(x, t)
        renoised = (1 - following) * x0 + following * noise(i) if following > 0 else x0
        x = yield Step(i, following, renoised, x0, {"index": i})


def dpmpp_2m_sde(
    velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None
) -> Samples:
    """DPM-Solver++(2M) SDE, midpoint form with eta = 1 (arXiv 2211.01095, k-diffusion), with alpha = 1 - t and sigma = t.

    ``q = e^-h`` is the ratio of noise-to-signal after and before the step; from pure noise it is 0 and the step is that of `sde`.
    """
    past = None if state is None else state["x0"]
    for i in range(first_step(state), len(times) - 1):
        t, following = times[i], times[i + 1]
        x0 = x - t * velocity(x, t)
        clean = x0 if past is None else extrapolate(x0, past, times, i)
        q = (1 - t) * following / (t * (1 - following))
        moved = following / t * q * x + (1 - following) * (1 - q * q) * clean
        if following > 0:
            moved = moved + following * math.sqrt(1 - q * q) * noise(i)
        x = yield Step(i, following, moved, x0, {"index": i, "x0": x0})
        past = x0
