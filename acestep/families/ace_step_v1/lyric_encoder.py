"""The lyric encoder: a conformer without convolutions, with relative positions (Transformer-XL), over lyric tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from acestep.networks.attention import split_heads

WEAK_LAYERS = range(4, 6)
"""Layers whose queries are weakened for the branch that guidance steers away from."""


@dataclass(frozen=True)
class LyricEncoderSizes:
    """Sizes that the original fixes in its code; no config names them."""

    width: int = 1024
    heads: int = 16
    feed_forward: int = 4096
    layers: int = 6


@lru_cache(maxsize=4)
def distance_waves(length: int, width: int, device: torch.device) -> Tensor:
    """Sinusoids [2 * length - 1, width] of the distances ``length - 1`` down to ``1 - length``; sine and cosine alternate."""
    distances = torch.arange(length - 1, -length, -1, device=device, dtype=torch.float32)
    frequencies = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10000.0) / width))
    angles = distances[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def by_distance(scores: Tensor) -> Tensor:
    """Scores [B, h, L, 2L - 1] by distance -> [B, h, L, L], where entry (i, j) is that of the distance ``i - j``."""
    batch, heads, length, width = scores.shape
    padded = nn.functional.pad(scores, (1, 0)).view(batch, heads, width + 1, length)
    return padded[:, :, 1:].reshape(batch, heads, length, width)[..., :length]


class RelativeAttention(nn.Module):
    """Self-attention whose scores add a term for the distance between two tokens."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q, self.linear_k, self.linear_v, self.linear_out = (nn.Linear(width, width) for _ in range(4))
        self.linear_pos = nn.Linear(width, width, bias=False)
        self.pos_bias_u = nn.Parameter(torch.empty(heads, width // heads))
        self.pos_bias_v = nn.Parameter(torch.empty(heads, width // heads))

    def forward(self, x: Tensor, mask: Tensor, waves: Tensor, strength: float) -> Tensor:
        """``x`` [B, L, width]; ``mask`` bool [B, 1, 1, L] of the tokens that count; ``strength`` multiplies the queries."""
        query, key, value = (
            split_heads(layer(x), self.heads) for layer in (self.linear_q, self.linear_k, self.linear_v)
        )
        query = query * strength
        places = split_heads(self.linear_pos(waves.to(x))[None], self.heads)
        near = (query + self.pos_bias_u[:, None]) @ key.transpose(-1, -2)
        far = by_distance((query + self.pos_bias_v[:, None]) @ places.transpose(-1, -2))
        scores = (near + far) / math.sqrt(query.shape[-1])
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0.0)  # no token at all: zeros
        return self.linear_out((weights @ value).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two layers with SiLU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w_1, self.w_2 = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.w_2(nn.functional.silu(self.w_1(x)))


class EncoderLayer(nn.Module):
    """Attention, then the feed-forward network, each after its norm."""

    def __init__(self, sizes: LyricEncoderSizes) -> None:
        super().__init__()
        self.norm_mha, self.norm_ff = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.self_attn = RelativeAttention(sizes.width, sizes.heads)
        self.feed_forward = FeedForward(sizes.width, sizes.feed_forward)

    def forward(self, x: Tensor, mask: Tensor, waves: Tensor, strength: float) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), mask, waves, strength)
        return x + self.feed_forward(self.norm_ff(x))


class Embedding(nn.Module):
    """Projects embedded tokens and scales them by the root of their width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(x) * math.sqrt(x.shape[-1])


class LyricEncoder(nn.Module):
    """Embedded lyric tokens [B, L, width] -> states [B, L, width]."""

    def __init__(self, sizes: LyricEncoderSizes) -> None:
        super().__init__()
        self.embed = Embedding(sizes.width)
        self.encoders = nn.ModuleList(EncoderLayer(sizes) for _ in range(sizes.layers))
        self.after_norm = nn.LayerNorm(sizes.width)

    def forward(self, x: Tensor, mask: Tensor, weaken: float = 1.0) -> Tensor:
        """``mask`` bool [B, L]; ``weaken`` multiplies the queries of `WEAK_LAYERS` (1: the plain states)."""
        waves, allowed = distance_waves(x.shape[1], x.shape[2], x.device), mask[:, None, None]
        x = self.embed(x)
        for index, layer in enumerate(self.encoders):
            x = layer(x, allowed, waves, weaken if index in WEAK_LAYERS else 1.0)
        return self.after_norm(x)
