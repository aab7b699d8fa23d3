"""Quantiles of a symmetric beta distribution: its integral is a power series up to one half, and mirrored beyond."""

from __future__ import annotations

import math

SHAPE = 0.6
"""Both parameters of the distribution that the schedule ``beta`` spaces its steps by."""

TERMS = 60
"""Of the series, whose terms fall faster than two to the minus k up to one half."""


def beta_share(x: float) -> float:
    """The share of Beta(0.6, 0.6) below ``x`` from 0 to 1."""
    if x > 0.5:
        return 1.0 - beta_share(1.0 - x)
    total, factor = 0.0, 1.0
    for k in range(TERMS):
        total += factor * x ** (SHAPE + k) / (SHAPE + k)
        factor *= (k + 1 - SHAPE) / (k + 1)
    return total * math.gamma(2 * SHAPE) / math.gamma(SHAPE) ** 2


def beta_quantile(share: float) -> float:
    """Where `beta_share` is ``share``, by bisection."""
    if share > 0.5:
        return 1.0 - beta_quantile(1.0 - share)
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_share(middle) < share else (low, middle)
    return (low + high) / 2
