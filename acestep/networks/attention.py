"""Attention: banded self-attention, and cross-attention over cached keys and values.

Shapes: hidden states [B, N, H] with N patches, heads as [B, h, N, D]. Grouped queries share keys (16:8 in the 2B models).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from acestep.networks.layers import Attention

DENSE_LIMIT = 768
"""Patches up to which a dense band mask is cheaper than cutting the sequence into blocks (61 s of audio)."""


@dataclass(frozen=True)
class Rotary:
    """Cosines and sines [N, D] of the rotary position embedding (Qwen3 layout: halves, not pairs)."""

    cos: Tensor
    sin: Tensor


@lru_cache(maxsize=8)
def rotary(length: int, head_dim: int, theta: float, device: torch.device, dtype: torch.dtype) -> Rotary:
    """The embedding of positions 0 to ``length - 1``; computed in float32, the same for every step of a run."""
    exponents = torch.arange(0, head_dim, 2, device=device, dtype=torch.float32) / head_dim
    angles = torch.outer(torch.arange(length, device=device, dtype=torch.float32), 1.0 / (theta**exponents))
    angles = torch.cat([angles, angles], dim=-1)
    return Rotary(angles.cos().to(dtype), angles.sin().to(dtype))


def rotate(x: Tensor, rope: Rotary) -> Tensor:
    """``x`` [B, h, N, D] turned by its positions."""
    first, second = x.chunk(2, dim=-1)
    return x * rope.cos + torch.cat([-second, first], dim=-1) * rope.sin


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, h * D] -> [B, h, N, D]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def query_heads(layer: Attention, x: Tensor) -> Tensor:
    """Normalised queries [B, h, N, D] of [B, N, H]."""
    return layer.norm_q(split_heads(layer.to_q(x), layer.heads))


def key_heads(layer: Attention, x: Tensor) -> Tensor:
    """Normalised keys [B, h_kv, L, D] of [B, L, H]."""
    return layer.norm_k(split_heads(layer.to_k(x), layer.kv_heads))


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention with grouped keys; [B, h, N, D] -> [B, h, N, D]."""
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, enable_gqa=query.shape[1] != key.shape[1]
    )


def self_attention(layer: Attention, x: Tensor, rope: Rotary, window: int | None, seen: Tensor | None = None) -> Tensor:
    """Self-attention of one block; ``window`` keeps ``|i - j| <= window`` patches, None keeps all. ``seen`` [B, N] is False where
    a batch is padded."""
    query = rotate(query_heads(layer, x), rope)
    key = rotate(key_heads(layer, x), rope)
    value = split_heads(layer.to_v(x), layer.kv_heads)
    length = x.shape[1]
    if seen is not None:
        band = band_mask(length, length if window is None else window, x.device) & seen[:, None, None]
        # the lowest number instead of False: padding that sees nothing but padding averages all of it, as in the original
        weights = torch.zeros(band.shape, dtype=x.dtype, device=x.device).masked_fill(~band, torch.finfo(x.dtype).min)
        out = attend(query, key, value, weights)
    elif window is None or length <= window + 1:
        out = attend(query, key, value)
    elif length <= max(DENSE_LIMIT, 2 * window):
        out = attend(query, key, value, band_mask(length, window, x.device))
    else:
        out = banded_attention(query, key, value, window)
    return layer.to_out[0](out.transpose(1, 2).flatten(2))


@lru_cache(maxsize=8)
def band_mask(length: int, window: int, device: torch.device) -> Tensor:
    """Boolean [N, N]: True where ``|i - j| <= window``."""
    positions = torch.arange(length, device=device)
    return (positions[:, None] - positions[None, :]).abs() <= window


