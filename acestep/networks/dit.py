"""The diffusion transformer of ACE-Step 1.5, with diffusers' names for its weights.

Cross-attention keys and values are computed once per job instead of once per step, the unconditional branch needs no
cross-attention (its condition is constant), and long audio no dense mask. diffusers' class gives the same, to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.networks.attention import (
    LayerCondition,
    Rotary,
    attention_weights,
    cache_layer,
    cross_attention,
    rotary,
    self_attention,
)
from acestep.networks.layers import Attention, GatedMlp, Linear, RmsNorm, Sizes

WAVES = 256
"""Sines and cosines that a time is spread to."""

TIME_SCALE, LONGEST_WAVE = 1000.0, 10_000.0


@dataclass(frozen=True)
class Condition:
    """What a run needs of an encoded condition, computed once: every layer's cross-attention, and the embedding [1, H] and
    modulation [1, 6, H] of no gap between t and r. ``tokens`` is its length L (1 for the null condition)."""

    layers: tuple[LayerCondition, ...]
    tokens: int
    no_gap: tuple[Tensor, Tensor]


@dataclass
class Probe:
    """Asks a forward pass for cross-attention probabilities; ``weights[layer]`` is [B, h, N, L] afterwards."""

    layers: frozenset[int]
    weights: dict[int, Tensor] = field(default_factory=dict)


class TimeEmbedding(nn.Module):
    """Times [b] -> an embedding [b, H] and the modulation [b, 6, H] of the blocks."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_1 = Linear(WAVES, width)
        self.linear_2 = Linear(width, width)
        self.time_proj = Linear(width, 6 * width)

    def forward(self, times: Tensor) -> tuple[Tensor, Tensor]:
        """The sinusoid in float32, the rest in the weights' dtype."""
        half = WAVES // 2
        exponents = -math.log(LONGEST_WAVE) * torch.arange(half, dtype=torch.float32, device=times.device) / half
        angles = (times * TIME_SCALE)[:, None] * exponents.exp()
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.linear_1.bias.dtype)
        embedding = self.linear_2(functional.silu(self.linear_1(waves)))
        return embedding, self.time_proj(functional.silu(embedding)).unflatten(1, (6, -1))


class DitBlock(nn.Module):
    """The weights of one transformer block; `run_block` computes with them."""

    def __init__(self, sizes: Sizes, window: int | None) -> None:
        super().__init__()
        width, eps = sizes.hidden_size, sizes.rms_norm_eps
        self.self_attn_norm = RmsNorm(width, eps)
        self.self_attn = Attention(sizes, window)
        self.cross_attn_norm = RmsNorm(width, eps)
        self.cross_attn = Attention(sizes)
        self.mlp_norm = RmsNorm(width, eps)
        self.mlp = GatedMlp(width, sizes.intermediate_size)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, width) / width**0.5)


