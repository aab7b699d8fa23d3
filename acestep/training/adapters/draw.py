"""What chance decides in a training, each time from seed, epoch and sample alone: so nothing of it has to be stored."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from acestep.api import limits
from acestep.api.training import Flow, TrainOptions
from acestep.conditioning.context import join, silence
from acestep.training.adapters.store import Item
from acestep.training.times import logit_normal, turbo_times


@dataclass(frozen=True)
class Draw:
    """One sample in one step: clean latents and noise [T, 64], context [T, 128], states [L, H], and the time."""

    clean: Tensor
    noise: Tensor
    context: Tensor
    states: Tensor
    time: float


@dataclass(frozen=True)
class Basis:
    """What all draws of a training share: its settings, the silence latent [1, N, 64] and the null condition [1, 1, H]."""

    options: TrainOptions
    flow: Flow
    silence: Tensor
    null: Tensor


def generator_for(seed: int, *words: object) -> torch.Generator:
    """A random source that follows from a seed and words."""
    return torch.Generator().manual_seed(seed_for(seed, *words))


def seed_for(seed: int, *words: object) -> int:
    """A seed that follows from a seed and words, 63 bits."""
    text = "/".join(map(str, (seed, *words)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def draw(item: Item, name: str, epoch: int, basis: Basis) -> Draw:
    """A sample as it is trained on in an epoch."""
    options, flow = basis.options, basis.flow
    chance = generator_for(options.seed, "draw", epoch, name)
    time = draw_time(flow, chance)
    dropped = torch.rand(1, generator=chance).item() < flow.condition_dropout
    first, last = _crop(len(item.mean), options.crop_seconds, torch.rand(1, generator=chance).item())
    clean = item.mean[first:last]
    spread = torch.randn(clean.shape, generator=chance)
    if options.sample_latents and item.std is not None:
        clean = clean + item.std[first:last].float() * spread
    noise = torch.randn(clean.shape, generator=chance)
    return Draw(clean, noise, _context(item, first, last, basis), _states(item, dropped, basis), time)


def fixed_draw(item: Item, name: str, time: float, basis: Basis) -> Draw:
    """A sample as it is judged: at a time of the judge's, with the same noise always, its beginning and its condition."""
    first, last = _crop(len(item.mean), basis.options.crop_seconds, 0.0)
    clean = item.mean[first:last]
    noise = torch.randn(clean.shape, generator=generator_for(basis.options.seed, "validation", name))
    return Draw(clean, noise, _context(item, first, last, basis), _states(item, False, basis), time)


def draw_time(flow: Flow, chance: torch.Generator) -> float:
    """A time by the model's mode: of the eight of its schedule, or between 0 and 1."""
    if flow.timesteps == "discrete":
        times = turbo_times()
        return times[int(torch.randint(len(times), (1,), generator=chance))].item()
    return logit_normal(1, flow.mean, flow.deviation, chance).item()


def _crop(frames: int, seconds: float, place: float) -> tuple[int, int]:
    longest = int(seconds * limits.FRAMES_PER_SECOND)
    if not longest or frames <= longest:
        return 0, frames
    first = int(place * (frames - longest + 1))
    return first, first + longest


def _context(item: Item, first: int, last: int, basis: Basis) -> Tensor:
    """Nothing given: silence, and a mask that leaves all to the model."""
    if item.context is not None:
        return item.context[first:last]
    quiet = silence(basis.silence, last - first)
    return join(quiet, torch.ones(1, last - first, 1))[0]


def _states(item: Item, dropped: bool, basis: Basis) -> Tensor:
    if not dropped:
        return item.states
    return basis.null.reshape(1, -1).to(item.states).expand_as(item.states)
