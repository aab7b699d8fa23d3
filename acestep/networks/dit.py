"""The diffusion transformer: diffusers' weights and modules, driven by a forward pass of our own.

Against diffusers' forward it computes cross-attention keys and values once per job instead of once per step, skips the
cross-attention of the unconditional branch (its condition is constant), and needs no dense mask for long audio.
Same results, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from diffusers.models.transformers.ace_step_transformer import (
    AceStepTimestepEmbedding,
    AceStepTransformer1DModel,
    AceStepTransformerBlock,
)
from torch import Tensor
from torch.nn import functional

from acestep.networks.attention import (
    LayerCondition,
    Rotary,
    attention_weights,
    cache_layer,
    cross_attention,
    normalise,
    rotary,
    self_attention,
)


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


class Dit(AceStepTransformer1DModel):
    """The DiT of ACE-Step 1.5 with cached conditions.

    `condition` turns encoder states into a `Condition` once; `velocity` is one evaluation of the flow.
    """

    time_embed: AceStepTimestepEmbedding
    time_embed_r: AceStepTimestepEmbedding
    proj_in_conv: torch.nn.Conv1d
    proj_out_conv: torch.nn.ConvTranspose1d

    quantised_to: str = ""
    """The number format of its blocks' weights where that is another one than the model's (`acestep.checkpoints.quantise`)."""

    quicker_block: Callable[..., Tensor] | None = None
    """Runs a block instead of `run_block` where set (`acestep.networks.compiled`)."""

    @property
    def like(self) -> Tensor:
        """A weight whose device and dtype are everybody's; ``device`` and ``dtype`` look through all of them, in every step."""
        return self.proj_in_conv.weight

    @property
    def blocks(self) -> list[AceStepTransformerBlock]:
        """The transformer blocks in order."""
        return [cast(AceStepTransformerBlock, block) for block in self.layers]

    @torch.inference_mode()
    def condition(self, states: Tensor) -> Condition:
        """Keys and values for encoder states [B, L, H_enc]; L = 1 stands for a constant condition of any length."""
        embedded = self.condition_embedder(states.to(self.like))
        layers = tuple(cache_layer(block.cross_attn, embedded) for block in self.blocks)
        return Condition(layers, states.shape[1], _embed(self.time_embed_r, torch.zeros(1, device=self.like.device)))

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
        gap = conditions[0].no_gap if r is None else _embed(self.time_embed_r, times - r.to(times).reshape(-1))
        embedding, modulation = self._embed_times(times, gap, x.shape[0], copies)
        hidden = self._patchify(x, context).repeat(copies, 1, 1)
        run = run_block if probe is not None else self.quicker_block or run_block
        rope = rotary(hidden.shape[1], self.head_dim, self.rope_theta, hidden.device, hidden.dtype)
        for index, block in enumerate(self.blocks):
            cached = [condition.layers[index] for condition in conditions]
            hidden = run(block, hidden, rope, modulation, cached, None if probe is None else (probe, index))
        out = self._unpatchify(hidden, embedding, x.shape[1])
        return list(out.float().chunk(copies))

    def _embed_times(self, times: Tensor, gap: tuple[Tensor, Tensor], batch: int, copies: int) -> tuple[Tensor, Tensor]:
        """AdaLN inputs [b, H] and [b, 6, H] of the two time embeddings' sum; b is 1 where all items share a time."""
        embedding, modulation = (time + more for time, more in zip(_embed(self.time_embed, times), gap, strict=True))
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
        hidden = (normalise(self.norm_out, hidden) * (1 + scale) + shift).type_as(hidden)
        weight = self.proj_out_conv.weight.permute(2, 1, 0)
        patches = functional.linear(hidden, weight.flatten(0, 1)).unflatten(2, (self.patch_size, -1))
        return (patches + self.proj_out_conv.bias).flatten(1, 2)[:, :frames]


def _embed(module: AceStepTimestepEmbedding, times: Tensor) -> tuple[Tensor, Tensor]:
    """One time embedding: the sinusoid in float32, the rest in the weights' dtype."""
    waves = module.time_sinusoid(times * module.scale).to(module.linear_1.weight.dtype)
    embedding = module.linear_2(module.act1(module.linear_1(waves)))
    return embedding, module.time_proj(module.act2(embedding)).unflatten(1, (6, -1))


def run_block(
    block: AceStepTransformerBlock,
    hidden: Tensor,
    rope: Rotary,
    modulation: Tensor,
    cached: Sequence[LayerCondition],
    probe: tuple[Probe, int] | None,
) -> Tensor:
    """One block on ``len(cached)`` groups of items, each under its own condition; everything else is shared."""
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (block.scale_shift_table + modulation).chunk(6, dim=1)
    normed = (normalise(block.self_attn_norm, hidden) * (1 + scale) + shift).type_as(hidden)
    hidden = (hidden + self_attention(block.self_attn, normed, rope, block.self_attn.sliding_window) * gate).type_as(
        hidden
    )

    normed = normalise(block.cross_attn_norm, hidden)
    groups = normed.chunk(len(cached))
    if probe is not None and probe[1] in probe[0].layers:
        probe[0].weights[probe[1]] = attention_weights(block.cross_attn, groups[0], cached[0])
    attended = [cross_attention(block.cross_attn, group, one) for group, one in zip(groups, cached, strict=True)]
    hidden = hidden + (attended[0] if len(attended) == 1 else torch.cat(attended))

    normed = (normalise(block.mlp_norm, hidden) * (1 + mlp_scale) + mlp_shift).type_as(hidden)
    return (hidden + block.mlp(normed) * mlp_gate).type_as(hidden)