class Dit(nn.Module):
    """The DiT of ACE-Step 1.5 with cached conditions.

    `condition` turns encoder states into a `Condition` once; `velocity` is one evaluation of the flow.
    """

    quantised_to: str = ""
    """The number format of its blocks' weights where that is another one than the model's (`acestep.checkpoints.quantise`)."""

    quicker_block: Callable[..., Tensor] | None = None
    """Runs a block instead of `run_block` where set (`acestep.networks.compiled`)."""

    def __init__(
        self,
        *,
        num_hidden_layers: int = 24,
        in_channels: int = 192,
        audio_acoustic_hidden_dim: int = 64,
        patch_size: int = 2,
        layer_types: Sequence[str] | None = None,
        encoder_hidden_size: int | None = None,
        **sizes: Any,
    ) -> None:
        """``encoder_hidden_size``: width of the condition, where it is another than the model's own (XL)."""
        super().__init__()
        self.sizes = Sizes(**sizes)
        width = self.sizes.hidden_size
        self.patch_size = patch_size
        windows = self.sizes.windows(num_hidden_layers, layer_types)
        self.layers = nn.ModuleList(DitBlock(self.sizes, window) for window in windows)
        self.proj_in_conv = nn.Conv1d(in_channels, width, patch_size, stride=patch_size)
        self.time_embed, self.time_embed_r = TimeEmbedding(width), TimeEmbedding(width)
        self.condition_embedder = Linear(encoder_hidden_size or width, width)
        self.norm_out = RmsNorm(width, self.sizes.rms_norm_eps)
        self.proj_out_conv = nn.ConvTranspose1d(width, audio_acoustic_hidden_dim, patch_size, stride=patch_size)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, width) / width**0.5)

    @property
    def like(self) -> Tensor:
        """A weight whose device and dtype are everybody's."""
        return self.proj_in_conv.weight

    @property
    def device(self) -> torch.device:
        """Where it works."""
        return self.like.device

    @property
    def blocks(self) -> list[DitBlock]:
        """The transformer blocks in order."""
        return [cast(DitBlock, block) for block in self.layers]

    @torch.inference_mode()
    def condition(self, states: Tensor) -> Condition:
        """Keys and values for encoder states [B, L, H_enc]; L = 1 stands for a constant condition of any length."""
        embedded = self.condition_embedder(states.to(self.like))
        layers = tuple(cache_layer(block.cross_attn, embedded) for block in self.blocks)
        return Condition(layers, states.shape[1], self.time_embed_r(torch.zeros(1, device=self.device)))

    @torch.inference_mode()
    def velocity(
        self,
        x: Tensor,
        t: float | Tensor,
        context: Tensor,
        conditions: Sequence[Condition],
        r: Tensor | None = None,
        probe: Probe | None = None,
    ) -> list[Tensor]:
        """Velocity ``noise - data`` at ``x`` [B, T, 64] and time ``t`` (a number, or [B]) under each of the conditions.

        ``context`` is [B or 1, T, 128]; ``r`` is the mean-flow partner time, ``t`` itself by default. The conditions share x and
        context and run as one batch. Returns one float32 [B, T, 64] per condition.
        """
        copies = len(conditions)
        times = torch.as_tensor(t, dtype=torch.float32, device=self.like.device).reshape(-1)
        gap = conditions[0].no_gap if r is None else self.time_embed_r(times - r.to(times).reshape(-1))
        embedding, modulation = self._embed_times(times, gap, x.shape[0], copies)
        hidden = self._patchify(x, context).repeat(copies, 1, 1)
        run = run_block if probe is not None else self.quicker_block or run_block
        rope = rotary(hidden.shape[1], self.sizes.head_dim, self.sizes.rope_theta, hidden.device, hidden.dtype)
        for index, block in enumerate(self.blocks):
            cached = [condition.layers[index] for condition in conditions]
            hidden = run(block, hidden, rope, modulation, cached, None if probe is None else (probe, index))
        out = self._unpatchify(hidden, embedding, x.shape[1])
        return list(out.float().chunk(copies))

    def _embed_times(self, times: Tensor, gap: tuple[Tensor, Tensor], batch: int, copies: int) -> tuple[Tensor, Tensor]:
        """AdaLN inputs [b, H] and [b, 6, H] of the two time embeddings' sum; b is 1 where all items share a time."""
        embedding, modulation = (time + more for time, more in zip(self.time_embed(times), gap, strict=True))
        if times.shape[0] == 1:
            return embedding, modulation
        if times.shape[0] != batch:
            raise ValueError(f"{times.shape[0]} times for {batch} items")
        return embedding.repeat(copies, 1), modulation.repeat(copies, 1, 1)

    def _patchify(self, x: Tensor, context: Tensor) -> Tensor:
        """Latents [B, T, 64] and context [B or 1, T, 128] -> patches [B, ceil(T / 2), H]; an odd T is zero-padded."""
        kernel = self.proj_in_conv.weight
        stacked = torch.cat([context.to(kernel).expand(x.shape[0], -1, -1), x.to(kernel)], dim=-1)
        stacked = functional.pad(stacked, (0, 0, 0, -stacked.shape[1] % self.patch_size))
        patches = stacked.unflatten(1, (-1, self.patch_size)).flatten(2)
        weight = kernel.transpose(1, 2).flatten(1)  # patches do not overlap, so the convolution is a matrix product
        return functional.linear(patches, weight, self.proj_in_conv.bias)

    def _unpatchify(self, hidden: Tensor, embedding: Tensor, frames: int) -> Tensor:
        shift, scale = (self.scale_shift_table + embedding.unsqueeze(1)).chunk(2, dim=1)
        hidden = (self.norm_out(hidden) * (1 + scale) + shift).type_as(hidden)
        weight = self.proj_out_conv.weight.permute(2, 1, 0)
        patches = functional.linear(hidden, weight.flatten(0, 1)).unflatten(2, (self.patch_size, -1))
        return (patches + self.proj_out_conv.bias).flatten(1, 2)[:, :frames]


def run_block(
    block: DitBlock,
    hidden: Tensor,
    rope: Rotary,
    modulation: Tensor,
    cached: Sequence[LayerCondition],
    probe: tuple[Probe, int] | None,
) -> Tensor:
    """One block on ``len(cached)`` groups of items, each under its own condition; everything else is shared."""
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (block.scale_shift_table + modulation).chunk(6, dim=1)
    normed = (block.self_attn_norm(hidden) * (1 + scale) + shift).type_as(hidden)
    hidden = (hidden + self_attention(block.self_attn, normed, rope, block.self_attn.sliding_window) * gate).type_as(
        hidden
    )

    normed = block.cross_attn_norm(hidden)
    groups = normed.chunk(len(cached))
    if probe is not None and probe[1] in probe[0].layers:
        probe[0].weights[probe[1]] = attention_weights(block.cross_attn, groups[0], cached[0])
    attended = [cross_attention(block.cross_attn, group, one) for group, one in zip(groups, cached, strict=True)]
    hidden = hidden + (attended[0] if len(attended) == 1 else torch.cat(attended))

    normed = (block.mlp_norm(hidden) * (1 + mlp_scale) + mlp_shift).type_as(hidden)
    return (hidden + block.mlp(normed) * mlp_gate).type_as(hidden)
