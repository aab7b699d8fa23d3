"""Figures that need no listener: spectra, pitch classes, beat. All take float32 [2, N] at 48 kHz.

Each says something only beside the same figure of real songs, so tables give both.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from acestep.networks.spectra import RATE, magnitudes, mel_bands

HOP = 480
FRAME_RATE = RATE / HOP
MEL_FLOOR = 0.02
TEMPI = np.exp(np.arange(np.log(68.0), np.log(190.0), 0.004))  # more than an octave, less than a third of any tempo

BEATS = {0.5: 0.18, 1: 0.28, 2: 0.18, 4: 0.18, 8: 0.18}  # weights chosen on validation songs: all 60 tempi found


@cache
def _mel(bins: int, bands: int) -> Tensor:
    return mel_bands(bins, bands, 30, 20000).T.contiguous()


@cache
def _pitch_classes() -> Tensor:
    """[2049, 12]: which pitch class a bin of the 4096 window belongs to, from 120 Hz to 3 kHz."""
    hertz = torch.arange(2049) * RATE / 4096
    heard = (hertz > 120) & (hertz < 3000)
    pitch = torch.round(69 + 12 * torch.log2(hertz.clamp(min=1) / 440)).long() % 12
    table = torch.zeros(2049, 12)
    table[heard.nonzero()[:, 0], pitch[heard]] = 1.0
    return table


def log_mel(sound: Tensor) -> Tensor:
    """[frames, 96] in dB at 50 Hz, of the mid signal."""
    return 20 * torch.log10(magnitudes(_whole(sound).mean(0), 4096, 960) @ _mel(2049, 96) + MEL_FLOOR)


def mel_error(made: Tensor, wanted: Tensor) -> float:
    """Mean absolute difference of the log-mel spectra in dB."""
    return (log_mel(made) - log_mel(wanted)).abs().mean().item()


def chroma(sound: Tensor) -> Tensor:
    """[frames, 12] energy of spectral peaks by pitch class, 50 Hz."""
    spectrum = magnitudes(_whole(sound).mean(0), 4096, 960)
    peak = torch.nn.functional.max_pool1d(spectrum[:, None], 5, 1, 2)[:, 0]
    around = torch.nn.functional.avg_pool1d(spectrum[:, None], 41, 1, 20)[:, 0]
    tonal = torch.where((spectrum >= peak) & (spectrum > 2.5 * around), spectrum, torch.zeros(()))
    return tonal.square() @ _pitch_classes()


def chroma_correlation(first: Tensor, second: Tensor, smooth: int = 1) -> float:
    """Mean correlation over time of the two chromas (each frame centred and scaled), frames with tones in both only.

    `smooth` > 1 averages that many 20 ms frames first, for comparing harmony rather than notes.
    """
    parts = []
    for sound in (first, second):
        energy = chroma(sound)
        energy = energy[: len(energy) // smooth * smooth].unflatten(0, (-1, smooth)).mean(1).sqrt()
        parts.append(energy - energy.mean(1, keepdim=True))
    norms = [part.norm(dim=1) for part in parts]
    heard = (norms[0] > 1e-2) & (norms[1] > 1e-2)
    if not heard.any():
        return 0.0
    return ((parts[0] * parts[1]).sum(1)[heard] / (norms[0] * norms[1])[heard]).mean().item()


def in_key(sound: Tensor, scale: tuple[int, ...]) -> float:
    """Share of tonal energy on the scale's pitch classes; partials of notes in key keep real songs below 1."""
    total = chroma(sound).sum(0)
    return (total[list(scale)].sum() / total.sum().clamp(min=1e-9)).item()


def onset_strength(sound: Tensor) -> np.ndarray:
    """[frames] at 100 Hz: rise of the log mel spectrum, centred."""
    spectrum = torch.log(magnitudes(_whole(sound).mean(0), 1024, HOP) @ _mel(513, 40) + 0.05)
    rise = (spectrum[1:] - spectrum[:-1]).clamp(min=0).sum(1).double().numpy()
    return rise - rise.mean()


def beat_strength(sound: Tensor, tempi: np.ndarray = TEMPI) -> np.ndarray:
    """For each tempo, weighted mean of the onsets' normalised autocorrelation at half a beat, 1, 2, 4 and 8 beats."""
    onsets = onset_strength(sound)
    full = np.fft.irfft(np.abs(np.fft.rfft(onsets, 2 * len(onsets))) ** 2)[: len(onsets)]
    correlation = full / (full[0] + 1e-9) * len(onsets) / np.maximum(len(onsets) - np.arange(len(onsets)), 1)
    lags = np.arange(len(onsets))
    period = 60.0 * FRAME_RATE / tempi
    return sum(weight * np.interp(period * beats, lags, correlation, right=0.0) for beats, weight in BEATS.items())


def detect_tempo(sound: Tensor) -> float:
    """The tempo whose beats repeat best, 68..190 bpm."""
    return float(TEMPI[int(np.argmax(beat_strength(sound)))])


def same_tempo(found: float, asked: float, metre: str = "4", tolerance: float = 0.02) -> bool:
    """Within the tolerance, at any metrical level: half, equal, double, and the beat of three eighths in 6/8 and 3/4."""
    levels = (0.5, 1.0, 2.0, 4.0) if metre == "4" else (1 / 3, 0.5, 2 / 3, 1.0, 4 / 3, 2.0)
    return any(abs(found / (asked * level) - 1.0) <= tolerance for level in levels)


def seam_change(sound: Tensor, seams: list[int]) -> float:
    """Log-mel change at the seams (samples) relative to the sound's mean change from frame to frame."""
    change = (log_mel(sound)[1:] - log_mel(sound)[:-1]).abs().mean(1)
    at = torch.cat([change[max(0, seam // 960 - 2) : seam // 960 + 2] for seam in seams])
    return (at.mean() / change.mean().clamp(min=1e-6)).item()


def loudness(sound: Tensor) -> float:
    """RMS in dB full scale."""
    return 10 * np.log10(sound.square().mean().item() + 1e-12)


def _whole(sound: Tensor) -> Tensor:
    """Cut to whole 20 ms frames."""
    return sound[..., : sound.shape[-1] // 960 * 960]
