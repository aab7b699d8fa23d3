"""The small transformer that lyric encoder, timbre encoder, pooler and detokenizer share."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from acestep.networks.attention import Rotary, rotary, self_attention
from acestep.networks.layers import Attention, GatedMlp, Linear, RmsNorm, Sizes


class EncoderLayer(nn.Module):
    """Self-attention and MLP, each behind a norm and beside a residual."""

    def __init__(self, sizes: Sizes, window: int | None) -> None:
        super().__init__()
        self.self_attn = Attention(sizes, window)
        self.input_layernorm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)
        self.post_attention_layernorm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)
        self.mlp = GatedMlp(sizes.hidden_size, sizes.intermediate_size)

    def forward(self, x: Tensor, rope: Rotary, seen: Tensor | None) -> Tensor:
        """[B, L, H] -> [B, L, H]; ``seen``: see `Encoder.transform`."""
        window = self.self_attn.sliding_window
        x = x + self_attention(self.self_attn, self.input_layernorm(x), rope, window, seen)
        return x + self.mlp(self.post_attention_layernorm(x))


class Encoder(nn.Module):
    """A linear layer in (``embed_tokens``, from ``inputs`` numbers), ``layers`` encoder layers, a norm out."""

    def __init__(self, inputs: int, layers: int, layer_types: Sequence[str] | None, sizes: Sizes) -> None:
        super().__init__()
        self.embed_tokens = Linear(inputs, sizes.hidden_size)
        self.norm = RmsNorm(sizes.hidden_size, sizes.rms_norm_eps)
        self.layers = nn.ModuleList(EncoderLayer(sizes, window) for window in sizes.windows(layers, layer_types))
        self.rope = sizes.head_dim, sizes.rope_theta

    def transform(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Embedded tokens [B, L, H] through layers and norm; ``seen`` [B, L] is False at padding (None: nothing is padding)."""
        rope = rotary(x.shape[1], *self.rope, x.device, x.dtype)
        for layer in self.layers:
            x = layer(x, rope, seen)
        return self.norm(x)
