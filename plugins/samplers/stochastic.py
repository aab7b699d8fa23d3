"""Samplers with fresh noise at every step; the noise is keyed by seed and step, so they repeat exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from acestep.api.sampling import Step, Tensor, Velocity
from plugins.samplers.ode import Noise, Samples, State, extrapolate


def sde(velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None) -> Samples:
    """``x0 = x - t v``, then ``x <- t_next eps + (1 - t_next) x0``; the last step ends at x0 and draws nothing."""
    for i, (t, t_next) in enumerate(pairwise(times)):
        x0 = x - t * velocity(x, t)
        x = yield Step(x=(1 - t_next) * x0 + t_next * noise(i) if t_next > 0 else x0, x0=x0)


def dpmpp_2m_sde(
    velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None
) -> Samples:
    """DPM-Solver++(2M) SDE, midpoint form with eta = 1 (arXiv 2211.01095, k-diffusion), with alpha = 1 - t and sigma = t.

    ``q = e^-h`` is the ratio of noise-to-signal after and before the step; from pure noise it is 0 and the step is that of `sde`.
    """
    t_prev, x0_prev = (None, None) if state is None else (state["t"], state["x0"])
    for i, (t, t_next) in enumerate(pairwise(times)):
        x0 = x - t * velocity(x, t)
        denoised = x0 if t_prev is None else extrapolate(x0, x0_prev, (t_prev, t, t_next))
        q = (1 - t) * t_next / (t * (1 - t_next))
        x = t_next / t * q * x + (1 - t_next) * (1 - q * q) * denoised
        if t_next > 0:
            x = x + t_next * math.sqrt(1 - q * q) * noise(i)
        x = yield Step(x=x, x0=x0, state={"t": t, "x0": x0})
        t_prev, x0_prev = t, x0
