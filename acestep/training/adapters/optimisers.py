"""Optimisers by name, and the learning rate of each step. No schedule has a state: a rate follows from the step's number."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from acestep.api.errors import Unavailable
from acestep.api.training import TrainOptions

WARMUP_FLOOR = 0.1
"""Share of the rate that the first step has."""

COSINE_FLOOR = 0.01
"""Share of the rate that the last step has."""


def make_optimiser(
    options: TrainOptions, parameters: Iterable[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser of a training. Raises `Unavailable`, which names the missing package."""
    trained, rate = list(parameters), options.rate()
    if options.optimiser == "adamw8bit":
        return _eight_bits(trained, rate, options, device)
    if options.optimiser == "prodigy":
        try:
            from prodigyopt import Prodigy
        except ImportError:
            raise Unavailable(
                "the optimiser prodigy needs the package prodigyopt: pip install 'acestep-bridge[training]'",
                field="optimiser",
            ) from None
        return Prodigy(
            trained, lr=rate, weight_decay=options.weight_decay, use_bias_correction=True, safeguard_warmup=True
        )
    if options.optimiser == "adafactor":
        return torch.optim.Adafactor(trained, lr=rate, weight_decay=options.weight_decay)
    fused = device.type == "cuda"
    return torch.optim.AdamW(trained, lr=rate, weight_decay=options.weight_decay, fused=fused)


def _eight_bits(
    trained: list[nn.Parameter], rate: float, options: TrainOptions, device: torch.device
) -> torch.optim.Optimizer:
    if device.type != "cuda":
        raise Unavailable("the optimiser adamw8bit runs on CUDA only; use adamw", field="optimiser")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise Unavailable(
            "the optimiser adamw8bit needs the package bitsandbytes: pip install bitsandbytes", field="optimiser"
        ) from None
    return AdamW8bit(trained, lr=rate, weight_decay=options.weight_decay)


def rate_factor(options: TrainOptions, step: int, steps: int) -> float:
    """Share of the learning rate in step ``step`` of ``steps``: linear warm-up, then by the schedule."""
    warmup = min(options.warmup, steps // 10)
    rise = 1.0 if step >= warmup else WARMUP_FLOOR + (1 - WARMUP_FLOOR) * step / warmup
    passed = min(1.0, max(0, step - warmup) / max(1, steps - warmup))
    if options.schedule == "cosine":
        return rise * (COSINE_FLOOR + (1 - COSINE_FLOOR) * (0.5 + 0.5 * math.cos(math.pi * passed)))
    return rise * (1 - passed) if options.schedule == "linear" else rise
