"""The nano networks: the same classes as the full model, at a size that trains on two cores.

All attention layers slide over 10 s: training crops are that long, and longer songs then meet no unseen distance.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.transformers.ace_step_transformer import AceStepTransformer1DModel
from diffusers.pipelines.ace_step.modeling_ace_step import (
    AceStepAudioTokenDetokenizer,
    AceStepAudioTokenizer,
    AceStepConditionEncoder,
)
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3Model

from acestep.training.masks import MaskedAttention

HIDDEN, TEXT_HIDDEN, LAYERS, HEADS = 256, 128, 6, 4
TIMBRE_REACH = 129  # one sliding layer: the pooled first position sees itself and 128 more frames

ATTENTION: dict[str, Any] = {
    "hidden_size": HIDDEN, "intermediate_size": 3 * HIDDEN, "num_attention_heads": HEADS, "num_key_value_heads": HEADS // 2,
    "head_dim": 64, "rope_theta": 10_000.0, "attention_bias": False, "attention_dropout": 0.0, "rms_norm_eps": 1e-6,
    "sliding_window": 128,
}  # fmt: skip

CONFIG: dict[str, Any] = ATTENTION | {
    # the published keys of a DiT folder's config.json
    "vocab_size": 64003, "fsq_dim": HIDDEN, "fsq_input_levels": [8, 8, 8, 5, 5, 5], "fsq_input_num_quantizers": 1,
    "num_hidden_layers": LAYERS, "hidden_act": "silu", "max_position_embeddings": 32768, "use_sliding_window": True,
    "layer_types": ["sliding_attention"] * LAYERS, "num_lyric_encoder_hidden_layers": 1,
    "num_timbre_encoder_hidden_layers": 1, "num_attention_pooler_hidden_layers": 1, "num_audio_decoder_hidden_layers": 1,
    "audio_acoustic_hidden_dim": 64, "pool_window_size": 5, "text_hidden_dim": TEXT_HIDDEN, "in_channels": 192,
    "patch_size": 2, "timbre_hidden_dim": 64, "timbre_fix_frame": 750, "data_proportion": 0.5, "timestep_mu": 0.8,
    "timestep_sigma": 1.0, "model_version": "nano", "is_turbo": False,
}  # fmt: skip


class NanoModel(nn.Module):
    """Everything that is trained jointly on latents [B, T, 64]."""

    def __init__(self) -> None:
        super().__init__()
        sizes = ATTENTION | {"layer_types": ["sliding_attention"]}
        pooling = {"num_attention_pooler_hidden_layers": CONFIG["num_attention_pooler_hidden_layers"]}
        self.text_encoder = Qwen3Model(Qwen3Config(
            vocab_size=2048, hidden_size=TEXT_HIDDEN, intermediate_size=3 * TEXT_HIDDEN, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=32, max_position_embeddings=4096,
            attn_implementation="sdpa",  # type: ignore[call-arg] # read by the base class
            bos_token_id=0, eos_token_id=0, pad_token_id=None))  # fmt: skip
        self.condition_encoder = AceStepConditionEncoder(
            **sizes, text_hidden_dim=TEXT_HIDDEN, num_lyric_encoder_hidden_layers=1, num_timbre_encoder_hidden_layers=1
        )
        self.transformer = AceStepTransformer1DModel(
            **ATTENTION,
            num_hidden_layers=LAYERS,
            layer_types=CONFIG["layer_types"],
            is_turbo=False,
            model_version="nano",
        )
        self.tokenizer = AceStepAudioTokenizer(**sizes, **pooling, fsq_dim=HIDDEN)
        self.detokenizer = AceStepAudioTokenDetokenizer(**sizes, **pooling)
        nn.init.zeros_(self.transformer.proj_out_conv.weight)
        del self.condition_encoder.silence_latent  # shipped as a file of its own
        self._cross_attention = MaskedAttention()
        for layer in self.transformer.layers:
            layer.cross_attn.set_processor(self._cross_attention)
        quantize = self.tokenizer.quantizer._quantize
        self.tokenizer.quantizer._quantize = lambda x: x + (quantize(x) - x).detach()  # straight-through rounding

    @property
    def device(self) -> torch.device:
        return self.condition_encoder.null_condition_emb.device

    def read(self, text: dict[str, Tensor]) -> Tensor:
        """Tokenised prompts -> the tokens' states [B, L, H] as cross-attention meets them."""
        return self.condition_encoder.text_projector(self.text_encoder(input_ids=text["input_ids"]).last_hidden_state)

    def condition(self, text: dict[str, Tensor], lyrics: dict[str, Tensor], references: Tensor, rows: Tensor
                  ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Tokenised prompts, reference latents [N, 129, 64] and each item's row -> hidden [B, L, H] and its mask.

        Cross-attention has no positions, so the order of the tokens does not matter and none is packed here.
        """
        encoder = self.condition_encoder
        text_hidden = self.read(text)
        lyric_hidden = encoder.lyric_encoder(
            self.text_encoder.embed_tokens(lyrics["input_ids"]), lyrics["attention_mask"]
        )
        timbre, _ = encoder.timbre_encoder(references, torch.arange(len(references), device=self.device))
        timbre_hidden = timbre.flatten(0, 1)[rows][:, None]
        mask = torch.cat([lyrics["attention_mask"], torch.ones_like(rows)[:, None], text["attention_mask"]], 1)
        return torch.cat([lyric_hidden, timbre_hidden, text_hidden], 1), mask.bool()

    def velocity(self, noisy: Tensor, time: Tensor, hidden: Tensor, mask: Tensor, context: Tensor) -> Tensor:
        """[B, T, 64] at time [B] with context [B, T, 128] -> noise minus data."""
        self._cross_attention.mask = None if mask.all() else mask[:, None, None, :]
        return self.transformer(noisy, time, time, hidden, context, return_dict=False)[0]

    def through_bottleneck(self, latents: Tensor) -> Tensor:
        """[B, T, 64] with T a multiple of 5 -> the same music as far as 5 Hz codes carry it."""
        return self.detokenizer(self.tokenizer.tokenize(latents)[0])
