"""The objective: flow matching, as the model was trained.

``x_t = t * noise + (1 - t) * x0``; the network is asked for the velocity ``noise - x0``, and the loss is its mean squared error.
The second time is the first. The original takes the mean over all elements of a padded batch; here it is taken over the songs
alone, and attention does not see padding, so that a batch gives the mean of what its songs give alone. ``whole`` is the
original's form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from acestep.api.limits import LATENT_CHANNELS
from acestep.training.adapters.draw import Draw
from acestep.training.adapters.network import TrainedDit
from acestep.training.masks import Lengths, Padding


@dataclass(frozen=True)
class Batch:
    """Padded draws: clean, noise [B, T, 64], context [B, T, 128], states [B, L, H], times [B]; true lengths."""

    clean: Tensor
    noise: Tensor
    context: Tensor
    states: Tensor
    times: Tensor
    frames: tuple[int, ...]
    tokens: tuple[int, ...]

    def elements(self, masked: bool) -> int:
        """How many numbers the loss is the mean of."""
        frames = sum(self.frames) if masked else self.clean.shape[0] * self.clean.shape[1]
        return frames * LATENT_CHANNELS

    def part(self, first: int, last: int) -> Batch:
        """Some of the songs."""
        some = slice(first, last)
        return Batch(
            self.clean[some], self.noise[some], self.context[some], self.states[some], self.times[some],
            self.frames[some], self.tokens[some],
        )  # fmt: skip


def collate(draws: Sequence[Draw], device: torch.device) -> Batch:
    """Draws padded with zeros to the longest, on the device."""

    def padded(tensors: list[Tensor]) -> Tensor:
        return pad_sequence(tensors, batch_first=True).to(device, torch.float32)

    return Batch(
        padded([draw.clean for draw in draws]),
        padded([draw.noise for draw in draws]),
        padded([draw.context for draw in draws]),
        padded([draw.states.float() for draw in draws]),
        torch.tensor([draw.time for draw in draws], dtype=torch.float32, device=device),
        tuple(len(draw.clean) for draw in draws),
        tuple(len(draw.states) for draw in draws),
    )


def squared_error(network: TrainedDit, padding: Padding, batch: Batch, masked: bool) -> Tensor:
    """The sum of squared velocity errors over the elements that count, float32."""
    if masked:
        lengths = Lengths(batch.frames, batch.clean.shape[1]), Lengths(batch.tokens, batch.states.shape[1])
        padding.set(*lengths, batch.clean.device)
    else:
        padding.clear()
    at = batch.times[:, None, None]
    keep = _inside(batch)[..., None]
    noisy = at * batch.noise + (1 - at) * batch.clean  # padded noise is zero, so padding stays zero
    dtype = network.like.dtype
    with torch.autocast(batch.clean.device.type, dtype, enabled=dtype != torch.float32):
        made = network(
            noisy, batch.times, batch.times, batch.states, batch.context, return_dict=False
        )[0].float()  # fmt: skip
    error = (made - (batch.noise - batch.clean)).square()
    return (error * keep if masked else error).sum()


def _inside(batch: Batch) -> Tensor:
    places = torch.arange(batch.clean.shape[1], device=batch.clean.device)
    return places < torch.tensor(batch.frames, device=places.device)[:, None]
