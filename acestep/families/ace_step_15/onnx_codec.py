"""Codecs as graphs: diffusers' autoencoder, and the nano codec without complex numbers or double precision.

Few runtimes know Fourier transforms or 64-bit floats; transforms are matrices here, and an oscillator's phase is counted in whole
numbers, so that it is right after an hour as well.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.networks.nano_codec import SUBFRAMES, NanoCodec
from acestep.networks.spectra import FRAME, SUBFRAME, Analysis, BandSynthesis, OscillatorBank, overlap_add

TURN = 2**40
"""Steps of a phase to one turn. With half a million subframes (over an hour) products stay below 2**61."""


class WaveEncoder(nn.Module):
    """Sound [B, 2, 1920 T] -> the posterior's mean [B, T, 64], by diffusers' autoencoder."""

    def __init__(self, codec: Any) -> None:
        super().__init__()
        self.encoder = codec.encoder

    def forward(self, audio: Tensor) -> Tensor:
        first = next(self.encoder.parameters())
        return self.encoder(audio.to(first.dtype)).chunk(2, dim=1)[0].transpose(1, 2).float()


class WaveDecoder(nn.Module):
    """Latents [B, T, 64] -> sound [B, 2, 1920 T], by diffusers' autoencoder."""

    def __init__(self, codec: Any) -> None:
        super().__init__()
        self.decoder = codec.decoder

    def forward(self, latents: Tensor) -> Tensor:
        first = next(self.decoder.parameters())
        return self.decoder(latents.transpose(1, 2).to(first.dtype)).float()


class Spectrum(nn.Module):
    """`acestep.networks.spectra.magnitudes` as a convolution: [B, N] -> [B, N / hop, bins]."""

    waves: Tensor  # [2 bins, 1, window]

    def __init__(self, window: int, hop: int, bins: int) -> None:
        super().__init__()
        time = torch.arange(window, dtype=torch.float64)
        angles = 2 * math.pi / window * (torch.arange(bins, dtype=torch.float64)[:, None] * time % window)
        waves = torch.cat([angles.cos(), -angles.sin()]) * torch.hann_window(window, dtype=torch.float64)
        self.register_buffer("waves", waves[:, None].float())
        self.hop = hop
        margin = (window - hop) // 2
        self.margins = margin, window - hop - margin

    def forward(self, sound: Tensor) -> Tensor:
        padded = functional.pad(sound[:, None], self.margins)
        real, imaginary = functional.conv1d(padded, self.waves, stride=self.hop).transpose(1, 2).chunk(2, dim=-1)
        return (real.square() + imaginary.square()).sqrt()


