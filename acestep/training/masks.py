"""Attention that does not see padding: a batch of songs of different lengths then gives what each song gives alone.

Inference runs item by item and has no padding, so only training needs this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.transformers.ace_step_transformer import (
    AceStepAttention,
    AceStepAttnProcessor2_0,
    AceStepTransformer1DModel,
)
from torch import Tensor


class MaskedAttention(AceStepAttnProcessor2_0):
    """``mask`` [B, 1, 1, keys]: which keys may be seen; None for all. A mask of the layer's own (its window) holds besides."""

    mask: Tensor | None = None

    def __call__(
        self,
        attn: AceStepAttention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        seen = self.mask
        if seen is not None and attention_mask is not None:
            seen = attention_mask.masked_fill(~seen, torch.finfo(attention_mask.dtype).min)
        return super().__call__(
            attn, hidden_states, encoder_hidden_states, attention_mask if seen is None else seen, image_rotary_emb
        )


@dataclass(frozen=True)
class Lengths:
    """True lengths of a batch's items, and the one that all are padded to."""

    true: tuple[int, ...]
    padded: int


class Padding:
    """Tells all attention of a transformer which frames and tokens of a batch are padding."""

    def __init__(self, network: AceStepTransformer1DModel) -> None:
        self._patch = network.patch_size
        self._frames, self._tokens = MaskedAttention(), MaskedAttention()
        blocks: Any = network.layers  # diffusers' types know neither blocks nor processors of others
        for block in blocks:
            block.self_attn.set_processor(self._frames)
            block.cross_attn.set_processor(self._tokens)

    def set(self, frames: Lengths, tokens: Lengths, device: torch.device) -> None:
        """What of a batch is not padding. Holds until the next call, so for the way back, too."""
        patches = Lengths(tuple(-(-count // self._patch) for count in frames.true), -(-frames.padded // self._patch))
        self._frames.mask = _keys(patches, device)
        self._tokens.mask = _keys(tokens, device)

    def clear(self) -> None:
        """Nothing is padding."""
        self._frames.mask = self._tokens.mask = None


def _keys(lengths: Lengths, device: torch.device) -> Tensor | None:
    if min(lengths.true) == lengths.padded:
        return None
    places = torch.arange(lengths.padded, device=device)
    return (places < torch.tensor(lengths.true, device=device)[:, None])[:, None, None, :]
