"""The condition encoder: text, lyrics and timbre -> the packed tokens that the DiT attends to.

diffusers' module with two changes. The timbre token of XL checkpoints is the output of a learned token put in front of the frames
(diffusers always takes the first frame, which is right for 2B only). The silence latent is no part of it: it is kept once, beside
the model, in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.pipelines.ace_step.modeling_ace_step import AceStepConditionEncoder, AceStepTimbreEncoder
from torch import Tensor

TIMBRE_SIZES = (
    "hidden_size intermediate_size timbre_hidden_dim num_timbre_encoder_hidden_layers num_attention_heads num_key_value_heads "
    "head_dim rope_theta attention_bias attention_dropout rms_norm_eps sliding_window"
).split()
"""Sizes that the timbre encoder shares with the whole condition encoder."""


class TimbreEncoder(AceStepTimbreEncoder):
    """Reference latents [N, T, 64] -> one token each: the learned token's output (``leading``) or the first frame's."""

    def __init__(self, *, leading: bool, **sizes: Any) -> None:
        super().__init__(**sizes)
        if leading:
            # The first linear layer runs before the token is put in front, so its output is what gets longer.
            self.embed_tokens.register_forward_hook(self._lead)

    def _lead(self, _module: torch.nn.Module, _inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor:
        token = self.special_token.to(embedded).expand(embedded.shape[0], -1, -1)
        return torch.cat([token, embedded], dim=1)


class ConditionEncoder(AceStepConditionEncoder):
    """`encode` gives the packed condition of one item; ``null_condition_emb`` [1, 1, H] is the unconditional one."""

    def __init__(self, *, leading_timbre_token: bool = False, **sizes: Any) -> None:
        super().__init__(**sizes)
        del self.silence_latent
        shared = {name: self.config[name] for name in TIMBRE_SIZES}
        self.timbre_encoder = TimbreEncoder(leading=leading_timbre_token, **shared)

    @torch.inference_mode()
    def encode(self, text: Tensor, lyric: Tensor, timbre: Tensor) -> Tensor:
        """Text states [1, L_t, D], lyric embeddings [1, L_l, D] and reference latents [n, 750, 64] of one item, unpadded.

        Returns [1, L_l + n + L_t, H]: lyrics first (lyric alignment relies on it), then timbre, then text.
        """
        like = self.text_projector.weight
        text, lyric, timbre = (part.to(like.device, like.dtype) for part in (text, lyric, timbre))
        order = torch.zeros(timbre.shape[0], dtype=torch.long, device=like.device)
        masks = [torch.ones(part.shape[:2], dtype=torch.long, device=like.device) for part in (text, lyric)]
        hidden, _ = self(text, masks[0], lyric, masks[1], timbre, order)
        return hidden
