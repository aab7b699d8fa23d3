"""Distance between two sounds on their magnitude spectra, with its gradient written out, and on their harmony.

Spectral convergence, log magnitude and log mel energy at several resolutions. The mel term sees down to the noise
floor: without it a decoder leaves hiss where a stem is silent. The gradient of a magnitude is known in closed form, so one
inverse transform per resolution replaces the much slower chain of a recorded complex STFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from acestep.networks.spectra import absolute, mel_bands, pitch_class_bands

LOG_FLOOR = 3e-3  # of a single bin: below it only the noise floor would be heard
MEL_FLOOR = 4e-4  # of a band, where noise averages out
MEL_WEIGHT = 2.0
ENERGY_FLOOR = 0.3
CHROMA_FLOOR = 1e-2  # of a frame's energies by pitch class, centred: below it nothing with pitch sounds


@dataclass(frozen=True, slots=True)
class Resolution:
    window: int
    hop: int  # divides the window
    weight: float
    bands: int  # of the mel scale, 30 Hz to 20 kHz


TRAINING = (Resolution(8192, 4096, 1.0, 128), Resolution(4096, 2048, 1.5, 96), Resolution(2048, 1024, 1.0, 80),
            Resolution(512, 256, 0.7, 40))  # fmt: skip


@cache
def _mel(window: int, bands: int) -> Tensor:
    """[window // 2 + 1, bands]"""
    return mel_bands(window // 2 + 1, bands, 30, 20000).T.contiguous()


class _SpectralDistance(torch.autograd.Function):
    @staticmethod
    def forward(ctx, output: Tensor, target: Tensor, resolutions: tuple[Resolution, ...]) -> Tensor:
        total, gradient = output.new_zeros(()), torch.zeros_like(output)
        for resolution in resolutions:
            distance, slope = _compare(output, target, resolution)
            total += resolution.weight * distance
            gradient[:, : slope.shape[1]] += resolution.weight * slope
        weight = sum(resolution.weight for resolution in resolutions)
        ctx.save_for_backward(gradient / weight)
        return total / weight

    @staticmethod
    @once_differentiable
    def backward(ctx, scale: Tensor) -> tuple[Tensor, None, None]:
        return ctx.saved_tensors[0] * scale, None, None


def _compare(output: Tensor, target: Tensor, resolution: Resolution) -> tuple[Tensor, Tensor]:
    """Distance at one resolution and its gradient with respect to `output` [B, N'] (N' <= N: whole frames)."""
    size, hop = resolution.window, resolution.hop
    window = torch.hann_window(size, device=output.device) * size**-0.5
    spectrum = torch.fft.rfft(output.unfold(1, size, hop) * window)
    made = absolute(spectrum, floor=1e-9)  # a slope is divided by it
    wanted = absolute(torch.fft.rfft(target.unfold(1, size, hop) * window))
    error = made - wanted
    error_norm = error.square().sum((1, 2)).sqrt() + 1e-6
    energy = wanted.square().sum((1, 2)).sqrt() + ENERGY_FLOOR
    lifted = made + LOG_FLOOR
    log_error = lifted.log() - (wanted + LOG_FLOOR).log()
    mel = _mel(size, resolution.bands).to(output)
    made_bands = made @ mel + MEL_FLOOR
    band_error = made_bands.log() - (wanted @ mel + MEL_FLOOR).log()
    distance = (error_norm / energy).mean() + log_error.abs().mean() + MEL_WEIGHT * band_error.abs().mean()
    slope = error / (error_norm * energy * len(output))[:, None, None] + log_error.sign() / lifted / log_error.numel()
    slope += (band_error.sign() / made_bands * (MEL_WEIGHT / band_error.numel())) @ mel.T
    slope /= made
    slope[..., 1:-1] *= 0.5  # an inverse real transform counts inner bins twice
    frames = torch.fft.irfft(spectrum * slope, n=size) * (window * size)
    return distance, _add_frames(frames, hop)


def _add_frames(frames: Tensor, hop: int) -> Tensor:
    """Transpose of `unfold`: [B, F, W] -> [B, (F - 1) * hop + W], `hop` dividing W."""
    batch, count, size = frames.shape
    parts = size // hop
    line = frames.new_zeros(batch, count + parts - 1, hop)
    for part in range(parts):
        line[:, part : part + count] += frames[..., part * hop : (part + 1) * hop]
    return line.flatten(1)


def harmonic_distance(output: Tensor, target: Tensor, window: int = 4096, hop: int = 1920) -> Tensor:
    """One minus the correlation of the energies by pitch class, mean over the frames of [B, N] in which notes sound.

    Log spectra care for faint partials as much as for loud ones; the harmony that is heard is in the loud ones.
    """
    shape = torch.hann_window(window, device=output.device)
    table = pitch_class_bands(window // 2 + 1).to(output)

    def energies(sound: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(sound.unfold(1, window, hop) * shape)
        chroma = (spectrum.real.square() + spectrum.imag.square()) @ table
        return chroma - chroma.mean(-1, keepdim=True)

    made = energies(output)
    with torch.no_grad():
        wanted = energies(target)
    scale = wanted.norm(dim=-1) * made.norm(dim=-1) + CHROMA_FLOOR**2
    heard = wanted.norm(dim=-1) > CHROMA_FLOOR
    return ((1 - (made * wanted).sum(-1) / scale) * heard).sum() / heard.sum().clamp(min=1)


def spectral_distance(output: Tensor, target: Tensor, resolutions: tuple[Resolution, ...] = TRAINING) -> Tensor:
    """Mean distance of [B, N] to [B, N]; differentiable once, in `output` only. N >= the longest window."""
    return _SpectralDistance.apply(output, target, resolutions)
