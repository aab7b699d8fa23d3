"""The 25 Hz -> 5 Hz bottleneck: latents to semantic codes and back (diffusers' modules, called the way the engine needs)."""

from __future__ import annotations

import torch
from diffusers.pipelines.ace_step.modeling_ace_step import AceStepAudioTokenDetokenizer, AceStepAudioTokenizer
from torch import Tensor


class AudioTokenizer(AceStepAudioTokenizer):
    """Latents -> codes -> quantised states."""

    @torch.inference_mode()
    def quantise(self, latents: Tensor, silence: Tensor) -> tuple[Tensor, Tensor]:
        """Latents [B, T, 64] -> quantised states [B, ceil(T / 5), H] and codes [B, ceil(T / 5), 1].

        A length that is no multiple of 5 is filled up with the first frames of the silence latent.
        """
        like = self.audio_acoustic_proj.weight
        return self.tokenize(latents.to(like.device, like.dtype), silence.to(like.device, like.dtype))

    @torch.inference_mode()
    def from_codes(self, codes: Tensor) -> Tensor:
        """Codes [B, n] (0 to 63999) -> quantised states [B, n, H]."""
        return self.quantizer.get_output_from_indices(codes.to(self.audio_acoustic_proj.weight.device).unsqueeze(-1))


class AudioDetokenizer(AceStepAudioTokenDetokenizer):
    """Quantised states -> latents."""

    @torch.inference_mode()
    def expand(self, quantised: Tensor) -> Tensor:
        """States [B, n, H] -> float32 latents [B, 5 n, 64]."""
        like = self.embed_tokens.weight
        return self(quantised.to(like.device, like.dtype)).float()
