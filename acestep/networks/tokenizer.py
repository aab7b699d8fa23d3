"""The 25 Hz -> 5 Hz bottleneck: latents to semantic codes and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from acestep.networks.encoder import Encoder
from acestep.networks.layers import Linear, Sizes

LEVELS = (8, 8, 8, 5, 5, 5)
"""Values that each number of a code can take: 64,000 codes."""


class Quantizer(nn.Module):
    """Finite scalar quantisation: states -> six numbers of a few levels each -> one code, and back. In float32 throughout."""

    levels: Tensor  # [K]
    places: Tensor  # [K]: what a level of each number counts in a code

    def __init__(self, width: int, levels: Sequence[int]) -> None:
        super().__init__()
        self.project_in = nn.Linear(width, len(levels))
        self.project_out = nn.Linear(len(levels), width)
        sizes = torch.tensor(list(levels), dtype=torch.long)
        self.register_buffer("levels", sizes, persistent=False)
        self.register_buffer("places", torch.cat([sizes.new_ones(1), sizes[:-1]]).cumprod(0), persistent=False)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """[B, n, H] -> quantised states [B, n, H] and codes [B, n, 1]."""
        steps = self.levels.float() - 1
        bound = 1 + 1 / steps  # half a step beyond the outermost level
        numbers = functional.linear(states.float(), self.project_in.weight.float(), self.project_in.bias.float())
        numbers = ((numbers / bound).tanh() * bound).clamp(-1, 1)
        indices = (steps * (numbers + 1) / 2 + 0.5).floor()
        codes = (indices.long() * self.places).sum(-1, keepdim=True)
        return self._states(indices, states.dtype), codes

    def from_codes(self, codes: Tensor) -> Tensor:
        """Codes [B, n] -> states [B, n, H]."""
        indices = codes.long()[..., None] // self.places % self.levels
        return self._states(indices.float(), self.project_out.weight.dtype)

    def _states(self, indices: Tensor, dtype: torch.dtype) -> Tensor:
        numbers = 2 / (self.levels.float() - 1) * indices - 1
        return functional.linear(numbers, self.project_out.weight.float(), self.project_out.bias.float()).to(dtype)


class AttentionPooler(Encoder):
    """Five frames [B, n, 5, H] -> one state [B, n, H]: the output of a learned token in front of them."""

    def __init__(self, layers: int, layer_types: Sequence[str] | None, sizes: Sizes) -> None:
        super().__init__(sizes.hidden_size, layers, layer_types, sizes)
        self.special_token = nn.Parameter(torch.randn(1, 1, sizes.hidden_size) * 0.02)

    def forward(self, frames: Tensor) -> Tensor:
        x = self.embed_tokens(frames).flatten(0, 1)
        x = torch.cat([self.special_token.to(x).expand(x.shape[0], -1, -1), x], dim=1)
        return self.transform(x)[:, 0].unflatten(0, frames.shape[:2])


class AudioTokenizer(nn.Module):
    """Latents -> codes -> quantised states."""

    def __init__(
        self,
        *,
        audio_acoustic_hidden_dim: int = 64,
        pool_window_size: int = 5,
        fsq_dim: int = 2048,
        fsq_input_levels: Sequence[int] = LEVELS,
        fsq_input_num_quantizers: int = 1,
        num_attention_pooler_hidden_layers: int = 2,
        layer_types: Sequence[str] | None = None,
        **sizes: Any,
    ) -> None:
        super().__init__()
        if fsq_input_num_quantizers != 1:
            raise ValueError(f"{fsq_input_num_quantizers} quantisers; every published model has one")
        shared = Sizes(**sizes)
        self.pool_window_size = pool_window_size
        self.audio_acoustic_proj = Linear(audio_acoustic_hidden_dim, shared.hidden_size)
        self.attention_pooler = AttentionPooler(num_attention_pooler_hidden_layers, layer_types, shared)
        self.quantizer = Quantizer(fsq_dim, fsq_input_levels)

    @torch.inference_mode()
    def quantise(self, latents: Tensor, silence: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, T, 64] -> quantised states [B, ceil(T / 5), H] and codes [B, ceil(T / 5), 1].

        A length that is not a multiple of 5 is filled up with the first frames of the silence latent.
        """
        like = self.attention_pooler.norm.weight
        short = -latents.shape[1] % self.pool_window_size
        filling = silence[:, :short].to(latents).expand(latents.shape[0], -1, -1)
        latents = torch.cat([latents, filling], dim=1).to(like.device, like.dtype)
        return self.quantizer(self.attention_pooler(self.audio_acoustic_proj(self._pooled(latents))))

    def _pooled(self, latents: Tensor) -> Tensor:
        return latents.unflatten(1, (-1, self.pool_window_size))

    @torch.inference_mode()
    def from_codes(self, codes: Tensor) -> Tensor:
        """Codes [B, n] (0 to 63999) -> quantised states [B, n, H]."""
        return self.quantizer.from_codes(codes.to(self.audio_acoustic_proj.weight.device))


class AudioDetokenizer(Encoder):
    """Quantised states -> latents."""

    def __init__(
        self,
        *,
        audio_acoustic_hidden_dim: int = 64,
        pool_window_size: int = 5,
        num_attention_pooler_hidden_layers: int = 2,
        layer_types: Sequence[str] | None = None,
        **sizes: Any,
    ) -> None:
        shared = Sizes(**sizes)
        super().__init__(shared.hidden_size, num_attention_pooler_hidden_layers, layer_types, shared)
        self.special_tokens = nn.Parameter(torch.randn(1, pool_window_size, shared.hidden_size) * 0.02)
        self.proj_out = Linear(shared.hidden_size, audio_acoustic_hidden_dim)

    @torch.inference_mode()
    def expand(self, quantised: Tensor) -> Tensor:
        """States [B, n, H] -> float32 latents [B, 5 n, 64]."""
        like = self.norm.weight
        states = self.embed_tokens(quantised.to(like.device, like.dtype))
        frames = (states[:, :, None] + self.special_tokens.to(states)).flatten(0, 1)
        latents = self.proj_out(self.transform(frames)).float()
        return latents.unflatten(0, quantised.shape[:2]).flatten(1, 2)
