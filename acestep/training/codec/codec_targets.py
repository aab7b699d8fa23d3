"""What the oscillators should play: amplitudes read off a spectrum at its peaks.

Without this target the first thousand steps learn envelopes only, because a missing partial gives hardly any gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from acestep.networks.spectra import FRAME, RATE, magnitudes

SPLIT_HERTZ = 500.0  # bass needs the longer window
PEAK_SHARPNESS = 4


def oscillator_amplitudes(waveform: Tensor, frequencies: Tensor) -> Tensor:
    """[B, 2, T * 1920] and ascending frequencies [K] in hertz -> amplitudes of the mid signal [B, 2 T, K] (50 Hz)."""
    mid = waveform.mean(1)
    hertz = frequencies.float().to(waveform.device)
    low = hertz < SPLIT_HERTZ
    parts = [_read_peaks(mid, hertz[low], 8192), _read_peaks(mid, hertz[~low], 4096)]
    return torch.cat(parts, -1)


def _read_peaks(mid: Tensor, hertz: Tensor, window: int) -> Tensor:
    bins = int(hertz.max() * window / RATE) + 6
    spectrum = magnitudes(mid, window, FRAME // 2)[..., :bins] * (4.0 / window)  # a sine's own amplitude
    peak = functional.max_pool1d(spectrum, 5, 1, 2)
    around = functional.pad(spectrum.transpose(1, 2), (2, 2), mode="replicate").unfold(-1, 5, 1).median(-1).values
    steadiness = (around.transpose(1, 2) / (spectrum + 1e-5)).clamp(max=1).square()  # 1 in a tone, near 0 in a click
    place = hertz * window / RATE
    below = place.floor().long()
    share = place - below
    value = spectrum[..., below] * (1 - share) + spectrum[..., below + 1] * share
    local = torch.maximum(peak[..., below], peak[..., below + 1])
    steady = steadiness[..., below] * (1 - share) + steadiness[..., below + 1] * share
    return local * (value / (local + 1e-6)) ** PEAK_SHARPNESS * steady
