"""Fixed transforms of the nano codec: framed magnitude spectra, mel bands, and sound from oscillators and bands.

Nothing here is learned; all tables are rebuilt from constants, so they are not stored in a checkpoint.
Audio is 48 kHz; a latent frame is 1920 samples, a subframe 480 (100 Hz).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

RATE = 48000
FRAME = 1920
SUBFRAME = 480


def mel_bands(bins: int, bands: int, low: float, high: float, peak: bool = False) -> Tensor:
    """Triangular bands on the mel scale [bands, bins] over an rfft's bins, rows with unit sum (or unit `peak`).

    A band narrower than one bin takes its nearest bin.
    """
    to_mel = [2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (low, high)]
    edges = 700.0 * (10.0 ** (torch.linspace(to_mel[0], to_mel[1], bands + 2, dtype=torch.float64) / 2595.0) - 1.0)
    hertz = torch.linspace(0, RATE / 2, bins, dtype=torch.float64)
    rising = (hertz - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - hertz) / (edges[2:] - edges[1:-1])[:, None]
    weights = torch.minimum(rising, falling).clamp(min=0)
    empty = weights.sum(1) < 0.5
    weights[empty, (hertz - edges[1:-1, None]).abs().argmin(1)[empty]] = 1.0
    scale = weights.amax(1, keepdim=True) if peak else weights.sum(1, keepdim=True)
    return (weights / scale).float()


def pitch_class_bands(bins: int) -> Tensor:
    """Which of the twelve pitch classes (0 = C, A = 440 Hz) a bin of an rfft belongs to, from 120 Hz to 3 kHz, where notes
    can be told apart: [bins, 12] zeros and ones.
    """
    hertz = torch.linspace(0, RATE / 2, bins)
    heard = (hertz > 120) & (hertz < 3000)
    pitch = torch.round(69 + 12 * torch.log2(hertz.clamp(min=1) / 440)).long() % 12
    return functional.one_hot(pitch, 12).float() * heard[:, None]


def absolute(spectrum: Tensor, floor: float = 0.0) -> Tensor:
    """sqrt(|z|^2 + floor) of a complex tensor: four times as fast on a CPU as `Tensor.abs`, which guards against overflows
    that no spectrum has.
    """
    return torch.addcmul(spectrum.real.square().add_(floor), spectrum.imag, spectrum.imag).sqrt_()


def magnitudes(waveform: Tensor, window: int, hop: int) -> Tensor:
    """|STFT| of [..., N] with N a multiple of `hop`: [..., N / hop, window // 2 + 1]; frame i is centred on hop i."""
    margin = (window - hop) // 2
    padded = functional.pad(waveform, (margin, window - hop - margin))
    frames = padded.unfold(-1, window, hop) * torch.hann_window(window, device=waveform.device)
    return absolute(torch.fft.rfft(frames))


class Analysis(nn.Module):
    """What the encoder sees of each 40 ms: log magnitudes at three resolutions (mid; mel of side as well) and by pitch class.

    Long windows resolve bass notes, short ones place attacks. Phase is left out: it would only cost latent capacity. Pitch
    classes sum energies, which small layers can hardly read off logarithms.
    """

    BANDS = 80
    LONG, MEDIUM = 420, 480  # bins kept of the 8192 and 4096 windows: up to 2.4 and 5.6 kHz
    WIDTH = 2 * BANDS * 4 + LONG + 2 * MEDIUM + 2 * 12

    pitch_classes: Tensor  # [MEDIUM, 12]
    mel: Tensor  # [513, BANDS]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pitch_classes", pitch_class_bands(2049)[: self.MEDIUM], persistent=False)
        self.register_buffer("mel", mel_bands(513, self.BANDS, 30, 20000).T.contiguous(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """[B, 2, T * 1920] -> [B, T, WIDTH], scaled to about unit range."""
        batch, _, samples = waveform.shape
        frames = samples // FRAME
        mid = (waveform[:, 0] + waveform[:, 1]) / 2
        side = (waveform[:, 0] - waveform[:, 1]) / 2
        short = torch.log(magnitudes(torch.stack([mid, side], 1), 1024, SUBFRAME) @ self.mel + 0.02) + 2.0
        short = short.permute(0, 2, 1, 3).reshape(batch, frames, -1)
        spectrum = magnitudes(mid, 4096, FRAME // 2)[..., : self.MEDIUM]
        medium = torch.log(spectrum + 0.1).reshape(batch, frames, -1)
        classes = torch.log((spectrum.square() @ self.pitch_classes).sqrt() + 0.1).reshape(batch, frames, -1)
        long = torch.log(magnitudes(mid, 8192, FRAME)[..., : self.LONG] + 0.15)
        return torch.cat([short, long, medium, classes], -1) * 0.5


def oscillator_frequencies() -> Tensor:
    """float64 [K]: the equal-tempered semitones from 33 Hz to 9 kHz and, between them, their odd natural partials.

    A note's 5th, 7th and 11th partials lie 14 and 31 cents below and 50 above a semitone; without them a rich tone beats.
    """
    hertz = []
    for pitch in range(24, 124):
        offsets = (0,) if pitch < 48 else (0, -14) if pitch < 64 else (0, -14, -31, 50)
        hertz += [440.0 * 2.0 ** ((pitch - 69 + cents / 100.0) / 12.0) for cents in offsets]
    return torch.tensor(sorted(f for f in hertz if f < 9000.0), dtype=torch.float64)


class OscillatorBank(nn.Module):
    """Sine waves with free-running phase, amplitudes at 100 Hz, overlap-added under Hann windows.

    A tone needs only amplitudes: phase follows from the absolute time, which is why a tile must know where it starts.
    """

    even_waves: Tensor  # [K, 480]
    odd_waves: Tensor  # [K, 480]

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = oscillator_frequencies()
        generator = torch.Generator().manual_seed(3)
        self.start_phase = torch.rand(len(self.frequencies), generator=generator, dtype=torch.float64) * 2 * math.pi
        time = torch.arange(SUBFRAME, dtype=torch.float64)
        window = 0.5 + 0.5 * torch.cos(math.pi * time / SUBFRAME)
        angle = 2 * math.pi * self.frequencies[:, None] * time / RATE
        self.register_buffer("even_waves", (torch.cos(angle) * window).float(), persistent=False)  # [K, 480]
        self.register_buffer("odd_waves", (-torch.sin(angle) * window).float(), persistent=False)

    def __len__(self) -> int:
        return len(self.frequencies)

    def forward(self, amplitudes: Tensor, first_subframe: int = 0) -> Tensor:
        """[B, 2, S, K] -> frames [B, 2, S, 960], each centred on its subframe; see `overlap_add`.

        Seen from its centre a windowed wave is an even part and an odd one: half of either is computed, the rest is its mirror
        image. A frame's first sample has no partner; the window is zero there.
        """
        count = amplitudes.shape[2]
        centre = (torch.arange(first_subframe, first_subframe + count, dtype=torch.float64) + 0.5) * SUBFRAME / RATE
        phase = (2 * math.pi * centre[:, None] * self.frequencies + self.start_phase) % (2 * math.pi)
        phase = phase.to(amplitudes.device, torch.float32)
        even, odd = (amplitudes * phase.cos()) @ self.even_waves, (amplitudes * phase.sin()) @ self.odd_waves
        return torch.cat([functional.pad((even - odd)[..., 1:].flip(-1), (1, 0)), even + odd], -1)


class BandSynthesis(nn.Module):
    """Short frames (20 ms) from magnitudes, a shared phase and noise bands: attacks, breath, cymbals."""

    WINDOW = 2 * SUBFRAME
    BINS = SUBFRAME + 1
    BANDS = 40
    WIDTH = 4 * BINS + 2 * BANDS
    TABLE = 1024  # subframes of noise before it repeats: 10.24 s

    bands: Tensor  # [BANDS, BINS]
    window: Tensor  # [WINDOW]
    noise: Tensor  # [TABLE, 2, BINS]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bands", mel_bands(self.BINS, self.BANDS, 80, 23000, peak=True), persistent=False)
        self.register_buffer("window", torch.hann_window(self.WINDOW), persistent=False)
        generator = torch.Generator().manual_seed(5)
        phase = torch.rand(self.TABLE, self.BINS, generator=generator) * 2 * math.pi
        self.register_buffer("noise", torch.stack([phase.cos(), phase.sin()], 1), persistent=False)

    def forward(self, controls: Tensor, first_subframe: int = 0) -> Tensor:
        """[B, S, WIDTH] -> frames [B, 2, S, 960]."""
        batch, count, _ = controls.shape
        bins = self.BINS
        tone = torch.exp(controls[..., : 2 * bins].clamp(max=5) - 3).view(batch, count, 2, 1, bins)
        phase = controls[..., 2 * bins : 4 * bins].view(batch, count, 1, 2, bins)
        phase = phase * torch.rsqrt(phase.square().sum(3, keepdim=True) + 1e-4)
        level = torch.exp(controls[..., 4 * bins :].clamp(max=5) - 3).view(batch, count, 2, 1, self.BANDS) @ self.bands
        place = (torch.arange(count, device=controls.device) + first_subframe) % self.TABLE
        spectrum = tone * phase + level * self.noise[place][:, None]  # [B, S, 2, (re, im), bins]
        frames = torch.fft.irfft(torch.complex(spectrum[..., 0, :], spectrum[..., 1, :]), n=self.WINDOW)
        return (frames * self.window).transpose(1, 2)


def overlap_add(frames: Tensor) -> Tensor:
    """Half-overlapping frames [B, C, S, 960] -> [B, C, S * 480]; what hangs over the two ends is cut off."""
    earlier, later = frames[..., :SUBFRAME], frames[..., SUBFRAME:]
    line = functional.pad(earlier, (0, 0, 0, 1)) + functional.pad(later, (0, 0, 1, 0))
    return line.flatten(2)[..., SUBFRAME // 2 : SUBFRAME // 2 + frames.shape[2] * SUBFRAME]
