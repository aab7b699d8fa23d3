"""The text encoder: Qwen3 without a head, one unpadded text at a time, under the names that its publisher gives the weights.

transformers' class would do the same; importing it takes longer than the embedded model needs for a song.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.networks.attention import Rotary, rotary, rotate, split_heads
from acestep.networks.layers import Embedding, GatedMlp, Linear, RmsNorm, Sizes


class CausalAttention(nn.Module):
    """Grouped-query attention over what came before, with normalised queries and keys."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        width, bias = sizes.hidden_size, sizes.attention_bias
        self.heads, self.kv_heads = sizes.num_attention_heads, sizes.num_key_value_heads
        self.q_proj = Linear(width, self.heads * sizes.head_dim, bias=bias)
        self.k_proj = Linear(width, self.kv_heads * sizes.head_dim, bias=bias)
        self.v_proj = Linear(width, self.kv_heads * sizes.head_dim, bias=bias)
        self.o_proj = Linear(self.heads * sizes.head_dim, width, bias=bias)
        self.q_norm = RmsNorm(sizes.head_dim, sizes.rms_norm_eps)
        self.k_norm = RmsNorm(sizes.head_dim, sizes.rms_norm_eps)

    def forward(self, x: Tensor, rope: Rotary) -> Tensor:
        """[B, L, H] -> [B, L, H]."""
        query = rotate(self.q_norm(split_heads(self.q_proj(x), self.heads)), rope)
        key = rotate(self.k_norm(split_heads(self.k_proj(x), self.kv_heads)), rope)
        value = split_heads(self.v_proj(x), self.kv_heads)
        grouped = self.heads != self.kv_heads
        out = functional.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=grouped)
        return self.o_proj(out.transpose(1, 2).flatten(2))


class TextLayer(nn.Module):
    """Attention and MLP, each behind a norm and beside a residual."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.self_attn = CausalAttention(sizes)
        self.mlp = GatedMlp(sizes.hidden_size, sizes.intermediate_size)
        self.input_layernorm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)

    def forward(self, x: Tensor, rope: Rotary) -> Tensor:
        """[B, L, H] -> [B, L, H]."""
        x = x + self.self_attn(self.input_layernorm(x), rope)
        return x + self.mlp(self.post_attention_layernorm(x))


class TextEncoder(nn.Module):
    """Token ids [B, L], unpadded -> hidden states [B, L, D]."""

    def __init__(self, vocabulary: int, layers: int, sizes: Sizes) -> None:
        super().__init__()
        self.embed_tokens = Embedding(vocabulary, sizes.hidden_size)
        self.layers = nn.ModuleList(TextLayer(sizes) for _ in range(layers))
        self.norm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)
        self.rope = sizes.head_dim, sizes.rope_theta

    @property
    def device(self) -> torch.device:
        """Where it works."""
        return self.embed_tokens.weight.device

    def forward(self, ids: Tensor) -> Tensor:
        """The last layer's states behind the final norm."""
        return self.states(self.embed_tokens(ids).to(self.norm.weight.dtype))

    def states(self, x: Tensor) -> Tensor:
        """Embedded tokens [B, L, D] -> hidden states [B, L, D]."""
        rope = rotary(x.shape[1], *self.rope, x.device, x.dtype)
        for layer in self.layers:
            x = layer(x, rope)
        return self.norm(x)