def banded_attention(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """The same result as a dense band mask with memory and time linear in N.

    The queries are cut into blocks of ``2 * window``; each block sees its keys and ``window`` more on either side.
    """
    batch, _, length, _ = query.shape
    block = 2 * window
    count = -(-length // block)
    tail = count * block - length
    queries = functional.pad(query, (0, 0, 0, tail)).unflatten(2, (count, block))
    keys, values = (_windows(x, window, tail, block) for x in (key, value))
    mask = block_mask(length, window, query.device)
    if batch == 1:  # the blocks themselves are the batch
        first = [x[0].transpose(0, 1) for x in (queries, keys, values)]
        blocks = attend(first[0], first[1], first[2], mask[:, None])
        return blocks.transpose(0, 1).flatten(1, 2)[None, :, :length]
    out = [attend(queries[:, :, i], keys[:, :, i], values[:, :, i], mask[i]) for i in range(count)]
    return torch.cat(out, dim=2)[:, :, :length]


def _windows(x: Tensor, window: int, tail: int, block: int) -> Tensor:
    """[B, h, N, D] -> overlapping [B, h, blocks, block + 2 window, D], zeros beyond the ends."""
    padded = functional.pad(x, (0, 0, window, window + tail))
    return padded.unfold(2, block + 2 * window, block).transpose(-1, -2)


@lru_cache(maxsize=8)
def block_mask(length: int, window: int, device: torch.device) -> Tensor:
    """Boolean [blocks, block, block + 2 window] for `banded_attention`: inside the band and inside the sequence."""
    block = 2 * window
    count = -(-length // block)
    rows = torch.arange(count * block, device=device).view(count, block, 1)
    columns = torch.arange(count, device=device).view(-1, 1, 1) * block - window
    columns = columns + torch.arange(block + 2 * window, device=device)
    inside = (columns >= 0) & (columns < length)
    return ((rows - columns).abs() <= window) & (inside | (rows >= length))


@dataclass(frozen=True)
class KeyValues:
    """What one layer's cross-attention needs of the condition: keys and values [B, h, L, D]."""

    key: Tensor
    value: Tensor


@dataclass(frozen=True)
class Constant:
    """The output [1, 1, H] of cross-attention over a condition that is the same at every position, whatever the query."""

    output: Tensor


LayerCondition = KeyValues | Constant


def cache_layer(layer: Attention, condition: Tensor) -> LayerCondition:
    """Keys and values of an embedded condition [B, L, H]; a single position gives the constant form.

    Softmax over one key (or over equal keys) is 1, so the output is the value itself.
    """
    value = split_heads(layer.to_v(condition), layer.kv_heads)
    if condition.shape[1] == 1:
        spread = value.repeat_interleave(layer.heads // layer.kv_heads, dim=1)
        return Constant(layer.to_out[0](spread.transpose(1, 2).flatten(2)))
    return KeyValues(key_heads(layer, condition), value)


def cross_attention(layer: Attention, x: Tensor, condition: LayerCondition) -> Tensor:
    """Cross-attention of ``x`` [B, N, H] over a cached condition; no rotation, no mask, as the model was trained."""
    if isinstance(condition, Constant):
        return condition.output.expand_as(x)
    out = attend(query_heads(layer, x), _spread(condition.key, x.shape[0]), _spread(condition.value, x.shape[0]))
    return layer.to_out[0](out.transpose(1, 2).flatten(2))


def attention_weights(layer: Attention, x: Tensor, condition: LayerCondition) -> Tensor:
    """Probabilities [B, h, N, L] of a cross-attention over its condition tokens, in float32 (lyric alignment reads them)."""
    if isinstance(condition, Constant):
        raise ValueError("a constant condition has one position; there is nothing to weigh")
    query = query_heads(layer, x).float()
    key = condition.key.repeat_interleave(layer.heads // layer.kv_heads, dim=1).float()
    return torch.softmax(query @ key.transpose(-1, -2) * layer.head_dim**-0.5, dim=-1)


def _spread(part: Tensor, batch: int) -> Tensor:
    return part if part.shape[0] == batch else part.expand(batch, *part.shape[1:])
