"""A stem as the mix's own sound under a soft mask, so that stem and residual fit together to the phase.

What a model decodes has the right spectrum and a phase of its own: taken from the mix, it leaves the stem behind a second time.
The mask says, bin by bin, how much of what the codec makes of the whole mix the model gave to the stem. Where that is nearly
all, the codec's own mistakes stand on both sides and cancel; where it is little, they do not, and the stem's own level against
the mix itself is the better measure: between the two the mask goes over by the square of what belongs to others.

A model may miss in one take what it hears in the next, so a stem has several: their masks' mean of a high order is near the
largest where takes disagree (half of them deaf cost a third of a dB, not 6) and what they agree on where they do. No share can
pass one, but many fall short of it by chance: a lift makes up for that, so that a stem which is most of a mix keeps its level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from acestep.networks.spectra import absolute

WINDOW_SECONDS = 0.043  # resolves the notes of a chord from middle C on, and still the beats
BLOCK_SECONDS = 20
LIFT = 1.15
FEWEST_TAKES = 3
UNCERTAIN = 0.04
"""Of the variance of a stem's latents: how far its takes may lie apart, over their number, for another one to be left out. On 30
stems of validation songs 4.3 takes did then what 8 had done: those of drums and bass agree at once."""

STRETCH = 256
"""Latent frames over which takes are compared: a take may be deaf for ten seconds and hear the rest."""

FLOOR = 1e-4  # of a bin: far below the step of 24 bits, it only keeps silence from dividing by nothing


def takes_agree(takes: Sequence[Tensor]) -> bool:
    """Whether another take would hardly change what these latents [..., T, C] of one stem say together."""
    count = len(takes)
    if count < FEWEST_TAKES:
        return False
    together = torch.stack(list(takes))
    stretches = together.chunk(max(1, round(together.shape[-2] / STRETCH)), dim=-2)
    return all(_apart(stretch) <= UNCERTAIN * count for stretch in stretches)


def _apart(takes: Tensor) -> float:
    """Mean square distance of two takes [n, ..., T, C], over twice the variance of all: 1 where they have nothing in common."""
    return float(takes.var(0).mean() / takes.var().clamp(min=FLOOR))


def masked(
    takes: Sequence[NDArray[np.float32]],
    mix: NDArray[np.float32],
    heard: NDArray[np.float32],
    rate: int,
    check: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """The part of ``mix`` that ``takes`` of a stem say it is, all float32 [C, n].

    ``heard`` is the mix as the codec gives it back. In blocks that overlap by more than a window, so that the result does not
    depend on them; ``check`` is called before each and may raise.
    """
    size = 1 << round(np.log2(WINDOW_SECONDS * rate))
    block, margin, length = int(BLOCK_SECONDS * rate) // size * size, 2 * size, mix.shape[1]
    made = np.empty_like(mix)
    for first in range(0, length, block):
        check()
        low, high = max(0, first - margin), min(length, first + block + margin)
        whole, back, *stems = (torch.from_numpy(sound[:, low:high].copy()) for sound in (mix, heard, *takes))
        cut = _mask_block(stems, whole, back, size)
        made[:, first : first + block] = cut[:, first - low : first - low + block].numpy()
    return made


def _mask_block(stems: list[Tensor], mix: Tensor, heard: Tensor, size: int) -> Tensor:
    window = torch.hann_window(size)

    def spectrum(sound: Tensor) -> Tensor:
        return torch.stft(sound, size, size // 4, window=window, pad_mode="constant", return_complex=True)

    sounding, whole = spectrum(mix), absolute(spectrum(heard)) + FLOOR
    total = torch.zeros_like(whole)
    for stem in stems:
        total += absolute(spectrum(stem)).div_(whole).clamp_(max=1).square_().square_()
    # the mean of the fourth order by squares and roots in place: powers cost a fifth of the whole mask
    share = total.div_(len(stems)).sqrt_().sqrt_().mul_(LIFT).clamp_(max=1)
    mask = share * (whole / (absolute(sounding) + FLOOR)) ** (1 - share).square()
    return torch.istft(mask.clamp_(max=1) * sounding, size, size // 4, window=window, length=mix.shape[1])
