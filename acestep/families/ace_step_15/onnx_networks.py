"""The networks of ACE-Step 1.5 as modules that a graph is recorded from: tensors in, float32 out, any batch and length."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from acestep.networks.attention import Rotary, split_heads
from acestep.networks.condition import ConditionEncoder, TimbreEncoder
from acestep.networks.dit import Dit, DitBlock
from acestep.networks.text_encoder import CausalAttention, TextEncoder, TextLayer
from acestep.networks.tokenizer import AttentionPooler, AudioDetokenizer, AudioTokenizer, Quantizer
from acestep.onnx.traced import attend, causal, cross_attention, positions, rotate, self_attention, transform


class Velocity(nn.Module):
    """One evaluation of the flow, conditions not cached."""

    def __init__(self, dit: Dit) -> None:
        super().__init__()
        self.dit = dit

    def forward(self, latents: Tensor, time: Tensor, partner: Tensor, context: Tensor, condition: Tensor) -> Tensor:
        """[B, T, 64], [B], [B], [B, T, 128], [B, L, D] -> [B, T, 64]."""
        dit, frames = self.dit, latents.shape[1]
        pairs = zip(dit.time_embed(time), dit.time_embed_r(time - partner), strict=True)
        embedding, modulation = (one + more for one, more in pairs)
        hidden = dit._patchify(latents, context)
        rope = positions(hidden, dit.sizes.head_dim, dit.sizes.rope_theta)
        embedded = dit.condition_embedder(condition.to(dit.like))
        for block in dit.blocks:
            hidden = _block(block, hidden, rope, modulation, embedded)
        return dit._unpatchify(hidden, embedding, frames).float()


def _block(block: DitBlock, hidden: Tensor, rope: Rotary, modulation: Tensor, condition: Tensor) -> Tensor:
    """As `acestep.networks.dit.run_block` under one condition."""
    shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = (block.scale_shift_table + modulation).chunk(6, dim=1)
    normed = block.self_attn_norm(hidden) * (1 + scale) + shift
    hidden = hidden + self_attention(block.self_attn, normed, rope, block.self_attn.sliding_window) * gate
    hidden = hidden + cross_attention(block.cross_attn, block.cross_attn_norm(hidden), condition)
    normed = block.mlp_norm(hidden) * (1 + mlp_scale) + mlp_shift
    return hidden + block.mlp(normed) * mlp_gate


class TokenEmbedding(nn.Module):
    """Token ids [B, L] -> embeddings [B, L, D]: the lyric branch reads these, the text encoder makes states of them."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.table = encoder.embed_tokens

    def forward(self, ids: Tensor) -> Tensor:
        return self.table(ids).float()


class TextStates(nn.Module):
    """Embeddings [B, L, D] of unpadded texts -> hidden states [B, L, D]."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        self.layers, self.norm, self.rope = encoder.layers, encoder.norm, encoder.rope

    def forward(self, embedded: Tensor) -> Tensor:
        x = embedded.to(self.norm.weight.dtype)
        rope, mask = positions(x, *self.rope), causal(x.shape[1])
        for layer in (cast(TextLayer, one) for one in self.layers):
            x = x + _causal_attention(layer.self_attn, layer.input_layernorm(x), rope, mask)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.norm(x).float()


def _causal_attention(layer: CausalAttention, x: Tensor, rope: Rotary, mask: Tensor) -> Tensor:
    query = rotate(layer.q_norm(split_heads(layer.q_proj(x), layer.heads)), rope)
    key = rotate(layer.k_norm(split_heads(layer.k_proj(x), layer.kv_heads)), rope)
    return layer.o_proj(attend(query, key, split_heads(layer.v_proj(x), layer.kv_heads), mask))


class ConditionTokens(nn.Module):
    """`ConditionEncoder.encode` for a batch whose items have texts of one length."""

    def __init__(self, encoder: ConditionEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, text: Tensor, lyrics: Tensor, timbre: Tensor) -> Tensor:
        """[B, L_t, D], [B, L_l, D] and references [B, R, F, 64] -> [B, L_l + R + L_t, H]."""
        encoder, dtype = self.encoder, self.encoder.null_condition_emb.dtype
        sung = transform(encoder.lyric_encoder, encoder.lyric_encoder.embed_tokens(lyrics.to(dtype)))
        heard = _timbre(encoder.timbre_encoder, timbre.to(dtype).flatten(0, 1)).unflatten(0, timbre.shape[:2])
        return torch.cat([sung, heard, encoder.text_projector(text.to(dtype))], dim=1).float()


def _timbre(encoder: TimbreEncoder, references: Tensor) -> Tensor:
    """[N, F, 64] -> [N, H]."""
    return transform(encoder, encoder.led(encoder.embed_tokens(references)))[:, 0]


class Codes(nn.Module):
    """Latents [B, 5 n, 64] -> semantic codes [B, n]."""

    def __init__(self, tokenizer: AudioTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, latents: Tensor) -> Tensor:
        tokenizer = self.tokenizer
        window = tokenizer.pool_window_size
        pooled = latents.to(tokenizer.audio_acoustic_proj.weight.dtype).unflatten(1, (-1, window))
        states = _pool(tokenizer.attention_pooler, tokenizer.audio_acoustic_proj(pooled))
        return tokenizer.quantizer(states)[1].squeeze(-1)


def _pool(pooler: AttentionPooler, frames: Tensor) -> Tensor:
    x = pooler.embed_tokens(frames).flatten(0, 1)
    x = torch.cat([pooler.special_token.to(x).expand(x.shape[0], -1, -1), x], dim=1)
    return transform(pooler, x)[:, 0].unflatten(0, frames.shape[:2])


class CodeLatents(nn.Module):
    """Semantic codes [B, n] -> latents [B, 5 n, 64]."""

    def __init__(self, quantizer: Quantizer, detokenizer: AudioDetokenizer) -> None:
        super().__init__()
        self.quantizer, self.detokenizer = quantizer, detokenizer

    def forward(self, codes: Tensor) -> Tensor:
        detokenizer = self.detokenizer
        states = detokenizer.embed_tokens(self.quantizer.from_codes(codes))
        frames = (states[:, :, None] + detokenizer.special_tokens.to(states)).flatten(0, 1)
        latents = detokenizer.proj_out(transform(detokenizer, frames)).float()
        return latents.unflatten(0, codes.shape).flatten(1, 2)
