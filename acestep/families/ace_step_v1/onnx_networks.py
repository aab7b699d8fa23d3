"""The networks of ACE-Step v1 as modules that a graph is recorded from: tensors in, float32 out, any batch and length."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.families.ace_step_v1.codec import SCALE, SHIFT
from acestep.families.ace_step_v1.lyric_encoder import WEAK_LAYERS, LyricEncoder, distance_waves
from acestep.families.ace_step_v1.mel import HOP, LOUDEST, SILENCE, WINDOW, LogMel
from acestep.families.ace_step_v1.transformer import WEAK_BLOCKS, Block, CrossAttention, Transformer, rotate_pairs
from acestep.families.ace_step_v1.vocoder import Vocoder
from acestep.networks.attention import Rotary, split_heads
from acestep.onnx.traced import attend, positions


class V1Velocity(nn.Module):
    """One evaluation of the flow; keys and values of the words are computed in it."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, latents: Tensor, time: Tensor, states: Tensor, mask: Tensor, weaken: Tensor) -> Tensor:
        """[B, 8, 16, T], times of 0 to 1000 [B], [B, L, width], [B, L] and [1] -> [B, 8, 16, T]."""
        network, sizes = self.transformer, self.transformer.sizes
        embedding = network.timestep_embedder(time)
        modulation = network.t_block(embedding).unflatten(-1, (6, -1))
        hidden, words = network.proj_in(latents.to(network.like)), states.to(network.like)
        rope, word_rope = (positions(x, sizes.head_width, sizes.rope_theta) for x in (hidden, words))
        seen = (mask > 0.5)[:, None, None]
        for index, block in enumerate(network.transformer_blocks):
            strength = weaken.to(hidden.dtype) if index in WEAK_BLOCKS else 1.0
            hidden = _block(cast(Block, block), hidden, modulation, (rope, word_rope), (words, seen), strength)
        return network.final_layer(hidden, embedding).float()


def _block(
    block: Block,
    x: Tensor,
    modulation: Tensor,
    ropes: tuple[Rotary, Rotary],
    words: tuple[Tensor, Tensor],
    strength: Tensor | float,
) -> Tensor:
    """As `Block.forward`, with the words as they were encoded."""
    shift, scale, gate, ff_shift, ff_scale, ff_gate = (block.scale_shift_table + modulation)[:, :, None].unbind(1)
    x = x + gate * block.attn(_normalised(x) * (1 + scale) + shift, ropes[0])
    x = x + _cross_attention(block.cross_attn, x, ropes, words, strength)
    return x + ff_gate * block.ff(_normalised(x) * (1 + ff_scale) + ff_shift)


def _normalised(x: Tensor) -> Tensor:
    return functional.rms_norm(x, x.shape[-1:], eps=1e-6)


def _cross_attention(
    layer: CrossAttention,
    x: Tensor,
    ropes: tuple[Rotary, Rotary],
    words: tuple[Tensor, Tensor],
    strength: Tensor | float,
) -> Tensor:
    states, seen = words
    query = rotate_pairs(split_heads(layer.to_q(x) * strength, layer.heads), ropes[0])
    key = rotate_pairs(split_heads(layer.to_k(states), layer.heads), ropes[1])
    return layer.to_out[0](attend(query, key, split_heads(layer.to_v(states), layer.heads), seen))


class V1Condition(nn.Module):
    """`Transformer.encode` without a voice: what the transformer is told, and which positions of it count."""

    def __init__(self, transformer: Transformer) -> None:
        super().__init__()
        self.speaker, self.genre = transformer.speaker_embedder, transformer.genre_embedder
        self.table, self.encoder, self.project = (
            transformer.lyric_embs,
            transformer.lyric_encoder,
            transformer.lyric_proj,
        )
        self.speaker_width = transformer.sizes.speaker_width

    def forward(
        self, text: Tensor, text_mask: Tensor, lyrics: Tensor, lyric_mask: Tensor, weaken: Tensor
    ) -> tuple[Tensor, Tensor]:
        """[B, S, 768], [B, S], [B, L], [B, L] and [1] -> [B, 1 + S + L, width], [B, 1 + S + L]."""
        words = text.to(self.genre.weight.dtype)
        voice = self.speaker(words.new_zeros(words.shape[0], 1, self.speaker_width))
        sung = self.project(_encode_lyrics(self.encoder, self.table(lyrics), lyric_mask > 0.5, weaken))
        own = torch.ones_like(text_mask[:, :1])
        states = torch.cat([voice, self.genre(words), sung], dim=1).float()
        return states, torch.cat([own, text_mask, lyric_mask], dim=1)


def _encode_lyrics(encoder: LyricEncoder, x: Tensor, mask: Tensor, weaken: Tensor) -> Tensor:
    """As `LyricEncoder.forward`."""
    waves, allowed = distance_waves.__wrapped__(x.shape[1], x.shape[2], x.device), mask[:, None, None]
    x = encoder.embed(x)
    for index, layer in enumerate(encoder.encoders):
        x = layer(x, allowed, waves, weaken.to(x.dtype) if index in WEAK_LAYERS else 1.0)
    return encoder.after_norm(x)


class V1Text(nn.Module):
    """Token ids [B, S] of unpadded prompts -> UMT5's states [B, S, 768]."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, ids: Tensor) -> Tensor:
        return self.encoder(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state.float()


class V1Encoder(nn.Module):
    """Sound [B, 2, 4096 T] at 44.1 kHz -> latents [B, 8, 16, T]."""

    waves: Tensor  # [2050, 1, 2048]

    def __init__(self, autoencoder: Any, mel: LogMel) -> None:
        super().__init__()
        self.encoder, self.mel = autoencoder.encoder, mel
        time, bins = torch.arange(WINDOW, dtype=torch.float64), torch.arange(WINDOW // 2 + 1, dtype=torch.float64)
        angles = 2 * torch.pi / WINDOW * (bins[:, None] * time % WINDOW)
        waves = torch.cat([angles.cos(), -angles.sin()]) * mel.window.double()
        self.register_buffer("waves", waves[:, None].float())

    def forward(self, audio: Tensor) -> Tensor:
        margin = (WINDOW - HOP) // 2
        flat = functional.pad(audio.flatten(0, 1)[:, None], (margin, margin), mode="reflect")
        real, imaginary = functional.conv1d(flat, self.waves, stride=HOP).transpose(1, 2).chunk(2, dim=-1)
        bands = (real.square() + imaginary.square() + 1e-6).sqrt() @ self.mel.filters
        mel = bands.clamp(min=1e-5).log().transpose(1, 2).unflatten(0, (-1, 2))
        scaled = (mel - SILENCE) / (LOUDEST - SILENCE)
        first = next(self.encoder.parameters())
        return (self.encoder((2 * scaled - 1).to(first.dtype)).float() + SHIFT) * SCALE


class V1Decoder(nn.Module):
    """Latents [B, 8, 16, T] -> sound [B, 2, 4096 T] at 44.1 kHz, by the autoencoder and the vocoder."""

    def __init__(self, autoencoder: Any, vocoder: Vocoder) -> None:
        super().__init__()
        self.decoder, self.vocoder = autoencoder.decoder, vocoder

    def forward(self, latents: Tensor) -> Tensor:
        first = next(self.decoder.parameters())
        mel = self.decoder((latents / SCALE - SHIFT).to(first.dtype)).float()
        loud = (mel + 1) / 2 * (LOUDEST - SILENCE) + SILENCE
        sound = self.vocoder(loud.flatten(0, 1).to(first.dtype)).float()
        return sound.squeeze(1).unflatten(0, (-1, 2))
