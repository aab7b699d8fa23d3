"""Figures that need no listener: spectra, pitch classes, beat. All take float32 [2, N] at 48 kHz.

Each says something only beside the same figure of real songs, so tables give both.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from acestep.networks.spectra import RATE, magnitudes, mel_bands, pitch_class_bands

HOP = 480
FRAME_RATE = RATE / HOP
MEL_FLOOR = 0.02
TEMPI = np.exp(np.arange(np.log(68.0), np.log(190.0), 0.004))  # more than an octave, less than a third of any tempo

HELD = 8  # frames of 20 ms: what rings shorter than a sixteenth at 95 bpm is a drum or an attack
PARTIALS = (12, 19, 24, 28, 31, 34, 36)  # semitones above a note of its 2nd to 8th partial
FAINT = 0.1  # of the loudest note
MASKING = 4.0  # a tone this much louder below explains a peak as its partial
# chosen on validation songs: their notes are then 98.6 % in key and name 6.8 of the 7 pitch classes

BEATS = {0.5: 0.18, 1: 0.28, 2: 0.18, 4: 0.18, 8: 0.18}  # weights chosen on validation songs: all 60 tempi found


@cache
def _mel(bins: int, bands: int) -> Tensor:
    return mel_bands(bins, bands, 30, 20000).T.contiguous()


@cache
def _pitch_classes() -> Tensor:
    return pitch_class_bands(2049)


def log_mel(sound: Tensor) -> Tensor:
    """[frames, 96] in dB at 50 Hz, of the mid signal."""
    return 20 * torch.log10(magnitudes(_whole(sound).mean(0), 4096, 960) @ _mel(2049, 96) + MEL_FLOOR)


def mel_error(made: Tensor, wanted: Tensor) -> float:
    """Mean absolute difference of the log-mel spectra in dB."""
    return (log_mel(made) - log_mel(wanted)).abs().mean().item()


def chroma(sound: Tensor, peaks_only: bool = False) -> Tensor:
    """[frames, 12] energy by pitch class, 120 Hz to 3 kHz, at 50 Hz; of everything there or of clear spectral peaks only."""
    spectrum = magnitudes(_whole(sound).mean(0), 4096, 960)
    if not peaks_only:
        return spectrum.square() @ _pitch_classes()
    peak = functional.max_pool1d(spectrum[:, None], 5, 1, 2)[:, 0]
    around = functional.avg_pool1d(spectrum[:, None], 41, 1, 20)[:, 0]
    tonal = torch.where((spectrum >= peak) & (spectrum > 2.5 * around), spectrum, torch.zeros(()))
    return tonal.square() @ _pitch_classes()


def chroma_correlation(first: Tensor, second: Tensor, smooth: int = 1, peaks_only: bool = False) -> float:
    """Mean correlation over time of the two chromas (each frame centred and scaled), sounding frames of both only.

    `smooth` > 1 averages that many 20 ms frames first, for comparing harmony rather than notes. Peaks count by amplitude: a
    stricter figure, in which a faint partial that appears or goes weighs much.
    """
    parts = []
    for sound in (first, second):
        energy = chroma(sound, peaks_only)
        energy = energy[: len(energy) // smooth * smooth].unflatten(0, (-1, smooth)).mean(1)
        energy = energy.sqrt() if peaks_only else energy
        parts.append(energy - energy.mean(1, keepdim=True))
    norms = [part.norm(dim=1) for part in parts]
    heard = (norms[0] > 1e-2) & (norms[1] > 1e-2)
    if not heard.any():
        return 0.0
    return ((parts[0] * parts[1]).sum(1)[heard] / (norms[0] * norms[1])[heard]).mean().item()


@cache
def _semitones() -> Tensor:
    """[4097, 128]: which MIDI pitch a bin of the 8192 window is nearest to, up to 2 kHz."""
    hertz = torch.arange(4097) * RATE / 8192
    heard = (hertz > 27) & (hertz < 2000)
    pitch = torch.round(69 + 12 * torch.log2(hertz.clamp(min=1) / 440)).long()
    return functional.one_hot(torch.where(heard, pitch, 0).clamp(0, 127), 128).float() * heard[:, None]


def held_notes(sound: Tensor) -> Tensor:
    """[frames, 128] amplitudes by MIDI pitch of the notes that are held for at least 160 ms, 50 Hz.

    Spectral peaks from 120 Hz to 2 kHz; a peak that a much louder tone below explains as its partial is not a note.
    """
    spectrum = magnitudes(_whole(sound).mean(0), 8192, 960)
    peak = functional.max_pool1d(spectrum[:, None], 5, 1, 2)[:, 0]
    around = functional.avg_pool1d(spectrum[:, None], 61, 1, 30)[:, 0]
    tonal = torch.where((spectrum >= peak) & (spectrum > 3 * around), spectrum, torch.zeros(()))
    pitches = torch.stack([tonal[:, bins > 0].amax(1) if (bins > 0).any() else torch.zeros(len(tonal))
                           for bins in _semitones().T], 1)  # fmt: skip
    notes = torch.where(pitches > FAINT * pitches.amax(), pitches, torch.zeros(()))
    for interval in PARTIALS:
        below = functional.pad(pitches, (interval, 0))[:, :128]
        notes = torch.where(below > MASKING * pitches, torch.zeros(()), notes)
    notes[:, :47] = 0
    shortest = -functional.max_pool1d(-notes.T[:, None], HELD, 1)
    return functional.max_pool1d(functional.pad(shortest, (HELD - 1, HELD - 1)), HELD, 1)[:, 0].T


def held_classes(sound: Tensor) -> Tensor:
    """[frames, 12]: the held notes by pitch class."""
    notes = held_notes(sound)
    return torch.stack([notes[:, pitch::12].sum(1) for pitch in range(12)], 1)


def in_key(sound: Tensor, scale: tuple[int, ...]) -> float:
    """Share of the held notes, by amplitude, whose pitch class is in the scale."""
    total = held_classes(sound).sum(0)
    return (total[list(scale)].sum() / total.sum().clamp(min=1e-9)).item()


def follows_chords(sound: Tensor, chords: Sequence[Sequence[int]], bar: float) -> float:
    """Mean correlation, over bars of `bar` s, of the held notes' pitch classes with the chord's tones; silent bars count 0."""
    classes, frames = held_classes(sound), bar * 50
    bars = min(len(chords), int(len(classes) / frames))
    held = torch.stack([classes[int(i * frames) : int((i + 1) * frames)].sum(0) for i in range(bars)]).sqrt()
    wanted = torch.zeros(bars, 12)
    for index, tones in enumerate(chords[:bars]):
        wanted[index, list(tones)] = 1.0
    held, wanted = (part - part.mean(1, keepdim=True) for part in (held, wanted))
    return ((held * wanted).sum(1) / (held.norm(dim=1) * wanted.norm(dim=1)).clamp(min=1e-9)).mean().item()


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


def frame_change(sound: Tensor, places: list[int]) -> float:
    """Mean log-mel change in dB from frame to frame within 40 ms of the places (samples)."""
    change = (log_mel(sound)[1:] - log_mel(sound)[:-1]).abs().mean(1)
    return torch.cat([change[max(0, place // 960 - 2) : place // 960 + 2] for place in places]).mean().item()


def loudness(sound: Tensor) -> float:
    """RMS in dB full scale."""
    return 10 * np.log10(sound.square().mean().item() + 1e-12)


def _whole(sound: Tensor) -> Tensor:
    """Cut to whole 20 ms frames."""
    return sound[..., : sound.shape[-1] // 960 * 960]
