"""The nano checkpoint's codec: 64 latents at 25 Hz for stereo 48 kHz sound, small enough to ship with the package.

The encoder reads log spectra; the decoder drives a bank of equal-tempered oscillators and short noise and tone bands.
Latents are normalised per channel, as the diffusion transformer expects. Sketch quality: General MIDI colours, and
pitches off A = 440 Hz equal temperament are drawn to the nearest oscillator.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.networks.spectra import FRAME, RATE, Analysis, BandSynthesis, OscillatorBank, overlap_add

KERNEL, SUBFRAME_KERNEL = 7, 5
SUBFRAMES = 4  # per latent frame
SYNTHESIS_BLOCK = 512
"""Subframes turned into sound at once: no cache would hold the spectra of all 3000 of half a minute."""


class ConvBlock(nn.Module):
    """ConvNeXt block on [B, T, D]: depthwise convolution, norm, widened linear pair, residual."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.spread = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 3 * width)
        self.narrow = nn.Linear(3 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        spread = self.spread(x.transpose(1, 2)).transpose(1, 2)
        return x + self.scale * self.narrow(functional.gelu(self.widen(self.norm(spread)), approximate="tanh"))


def conv_stack(width: int, blocks: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(width, kernel) for _ in range(blocks)), nn.LayerNorm(width))


class NanoCodec(nn.Module):
    """`encode` to normalised latents, `decode` back; both can be tiled exactly with `context_frames` on each side."""

    latent_mean: Tensor
    latent_scale: Tensor
    hop = FRAME
    sample_rate = RATE
    tile_frames = 800  # decoded at once, 32 s; shorter tiles are slower: margins, small matrices

    def __init__(
        self,
        latent_channels: int = 64,
        encoder_width: int = 288,
        encoder_blocks: int = 4,
        decoder_width: int = 384,
        decoder_blocks: int = 4,
        subframe_width: int = 256,
        subframe_blocks: int = 3,
    ) -> None:
        super().__init__()
        self.sizes = {
            "latent_channels": latent_channels, "encoder_width": encoder_width, "encoder_blocks": encoder_blocks,
            "decoder_width": decoder_width, "decoder_blocks": decoder_blocks, "subframe_width": subframe_width,
            "subframe_blocks": subframe_blocks,
        }  # fmt: skip
        self.blocks = (encoder_blocks, decoder_blocks, subframe_blocks)
        self.analysis = Analysis()
        self.encoder_in = nn.Linear(Analysis.WIDTH, encoder_width)
        self.encoder = conv_stack(encoder_width, encoder_blocks, KERNEL)
        self.posterior = nn.Linear(encoder_width, 2 * latent_channels)
        self.decoder_in = nn.Linear(latent_channels, decoder_width)
        self.decoder = conv_stack(decoder_width, decoder_blocks, KERNEL)
        self.subframe_in = nn.Linear(decoder_width, SUBFRAMES * subframe_width)
        self.subframes = conv_stack(subframe_width, subframe_blocks, SUBFRAME_KERNEL)
        self.oscillators = OscillatorBank()
        self.bands = BandSynthesis()
        self.amplitude_out = nn.Linear(subframe_width, 2 * len(self.oscillators))
        self.band_out = nn.Linear(subframe_width, BandSynthesis.WIDTH)
        nn.init.zeros_(self.amplitude_out.bias)
        with torch.no_grad():
            self.band_out.weight.mul_(0.5)
        self.register_buffer("latent_mean", torch.zeros(latent_channels))
        self.register_buffer("latent_scale", torch.ones(latent_channels))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.encoder_in.weight.dtype

    @property
    def context_frames(self) -> int:
        """Latent frames of context per side beyond which nothing changes: the larger of encoder's and decoder's reach."""
        encoder_blocks, decoder_blocks, subframe_blocks = self.blocks
        encoder = encoder_blocks * (KERNEL // 2) + 2  # the 8192 window hangs over by 3136 samples
        subframes = subframe_blocks * (SUBFRAME_KERNEL // 2) + 1
        decoder = decoder_blocks * (KERNEL // 2) + -(-subframes // SUBFRAMES)
        return max(encoder, decoder)

    def encode(self, waveform: Tensor) -> Tensor:
        """[B, 2, N] in -1..1 -> the posterior's mean [B, 64, ceil(N / 1920)], about unit variance per channel."""
        waveform = functional.pad(waveform, (0, -waveform.shape[-1] % FRAME))
        mean, _ = self.encode_features(self.analysis(waveform.float()).to(self.dtype))
        return ((mean - self.latent_mean) / self.latent_scale).transpose(1, 2)

    def decode(self, latents: Tensor, first_frame: int = 0) -> Tensor:
        """[B, 64, T] -> float32 [B, 2, T * 1920]; `first_frame` is the tile's place, for oscillator phase and noise."""
        raw = latents.transpose(1, 2) * self.latent_scale + self.latent_mean
        return self.synthesise(self.subframe_hidden(self.decode_hidden(raw)), first_frame)

    def encode_features(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Analysis features [B, T, WIDTH] -> mean and log variance [B, T, 64] before normalisation."""
        mean, log_variance = self.posterior(self.encoder(self.encoder_in(features))).chunk(2, -1)
        return mean, log_variance.clamp(-10, 2)

    def decode_hidden(self, raw: Tensor) -> Tensor:
        """Latents before normalisation [B, T, 64] -> trunk [B, T, decoder_width]."""
        return self.decoder(self.decoder_in(raw))

    def subframe_hidden(self, hidden: Tensor) -> Tensor:
        """Trunk [B, T, decoder_width] -> [B, 4 T, subframe_width]."""
        batch, frames, _ = hidden.shape
        return self.subframes(self.subframe_in(hidden).view(batch, frames * SUBFRAMES, -1))

    def log_amplitudes(self, subframes: Tensor) -> Tensor:
        """[B, S, subframe_width] -> natural log of the oscillators' amplitudes [B, 2, S, K]."""
        batch, count, _ = subframes.shape
        return (self.amplitude_out(subframes).float() * 1.5 - 6.0).view(batch, count, 2, -1).transpose(1, 2)

    def synthesise(self, subframes: Tensor, first_frame: int = 0) -> Tensor:
        """[B, 4 T, subframe_width] -> float32 [B, 2, T * 1920]."""
        first, frames = first_frame * SUBFRAMES, []
        for block in subframes.split(SYNTHESIS_BLOCK, 1):
            amplitudes = torch.exp(self.log_amplitudes(block).clamp(-14, 1))
            frames.append(self.oscillators(amplitudes, first) + self.bands(self.band_out(block).float(), first))
            first += block.shape[1]
        return overlap_add(torch.cat(frames, 2))
