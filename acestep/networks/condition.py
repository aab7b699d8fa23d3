"""The condition encoder: text, lyrics and timbre -> the packed tokens that the DiT attends to.

The timbre token of XL checkpoints is the output of a learned token put in front of the frames; 2B takes the first frame's.
(diffusers always takes the first frame.) The silence latent is no part of it: it is kept once, beside the model, in float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from acestep.networks.encoder import Encoder
from acestep.networks.layers import Linear, Sizes


class LyricEncoder(Encoder):
    """Embeddings of lyric tokens [B, L, D] -> [B, L, H]."""

    def forward(self, embedded: Tensor, seen: Tensor | None = None) -> Tensor:
        """``seen`` [B, L] is 0 at padding; None where there is none."""
        return self.transform(self.embed_tokens(embedded), None if seen is None else seen.bool())


class TimbreEncoder(Encoder):
    """Reference latents [N, T, 64] -> one token each: the learned token's output (``leading``) or the first frame's."""

    def __init__(
        self, inputs: int, layers: int, layer_types: Sequence[str] | None, sizes: Sizes, *, leading: bool
    ) -> None:
        super().__init__(inputs, layers, layer_types, sizes)
        self.special_token = nn.Parameter(torch.randn(1, 1, sizes.hidden_size))
        self._leading = leading

    def forward(self, references: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, n, H] and which of them are there [B, n], from all items' references and the item [N] of each."""
        tokens = self.tokens(references)
        items = [tokens[order == item] for item in range(int(order.max()) + 1)]
        counts = torch.tensor([len(item) for item in items], device=tokens.device)
        packed = pad_sequence(items, batch_first=True)
        return packed, (torch.arange(packed.shape[1], device=tokens.device) < counts[:, None]).long()

    def tokens(self, references: Tensor) -> Tensor:
        """[N, T, 64] -> [N, H]."""
        return self.transform(self.led(self.embed_tokens(references)))[:, 0]

    def led(self, x: Tensor) -> Tensor:
        """Embedded references [N, T, H], behind the learned token where there is one."""
        return torch.cat([self.special_token.to(x).expand(x.shape[0], -1, -1), x], dim=1) if self._leading else x


class ConditionEncoder(nn.Module):
    """`encode` gives the packed condition of one item; ``null_condition_emb`` [1, 1, H] is the unconditional one."""

    def __init__(
        self,
        *,
        text_hidden_dim: int = 1024,
        timbre_hidden_dim: int = 64,
        num_lyric_encoder_hidden_layers: int = 8,
        num_timbre_encoder_hidden_layers: int = 4,
        layer_types: Sequence[str] | None = None,
        leading_timbre_token: bool = False,
        **sizes: Any,
    ) -> None:
        super().__init__()
        shared = Sizes(**sizes)
        lyric, timbre = num_lyric_encoder_hidden_layers, num_timbre_encoder_hidden_layers
        self.text_projector = Linear(text_hidden_dim, shared.hidden_size, bias=False)
        self.lyric_encoder = LyricEncoder(text_hidden_dim, lyric, layer_types, shared)
        self.timbre_encoder = TimbreEncoder(timbre_hidden_dim, timbre, None, shared, leading=leading_timbre_token)
        self.null_condition_emb = nn.Parameter(torch.randn(1, 1, shared.hidden_size))

    def forward(
        self, text: Tensor, text_mask: Tensor, lyric: Tensor, lyric_mask: Tensor, timbre: Tensor, order: Tensor
    ) -> tuple[Tensor, Tensor]:
        """A padded batch: hidden states [B, L, H] with all that is there first, and which that is [B, L]. ``order`` [N] names the
        item of each reference."""
        found = self.lyric_encoder(lyric, lyric_mask), lyric_mask
        packed = _pack(found, self.timbre_encoder(timbre, order))
        return _pack(packed, (self.text_projector(text), text_mask))

    @torch.inference_mode()
    def encode(self, text: Tensor, lyric: Tensor, timbre: Tensor) -> Tensor:
        """Text states [1, L_t, D], lyric embeddings [1, L_l, D] and reference latents [n, 750, 64] of one item, unpadded.

        Returns [1, L_l + n + L_t, H]: lyrics first (lyric alignment relies on it), then timbre, then text.
        """
        like = self.null_condition_emb
        text, lyric, timbre = (part.to(like.device, like.dtype) for part in (text, lyric, timbre))
        tokens = self.timbre_encoder.tokens(timbre)[None]
        return torch.cat([self.lyric_encoder(lyric), tokens, self.text_projector(text)], dim=1)


def _pack(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Two padded sequences [B, L, H] with their masks [B, L] as one, its padding at the end."""
    hidden, mask = (torch.cat(pair, dim=1) for pair in zip(first, second, strict=True))
    places = mask.argsort(dim=1, descending=True, stable=True)
    packed = hidden.gather(1, places[..., None].expand_as(hidden))
    return packed, torch.arange(mask.shape[1], device=mask.device) < mask.sum(1, keepdim=True)
