"""The transformer of ACE-Step v1: linear attention over the frames, softmax attention to the words.

No library has this network. Against the original it encodes the words once per run, keys and values of every layer included, and
leaves out what is in its files and never used: the second set of projections of each cross-attention and the training heads
(`acestep.families.ace_step_v1.unused`), a fifth of the file. Source: the published code of 4 June 2025.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.families.ace_step_v1.lyric_encoder import LyricEncoder, LyricEncoderSizes
from acestep.networks.attention import KeyValues, Rotary, attend, rotary, split_heads

WEAK_BLOCKS = range(15, 20)
"""Blocks whose queries are weakened for the branch that guidance steers away from."""

TIME_WAVES = 256
STEM_WIDTH = 256
"""Channels of the stem per channel of the latent."""


@dataclass(frozen=True)
class Sizes:
    """The published config's entries that shape the network; the lyric encoder's own sizes are in no config."""

    heads: int
    head_width: int
    layers: int
    mlp_ratio: float
    channels: int = 8
    rows: int = 16
    text_width: int = 768
    speaker_width: int = 512
    lyric_tokens: int = 6693
    rope_theta: float = 1e6
    lyric_encoder: LyricEncoderSizes = field(default_factory=LyricEncoderSizes)

    @property
    def width(self) -> int:
        """Width of the hidden states. (The config's ``inner_dim`` is ignored by the original.)"""
        return self.heads * self.head_width


@dataclass(frozen=True)
class Condition:
    """What a run needs of its words, computed once: keys and values of each layer, and which positions count (None: all)."""

    layers: tuple[KeyValues, ...]
    mask: Tensor | None


def rotate_pairs(x: Tensor, rope: Rotary) -> Tensor:
    """``x`` [B, h, N, D] turned by its positions, in float32.

    The tables are laid out in halves while the channels are turned in neighbouring pairs: not a rotation, but what the weights
    were trained with.
    """
    whole = x.float()
    even, odd = whole.unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([-odd, even], dim=-1).flatten(-2)
    return (whole * rope.cos.float() + turned * rope.sin.float()).to(x.dtype)


class LinearAttention(nn.Module):
    """Attention without a softmax: time and memory grow with T, not with its square."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor, rope: Rotary) -> Tensor:
        """[B, T, width] -> [B, T, width]; the sums run in float32."""
        query, key, value = (split_heads(layer(x), self.heads) for layer in (self.to_q, self.to_k, self.to_v))
        query, key = (functional.relu(rotate_pairs(part, rope)).float() for part in (query, key))
        memory = key.transpose(-1, -2) @ value.float()
        total = query @ key.sum(-2)[..., None]
        out = (query @ memory) / (total + 1e-15)
        return self.to_out[0](out.to(x.dtype).transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """Softmax attention of the frames to the words, both turned by their positions."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def words(self, states: Tensor, rope: Rotary) -> KeyValues:
        """Keys and values [B, h, L, d] of encoded words [B, L, width]."""
        key, value = (split_heads(layer(states), self.heads) for layer in (self.to_k, self.to_v))
        return KeyValues(rotate_pairs(key, rope), value)

    def forward(self, x: Tensor, rope: Rotary, words: KeyValues, mask: Tensor | None, strength: float) -> Tensor:
        """``mask`` bool [B, 1, 1, L]; ``strength`` multiplies the queries."""
        query = rotate_pairs(split_heads(self.to_q(x) * strength, self.heads), rope)
        out = attend(query, words.key, words.value, mask)
        return self.to_out[0](out.transpose(1, 2).flatten(2))


class Convolution(nn.Module):
    """A convolution under the name that the published file gives it."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 1, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class GatedConvolutions(nn.Module):
    """The feed-forward network: widen, look at the neighbouring frames, gate, narrow."""

    def __init__(self, width: int, ratio: float) -> None:
        super().__init__()
        inner = int(width * ratio)
        self.inverted_conv = Convolution(width, 2 * inner)
        self.depth_conv = Convolution(2 * inner, 2 * inner, kernel=3, groups=2 * inner)
        self.point_conv = Convolution(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] -> [B, T, width]."""
        wide = self.depth_conv(functional.silu(self.inverted_conv(x.transpose(1, 2))))
        value, gate = wide.chunk(2, dim=1)
        return self.point_conv(value * functional.silu(gate)).transpose(1, 2)


class Block(nn.Module):
    """Linear attention and the feed-forward network, modulated by the time; attention to the words, not modulated."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.empty(6, sizes.width))
        self.attn = LinearAttention(sizes.width, sizes.heads)
        self.cross_attn = CrossAttention(sizes.width, sizes.heads)
        self.ff = GatedConvolutions(sizes.width, sizes.mlp_ratio)

    def forward(
        self, x: Tensor, modulation: Tensor, ropes: Rotary, words: KeyValues, mask: Tensor | None, strength: float
    ) -> Tensor:
        """``x`` [B, T, width], ``modulation`` [B, 6, width]."""
        shift, scale, gate, ff_shift, ff_scale, ff_gate = (self.scale_shift_table + modulation)[:, :, None].unbind(1)
        x = x + gate * self.attn(normalised(x) * (1 + scale) + shift, ropes)
        x = x + self.cross_attn(x, ropes, words, mask, strength)
        return x + ff_gate * self.ff(normalised(x) * (1 + ff_scale) + ff_shift)


def normalised(x: Tensor) -> Tensor:
    """Root-mean-square norm over the last dimension; no norm of this network has weights."""
    return functional.rms_norm(x, x.shape[-1:], eps=1e-6)


class Stem(nn.Module):
    """A latent's 16 rows in one piece: [B, 8, 16, T] -> [B, T, width].

    Its group norm looks at all frames at once, so that the network is not local in time even before attention.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        inner, kernel = STEM_WIDTH * sizes.channels, (sizes.rows, 1)
        self.early_conv_layers = nn.Sequential(
            nn.Conv2d(sizes.channels, inner, kernel, stride=kernel),
            nn.GroupNorm(32, inner, eps=1e-6),
            nn.Conv2d(inner, sizes.width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.early_conv_layers(x).squeeze(2).transpose(1, 2)


class TimeEmbedding(nn.Module):
    """A time of 0 to 1000 as cosines and sines, and two layers on top."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(TIME_WAVES, width), nn.Linear(width, width)

    def forward(self, time: Tensor) -> Tensor:
        """[B] -> [B, width]."""
        half = TIME_WAVES // 2
        steps = torch.arange(half, dtype=torch.float32, device=time.device) / half
        angles = time.float()[:, None] * torch.exp(-math.log(10000.0) * steps)
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.linear_1.weight.dtype)
        return self.linear_2(functional.silu(self.linear_1(waves)))


class FinalLayer(nn.Module):
    """Hidden states back to a latent's 16 rows."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.rows = sizes.rows
        self.scale_shift_table = nn.Parameter(torch.empty(2, sizes.width))
        self.linear = nn.Linear(sizes.width, sizes.rows * sizes.channels)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """[B, T, width] -> [B, 8, 16, T]."""
        shift, scale = (self.scale_shift_table + embedding[:, None])[:, :, None].unbind(1)
        out = self.linear(normalised(x) * (1 + scale) + shift)
        return out.unflatten(-1, (self.rows, -1)).permute(0, 3, 2, 1)


class Transformer(nn.Module):
    """`encode` turns words into states, `condition` into what every step needs of them; `velocity` is one evaluation."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        width = sizes.width
        self.proj_in = Stem(sizes)
        self.timestep_embedder = TimeEmbedding(width)
        self.t_block = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.speaker_embedder = nn.Linear(sizes.speaker_width, width)
        self.genre_embedder = nn.Linear(sizes.text_width, width)
        self.lyric_embs = nn.Embedding(sizes.lyric_tokens, sizes.lyric_encoder.width)
        self.lyric_encoder = LyricEncoder(sizes.lyric_encoder)
        self.lyric_proj = nn.Linear(sizes.lyric_encoder.width, width)
        self.transformer_blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.final_layer = FinalLayer(sizes)

    @property
    def like(self) -> Tensor:
        """A weight whose device and dtype are everybody's."""
        return self.final_layer.linear.weight

    @torch.inference_mode()
    def encode(
        self,
        text: Tensor,
        text_mask: Tensor,
        lyrics: Tensor,
        lyric_mask: Tensor,
        *,
        speaker: Tensor | None = None,
        weaken: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """States [B, 1 + S + L, width] and their mask (bool) of text states [B, S, 768] and lyric tokens [B, L].

        ``speaker`` [B, 512]: a voice; the released model knows only that of zeros. ``weaken`` below 1 gives the weak lyric states
        of entropy-rectifying guidance.
        """
        if speaker is None:
            speaker = text.new_zeros(text.shape[0], self.sizes.speaker_width)
        lyric_mask = lyric_mask.to(self.like.device).bool()
        embedded = self.lyric_embs(lyrics.to(self.like.device))
        sung = self.lyric_proj(self.lyric_encoder(embedded, lyric_mask, weaken))
        parts = [self.speaker_embedder(speaker.to(self.like))[:, None], self.genre_embedder(text.to(self.like)), sung]
        own = lyric_mask.new_ones(len(speaker), 1)
        return torch.cat(parts, dim=1), torch.cat([own, text_mask.to(own), lyric_mask], dim=1)

    @torch.inference_mode()
    def condition(self, states: Tensor, mask: Tensor) -> Condition:
        """Keys and values of encoded words [B, L, width] with their mask [B, L]."""
        rope = self._rope(states.shape[1])
        blocks: Sequence[Block] = list(self.transformer_blocks)  # type: ignore[arg-type]
        layers = tuple(block.cross_attn.words(states, rope) for block in blocks)
        return Condition(layers, None if bool(mask.all()) else mask[:, None, None])

    @torch.inference_mode()
    def velocity(self, x: Tensor, time: float | Tensor, condition: Condition, weaken: float = 1.0) -> Tensor:
        """Velocity ``noise - data``, float32 [B, 8, 16, T], at ``x`` [B, 8, 16, T] and a time of 0 to 1000 (a number, or [B]).

        ``weaken`` multiplies the queries to the words in `WEAK_BLOCKS`. (Linear attention does not change with its queries' size.)
        """
        times = torch.as_tensor(time, dtype=torch.float32, device=self.like.device).expand(x.shape[0])
        embedding = self.timestep_embedder(times)
        modulation = self.t_block(embedding).unflatten(-1, (6, -1))
        hidden, rope = self.proj_in(x.to(self.like)), self._rope(x.shape[-1])
        for index, block in enumerate(self.transformer_blocks):
            strength = weaken if index in WEAK_BLOCKS else 1.0
            hidden = block(hidden, modulation, rope, condition.layers[index], condition.mask, strength)
        return self.final_layer(hidden, embedding).float()

    def _rope(self, length: int) -> Rotary:
        return rotary(length, self.sizes.head_width, self.sizes.rope_theta, self.like.device, self.like.dtype)
