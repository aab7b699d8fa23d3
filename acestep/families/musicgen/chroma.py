"""The melody that a melody model follows: which of the twelve pitch classes is loudest, eight times a second.

The library computes it with torchaudio, which is not needed here: this is the same sum over the same filters (librosa's, as
`transformers.audio_utils` has them) of a spectrum that torch gives.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

CLASSES = 12
WINDOW, HOP = 16_384, 4_096
"""Samples of the spectrum's window and between two of them, at the codec's 32 kHz."""


def chroma(sound: Tensor, rate: int) -> Tensor:
    """[N // 4096 + 1, 12] of sound [channels, N] at ``rate``: 1 at the loudest pitch class (C is 0) of each frame, else 0.

    Sound shorter than the window is padded on both sides, as the library does.
    """
    heard = sound.float().mean(0)
    missing = max(0, WINDOW - len(heard))
    heard = functional.pad(heard, (missing // 2, missing - missing // 2))
    spectrum = torch.stft(heard, WINDOW, HOP, window=torch.hann_window(WINDOW), center=True, return_complex=True)
    loudest = (_filters(rate) @ spectrum.abs().square()).argmax(0)
    return functional.one_hot(loudest, CLASSES).float()


@cache
def _filters(rate: int) -> Tensor:
    """[12, 8193]: how much of each frequency belongs to a pitch class."""
    from transformers.audio_utils import chroma_filter_bank

    bank = chroma_filter_bank(num_frequency_bins=WINDOW, num_chroma=CLASSES, sampling_rate=rate, tuning=0)
    return torch.from_numpy(bank).float()
