"""Samplers of third order from one evaluation a step: they remember the two steps before.

The first step knows nothing of others and the last one of the data has no length in log-SNR, so a whole run is of second order
with a small error; the steps between are of third, as the tests show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from acestep.api.sampling import Step, Tensor, Velocity
from plugins.samplers.ode import Noise, Samples, State, log_snr

Past = list[tuple[float, Tensor]]
"""Time and value of the steps before, the latest first; two at most."""


def dpmpp_3m(
    velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None
) -> Samples:
    """DPM-Solver++(3M), Lu et al. 2022 (arXiv 2211.01095): the clean estimate as a parabola in half log-SNR.

    The bend has twice the weight that the usual programs give it: the integral of the parabola asks for it, and with half of it
    the method is of second order only.
    """
    return _dpmpp_3m(velocity, x, times, None, state)


def dpmpp_3m_sde(
    velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None
) -> Samples:
    """The same with fresh noise at every step (eta = 1), as in k-diffusion."""
    return _dpmpp_3m(velocity, x, times, noise, state)


def stork4(velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise, state: State | None = None) -> Samples:
    """STORK-4 with derivatives of second order, Tan et al. 2025 (arXiv 2505.24210), for a flow.

    Its many sub-steps are virtual: each reads the velocity off its Taylor series in time, whose derivatives come from the steps
    before. Any method of fourth order integrates such a series exactly, however many stages stabilize it, so that is what is
    done here, in one go.
    """
    past = _past(state)
    for t, t_next in pairwise(times):
        v = velocity(x, t)
        h = t_next - t
        step = h * v
        if past:
            slope = (v - past[0][1]) / (t - past[0][0])
            step = step + h * h / 2 * slope
            if len(past) > 1:
                (t1, v1), (t2, v2) = past
                bend = (slope - (v1 - v2) / (t1 - t2)) / (t - t2)
                step = step + (h**3 / 3 + (t - t1) * h * h / 2) * bend
        past = [(t, v), *past][:2]
        x = yield Step(x=x + step, x0=x - t * v, state=_kept(past))


def _dpmpp_3m(
    velocity: Velocity, x: Tensor, times: Sequence[float], noise: Noise | None, state: State | None
) -> Samples:
    """With alpha = 1 - t and sigma = t; a step from or to an end of the log-SNR axis is of first order."""
    past = _past(state)
    for i, (t, t_next) in enumerate(pairwise(times)):
        x0 = x - t * velocity(x, t)
        if t_next <= 0:
            x = x0
        else:
            ratio = (
                0.0 if t >= 1 else (1 - t) * t_next / (t * (1 - t_next))
            )  # e^-h of the step's length in half log-SNR
            fade = ratio if noise is None else ratio * ratio
            kept = t_next / t if noise is None else t_next / t * ratio
            x = kept * x + (1 - t_next) * ((1 - fade) * x0 + _curved(x0, past, (t, t_next), fade))
            if noise is not None:
                x = x + t_next * math.sqrt(1 - ratio * ratio) * noise(i)
        past = [(t, x0), *past][:2]
        x = yield Step(x=x, x0=x0, state=_kept(past))


def _curved(x0: Tensor, past: Past, times: tuple[float, float], fade: float) -> Tensor | float:
    """What the slope and the bend of the clean estimate add to a step; ``fade`` is e to minus the length it is weighed over."""
    now, after = map(log_snr, times)
    known = [(log_snr(t), value) for t, value in past if t < 1]
    if not known or not math.isfinite(now) or fade <= 0:
        return 0.0
    h, length = after - now, -math.log(fade)
    first = (1 - fade) / -length + 1
    r = (now - known[0][0]) / h
    slope = (x0 - known[0][1]) / r
    if len(known) == 1:
        return first * slope
    before = (known[0][0] - known[1][0]) / h
    change = slope - (known[0][1] - known[1][1]) / before
    slope, bend = slope + change * (r / (r + before)), change / (r + before)
    return first * slope + (1 - 2 * first / length) * bend


def _past(state: State | None) -> Past:
    if state is None:
        return []
    return [(state[f"t{place}"], state[f"value{place}"]) for place in (1, 2) if f"t{place}" in state]


def _kept(past: Past) -> State:
    """The steps before as a flat map, which a stored step can hold."""
    return {
        name: value
        for place, (t, kept) in enumerate(past, start=1)
        for name, value in ((f"t{place}", t), (f"value{place}", kept))
    }
