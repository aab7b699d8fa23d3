"""Attention in the plain operations that every ONNX runtime has, for networks whose own form a graph cannot hold.

The networks choose by length how they compute (no mask, a band, blocks) and keep tables from call to call; a graph is recorded
once for every length, so here it is always the band. The numbers are the same, to rounding. Softmax is in float32 whatever the
weights are in.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from acestep.networks.attention import Rotary, key_heads, query_heads, rotary, rotate, split_heads
from acestep.networks.encoder import Encoder, EncoderLayer
from acestep.networks.layers import Attention

HIDDEN = -1e30
"""Score of a position that is not seen: far below any other, and still a float32."""


def positions(x: Tensor, head_dim: int, theta: float) -> Rotary:
    """The rotary embedding of the N positions of [B, N, H], computed in the graph."""
    whole = rotary.__wrapped__(x.shape[1], head_dim, theta, x.device, torch.float32)
    return Rotary(whole.cos.to(x.dtype), whole.sin.to(x.dtype))


def band(length: int, window: int) -> Tensor:
    """Boolean [N, N]: True where ``|i - j| <= window``."""
    places = torch.arange(length)
    return (places[:, None] - places[None, :]).abs() <= window


def causal(length: int) -> Tensor:
    """Boolean [N, N]: True where ``j <= i``."""
    places = torch.arange(length)
    return places[None, :] <= places[:, None]


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention with grouped keys; [B, h, N, D] -> [B, N, h D]."""
    group = query.shape[1] // key.shape[1]
    if group > 1:
        key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
    scores = ((query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)).float()
    if mask is not None:
        scores = scores.masked_fill(~mask, HIDDEN)
    return (scores.softmax(-1).to(value.dtype) @ value).transpose(1, 2).flatten(2)


def self_attention(layer: Attention, x: Tensor, rope: Rotary, window: int | None) -> Tensor:
    """`acestep.networks.attention.self_attention` without padding; [B, N, H] -> [B, N, H]."""
    query, key = rotate(query_heads(layer, x), rope), rotate(key_heads(layer, x), rope)
    value = split_heads(layer.to_v(x), layer.kv_heads)
    mask = None if window is None else band(x.shape[1], window)
    return layer.to_out[0](attend(query, key, value, mask))


def cross_attention(layer: Attention, x: Tensor, condition: Tensor) -> Tensor:
    """`acestep.networks.attention.cross_attention` over an embedded condition [B, L, H]."""
    value = split_heads(layer.to_v(condition), layer.kv_heads)
    return layer.to_out[0](attend(query_heads(layer, x), key_heads(layer, condition), value))


def transform(encoder: Encoder, x: Tensor) -> Tensor:
    """`Encoder.transform` of embedded tokens [B, L, H] without padding."""
    rope = positions(x, *encoder.rope)
    for layer in (cast(EncoderLayer, one) for one in encoder.layers):
        attention = layer.self_attn
        x = x + self_attention(attention, layer.input_layernorm(x), rope, attention.sliding_window)
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return encoder.norm(x)
