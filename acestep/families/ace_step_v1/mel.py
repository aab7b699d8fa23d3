"""Sound to the log-mel spectrum that v1's codec works on: 128 bands from 40 Hz to 16 kHz, 512 samples a frame at 44.1 kHz.

16 kHz is the upper end of everything this model hears and makes. The checkpoint carries window and filters in bfloat16; ours are
computed in full, which is nearer to what the codec was trained on.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from acestep.networks.spectra import absolute

RATE = 44_100
HOP = 512
WINDOW = 2048
BANDS = 128
RANGE = (40.0, 16_000.0)
"""Hz."""

SILENCE, LOUDEST = -11.0, 3.0
"""Values of the log-mel that the codec maps to 0 and 1."""


LINEAR_UP_TO = 1000.0
"""Hz. Slaney's scale is linear below and logarithmic above."""

LINEAR_STEP, LOG_STEP = 200.0 / 3, math.log(6.4) / 27
"""Hz in a mel below, and the logarithm of a mel's ratio above."""


def filters() -> Tensor:
    """Triangles of equal area on Slaney's mel scale [1025, 128].

    In float32 at every step, as the codec was trained with: a library's float64 filters move a quiet band's logarithm by 1e-5.
    """
    corner = LINEAR_UP_TO / LINEAR_STEP
    low, high = RANGE[0] / LINEAR_STEP, corner + math.log(RANGE[1] / LINEAR_UP_TO) / LOG_STEP
    mels = torch.linspace(low, high, BANDS + 2)
    above = LINEAR_UP_TO * torch.exp(LOG_STEP * (mels - corner))
    edges = torch.where(mels >= corner, above, LINEAR_STEP * mels)
    distances, widths = edges - torch.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, None], edges.diff()
    triangles = torch.minimum(-distances[:, :-2] / widths[:-1], distances[:, 2:] / widths[1:]).clamp(min=0)
    return triangles * (2.0 / (edges[2:] - edges[:-2]))


class LogMel(nn.Module):
    """[..., N] at 44.1 kHz, N a multiple of 512 -> log-mel [..., 128, N / 512]."""

    window: Tensor
    filters: Tensor  # [1025, 128]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        self.register_buffer("filters", filters(), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        margin = (WINDOW - HOP) // 2
        flat = nn.functional.pad(audio.reshape(-1, 1, audio.shape[-1]), (margin, margin), mode="reflect")[:, 0]
        spectrum = torch.stft(flat, WINDOW, HOP, window=self.window, center=False, return_complex=True)
        bands = absolute(spectrum, 1e-6).transpose(-1, -2) @ self.filters
        return bands.clamp(min=1e-5).log().transpose(-1, -2).unflatten(0, audio.shape[:-1])
