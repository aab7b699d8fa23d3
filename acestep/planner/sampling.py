"""From logits to a token: repetition penalty, top-k, top-p, temperature, draw - in this order.

On the CPU in numpy: sorting a whole vocabulary by value costs under a millisecond there, and the draw is the same on
every device. It is the inverse of the cumulative distribution at one uniform number per item and token; items bring their
own numbers, so what an item draws never depends on its company in the batch.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from acestep.api.planning import Sampling


def guide(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on logits [B, V], in float32: ``uncond + scale * (cond - uncond)``."""
    cond, uncond = cond.float(), uncond.float()
    return uncond + scale * (cond - uncond)


def penalize(logits: np.ndarray, used: np.ndarray, penalty: float) -> np.ndarray:
    """Make ids in ``used`` [n] less likely in logits [V]: positive ones are divided by the penalty, negative multiplied."""
    if penalty == 1.0 or not len(used):
        return logits
    ids = np.unique(used)
    penalized = logits.copy()
    penalized[ids] = np.where(logits[ids] > 0, logits[ids] / penalty, logits[ids] * penalty)
    return penalized


def pick(logits: np.ndarray, sampling: Sampling, uniform: float) -> int:
    """The token drawn from logits [V] (-inf: forbidden) with a uniform number in [0, 1)."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    ids = candidates(logits, sampling)
    values = logits[ids].astype(np.float64)
    mass = np.exp((values - values.max()) / sampling.temperature).cumsum()
    place = int(np.searchsorted(mass, uniform * mass[-1], side="right"))
    return int(ids[min(place, len(ids) - 1)])


def share_of(logits: np.ndarray, token: int) -> float:
    """The share of a token among all that logits [V] (-inf: forbidden) allow."""
    values = logits.astype(np.float64)
    return float(np.exp(values[token] - values.max()) / np.exp(values - values.max()).sum())


def candidates(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Ids that top-k, then top-p leave of logits [V], in rising order. Tokens as likely as the last one kept stay too."""
    ids = np.flatnonzero(logits > -np.inf)
    if 0 < sampling.top_k < len(ids):
        values = logits[ids]
        ids = ids[values >= np.partition(values, -sampling.top_k)[-sampling.top_k]]
    if sampling.top_p < 1.0:
        values = logits[ids]
        falling = np.sort(values)[::-1]
        shares = np.exp(falling.astype(np.float64) - falling[0])
        before = shares.cumsum() - shares
        last = np.count_nonzero(before < sampling.top_p * shares.sum()) - 1
        ids = ids[values >= falling[last]]
    return ids
