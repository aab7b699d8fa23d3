"""From logits to a token: repetition penalty, top-k, top-p, temperature, draw - in this order.

The draw is the inverse of the cumulative distribution at one uniform number per item and token. Items bring their own
numbers, so what an item draws never depends on its company in the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from acestep.api.planning import Sampling

HEAD_START = 1024
"""Top-p looks at this many tokens first; sorting the whole vocabulary is needed only for flat distributions."""


def guide(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on logits [B, V], in float32: ``uncond + scale * (cond - uncond)``."""
    cond, uncond = cond.float(), uncond.float()
    return uncond + scale * (cond - uncond)


def penalize(logits: Tensor, used: Tensor, penalty: float) -> Tensor:
    """Make ids in ``used`` [n] less likely in logits [V]: positive ones are divided by the penalty, negative multiplied."""
    if penalty == 1.0 or used.numel() == 0:
        return logits
    ids = used.unique()
    values = logits[ids]
    return logits.index_copy(0, ids, torch.where(values > 0, values / penalty, values * penalty))


def pick(logits: Tensor, sampling: Sampling, uniform: float) -> int:
    """The token drawn from masked float32 logits [V] with a uniform number in [0, 1)."""
    if sampling.temperature == 0:
        return int(logits.argmax())
    values, ids = candidates(logits, sampling)
    mass = torch.softmax(values / sampling.temperature, dim=-1, dtype=torch.float64).cumsum(-1)
    place = int(torch.searchsorted(mass, uniform * mass[-1], right=True))
    return int(ids[min(place, len(ids) - 1)])


def candidates(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """What top-k, then top-p leave of logits [V]: (logits, ids), likeliest first (in id order when both are off)."""
    if sampling.top_k == 0 and sampling.top_p >= 1.0:
        ids = torch.nonzero(logits > -torch.inf).squeeze(-1)
        return logits[ids], ids
    values, ids = _likeliest(logits, sampling)
    if sampling.top_k:
        values, ids = values[: sampling.top_k], ids[: sampling.top_k]
        total = values.logsumexp(-1)
    else:
        total = logits.logsumexp(-1)
    if sampling.top_p >= 1.0:
        return values, ids
    before = torch.exp(values.double() - total).cumsum(-1).roll(1)
    before[0] = 0.0
    kept = int((before < sampling.top_p).sum())
    return values[:kept], ids[:kept]


def _likeliest(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """As many of the likeliest tokens as the filters can need, in falling order."""
    count = min(sampling.top_k or HEAD_START, len(logits))
    values, ids = torch.topk(logits, count)
    if not sampling.top_k and count < len(logits):
        share = torch.exp(values.logsumexp(-1) - logits.logsumexp(-1))
        if share < sampling.top_p:
            values, ids = torch.sort(logits, descending=True, stable=True)
    finite = values > -torch.inf
    return values[finite], ids[finite]
