"""What a first listener can check by numbers: is it sound, how loud, and does it move as music does. Pure functions on samples."""

from __future__ import annotations

import math

import msgspec
import numpy as np

from bridge.check import Check

WINDOW = 2048
"""Samples of one look at the spectrum; looks overlap by half."""

FAR = 20
"""Looks between two distant moments: 0.43 s at 48 kHz."""

BINS = slice(4, 800)
"""From about 100 Hz to 19 kHz at 48 kHz."""

SILENT_DB = -60.0
LOUDEST_DB, QUIETEST_DB = -6.0, -40.0
"""Level (RMS) between which music lies. Full scale is 0 dB."""

LEAST_MOVEMENT = 0.08
"""Noise has 0.00, a standing tone 0.00, random weights 0.05; mixes of the small model 0.16 to 0.24, and of instruments 0.26."""

AHEAD_OF_RANDOM = 1.5
"""How much more than with random weights it has to be."""


class MeasuredSound(msgspec.Struct, frozen=True, kw_only=True):
    """A measured sound. Levels in dB of full scale; ``movement``: how much more neighbouring moments resemble each other than
    distant ones (0 to 1)."""

    seconds: float
    channels: int
    finite: bool
    level_db: float
    peak_db: float
    clipped: int
    movement: float


def measure(audio: np.ndarray, rate: int) -> MeasuredSound:
    """Measure float samples [frames, channels]."""
    finite = bool(np.isfinite(audio).all())
    clean = np.nan_to_num(audio.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return MeasuredSound(
        seconds=len(audio) / rate,
        channels=audio.shape[1],
        finite=finite,
        level_db=_decibels(float(np.sqrt(np.mean(clean**2))) if clean.size else 0.0),
        peak_db=_decibels(float(np.abs(clean).max(initial=0.0))),
        clipped=int((np.abs(clean) >= 1.0).sum()),
        movement=round(movement(clean.mean(axis=1)), 3),
    )


def _decibels(value: float) -> float:
    return round(20 * math.log10(max(value, 1e-9)), 1)


def movement(mono: np.ndarray) -> float:
    """Likeness (cosine of magnitude spectra) of neighbouring moments less that of distant ones, averaged over the sound.

    Noise resembles itself equally little at any distance, a standing tone equally well; music holds a sound for a moment and then
    goes on to another.
    """
    if len(mono) < WINDOW * (FAR + 2) or not mono.any():
        return 0.0
    looks = np.lib.stride_tricks.sliding_window_view(mono, WINDOW)[:: WINDOW // 2] * np.hanning(WINDOW)
    spectra = np.abs(np.fft.rfft(looks, axis=1))[:, BINS]
    sounding = spectra[np.linalg.norm(spectra, axis=1) > 1e-6]
    if len(sounding) <= FAR:
        return 0.0
    unit = sounding / np.linalg.norm(sounding, axis=1, keepdims=True)
    near, far = ((unit[gap:] * unit[:-gap]).sum(axis=1).mean() for gap in (1, FAR))
    return float(near - far)


def judge(sound: MeasuredSound, random: MeasuredSound, seconds: float) -> tuple[Check, ...]:
    """The checks of a trial: each a rule, whether it held, and the figure."""
    heard = sound.level_db > SILENT_DB
    least = max(LEAST_MOVEMENT, AHEAD_OF_RANDOM * random.movement)
    return (
        Check(rule="every sample is a finite number", held=sound.finite, found="yes" if sound.finite else "no"),
        Check(rule=f"it lasts {seconds:g} s", held=abs(sound.seconds - seconds) < 1e-4, found=f"{sound.seconds:g} s"),
        Check(rule="it is not silent", held=heard, found=f"level {sound.level_db:g} dB, peak {sound.peak_db:g} dB"),
        Check(
            rule=f"it is as loud as music ({QUIETEST_DB:g} to {LOUDEST_DB:g} dB)",
            held=QUIETEST_DB <= sound.level_db <= LOUDEST_DB,
            found=f"{sound.level_db:g} dB, {sound.clipped} samples at full scale",
        ),
        Check(
            rule="it moves like music, unlike noise, a drone or random weights",
            held=heard and sound.movement > least,
            found=f"{sound.movement:.2f} (random weights {random.movement:.2f}, noise 0.00, a drone 0.00)",
        ),
    )