class NanoEncoder(nn.Module):
    """Sound [B, 2, 1920 T] -> latents [B, T, 64], by the nano codec."""

    def __init__(self, codec: NanoCodec) -> None:
        super().__init__()
        self.codec = codec
        self.short = Spectrum(1024, SUBFRAME, 513)
        self.medium = Spectrum(4096, FRAME // 2, Analysis.MEDIUM)
        self.long = Spectrum(8192, FRAME, Analysis.LONG)

    def forward(self, audio: Tensor) -> Tensor:
        codec = self.codec
        mean, _ = codec.encode_features(self._features(audio).to(codec.dtype))
        return (mean.float() - codec.latent_mean) / codec.latent_scale

    def _features(self, audio: Tensor) -> Tensor:
        """As `Analysis.forward`."""
        analysis, batch, frames = self.codec.analysis, audio.shape[0], audio.shape[2] // FRAME
        mid, side = (audio[:, 0] + audio[:, 1]) / 2, (audio[:, 0] - audio[:, 1]) / 2
        short = [torch.log(self.short(one) @ analysis.mel + 0.02) + 2.0 for one in (mid, side)]
        bands = torch.stack(short, dim=2).reshape(batch, frames, -1)
        spectrum = self.medium(mid)
        medium = torch.log(spectrum + 0.1).reshape(batch, frames, -1)
        energies = (spectrum.square() @ analysis.pitch_classes).sqrt()
        classes = torch.log(energies + 0.1).reshape(batch, frames, -1)
        long = torch.log(self.long(mid) + 0.15)
        return torch.cat([bands, long, medium, classes], -1) * 0.5


class Oscillators(nn.Module):
    """`OscillatorBank` with phases in whole numbers."""

    step: Tensor  # int64 [K]: half a subframe's turn
    start: Tensor  # int64 [K]

    def __init__(self, bank: OscillatorBank) -> None:
        super().__init__()
        self.bank = bank
        self.register_buffer("step", (bank.frequencies * SUBFRAME / 2 / 48_000 % 1 * TURN).round().long())
        self.register_buffer("start", (bank.start_phase / (2 * math.pi) * TURN).round().long())

    def forward(self, amplitudes: Tensor, first: Tensor) -> Tensor:
        """[B, 2, S, K] and the first subframe [1] -> frames [B, 2, S, 960]."""
        places = torch.arange(amplitudes.shape[2]) + first
        turns = ((2 * places + 1)[:, None] * self.step + self.start) % TURN
        phase = turns.float() * (2 * math.pi / TURN)
        even, odd = (amplitudes * phase.cos()) @ self.bank.even_waves, (amplitudes * phase.sin()) @ self.bank.odd_waves
        mirrored = functional.pad((even - odd)[..., 1:].flip(-1), (1, 0))
        return torch.cat([mirrored, even + odd], -1)


class Bands(nn.Module):
    """`BandSynthesis` with its inverse transform as a matrix."""

    back: Tensor  # [2 bins, 960]

    def __init__(self, bands: BandSynthesis) -> None:
        super().__init__()
        self.bands = bands
        size, bins = bands.WINDOW, bands.BINS
        time = torch.arange(size, dtype=torch.float64)
        angles = 2 * math.pi / size * (torch.arange(bins, dtype=torch.float64)[:, None] * time % size)
        share = torch.full((bins, 1), 2.0 / size, dtype=torch.float64)
        share[0] = share[-1] = 1.0 / size
        back = torch.cat([angles.cos() * share, -angles.sin() * share]) * bands.window.double()
        self.register_buffer("back", back.float())

    def forward(self, controls: Tensor, first: Tensor) -> Tensor:
        """[B, S, WIDTH] and the first subframe [1] -> frames [B, 2, S, 960]."""
        batch, count, _ = controls.shape
        bins = self.bands.BINS
        tone = torch.exp(controls[..., : 2 * bins].clamp(max=5) - 3).reshape(batch, count, 2, 1, bins)
        phase = controls[..., 2 * bins : 4 * bins].reshape(batch, count, 1, 2, bins)
        phase = phase / (phase.square().sum(3, keepdim=True) + 1e-4).sqrt()
        level = torch.exp(controls[..., 4 * bins :].clamp(max=5) - 3).reshape(batch, count, 2, 1, -1) @ self.bands.bands
        places = (torch.arange(count) + first) % self.bands.TABLE
        spectrum = tone * phase + level * self.bands.noise[places][:, None]
        return (spectrum.flatten(3) @ self.back).transpose(1, 2)


class NanoDecoder(nn.Module):
    """Latents [B, T, 64] and the place of their first frame [1] -> sound [B, 2, 1920 T], by the nano codec."""

    def __init__(self, codec: NanoCodec) -> None:
        super().__init__()
        self.codec = codec
        self.oscillators, self.bands = Oscillators(codec.oscillators), Bands(codec.bands)

    def forward(self, latents: Tensor, first_frame: Tensor) -> Tensor:
        codec = self.codec
        raw = (latents * codec.latent_scale + codec.latent_mean).to(codec.dtype)
        subframes = codec.subframe_hidden(codec.decode_hidden(raw))
        first = first_frame * SUBFRAMES
        amplitudes = torch.exp(codec.log_amplitudes(subframes).clamp(-14, 1))
        frames = self.oscillators(amplitudes, first) + self.bands(codec.band_out(subframes).float(), first)
        return overlap_add(frames)
