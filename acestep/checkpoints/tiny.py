"""A tiny random checkpoint in the published layout: everything of a real one except the training. Its sound is noise.

Built from a fixed seed in about a second, with its own tokenizer, so tests and first runs need no download. Its config says
``trained: false``, so every result can say so too.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn

from acestep.checkpoints.architecture import COMPONENT_CLASSES, build_codec, build_component, build_text_encoder
from acestep.checkpoints.layout import SILENCE, TEXT_ENCODER, VAE, Parts
from acestep.checkpoints.mapping import to_original

FOLDER = "acestep-v15-tiny"
SILENCE_FRAMES = 15_000

DIT_CONFIG: dict[str, Any] = {
    "architectures": ["AceStepConditionGenerationModel"],
    "model_type": "acestep",
    "model_version": "tiny",
    "trained": False,
    "is_turbo": False,
    "vocab_size": 64003,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "hidden_act": "silu",
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "use_sliding_window": True,
    "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "num_lyric_encoder_hidden_layers": 2,
    "num_timbre_encoder_hidden_layers": 2,
    "num_attention_pooler_hidden_layers": 2,
    "num_audio_decoder_hidden_layers": 4,
    "audio_acoustic_hidden_dim": 64,
    "pool_window_size": 5,
    "text_hidden_dim": 32,
    "in_channels": 192,
    "patch_size": 2,
    "timbre_hidden_dim": 64,
    "timbre_fix_frame": 750,
    "fsq_dim": 64,
    "fsq_input_levels": [8, 8, 8, 5, 5, 5],
    "fsq_input_num_quantizers": 1,
}

XL_SIZES = {"hidden_size": 96, "intermediate_size": 160, "num_attention_heads": 8, "encoder_hidden_size": 64,
            "encoder_intermediate_size": 128, "encoder_num_attention_heads": 4, "encoder_num_key_value_heads": 2}  # fmt: skip
"""What an XL config adds: a DiT wider than its encoders."""

CODEC_CONFIGS: dict[str, dict[str, Any]] = {
    "NanoCodec": {
        "latent_channels": 64,
        "encoder_width": 32,
        "encoder_blocks": 1,
        "decoder_width": 32,
        "decoder_blocks": 1,
        "subframe_width": 32,
        "subframe_blocks": 1,
    },
    "AutoencoderOobleck": {
        "audio_channels": 2,
        "channel_multiples": [1, 1, 1, 1, 1],
        "decoder_channels": 8,
        "decoder_input_channels": 64,
        "downsampling_ratios": [2, 4, 4, 6, 10],
        "encoder_hidden_size": 128,
        "sampling_rate": 48000,
    },
}
"""Codecs of a tiny checkpoint. The published class cannot be narrower than 128 channels at the full rate, which takes a CPU seconds
per second of audio; the default is ours, which takes milliseconds."""

TEXT_CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 4096,
    "vocab_size": 512,
    "tie_word_embeddings": True,
    "rope_theta": 1000000,
}

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build_tiny(
    folder: Path,
    *,
    config: dict[str, Any] | None = None,
    name: str = FOLDER,
    codec: str = "NanoCodec",
    salt: str = "tiny/",
) -> Path:
    """Write the checkpoint below ``folder`` and return the path of its DiT folder; parts that exist are left alone.

    ``config`` overrides entries of the DiT's config (a variant's ``model_version``, or `XL_SIZES`); ``codec`` is a key of
    `CODEC_CONFIGS`. Another ``salt`` gives other weights. Safe against two processes doing it at once.
    """
    target = folder / name
    draft = folder / f".{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    draft.mkdir(parents=True)
    try:
        write_transformer(draft, {**DIT_CONFIG, **(config or {})}, salt)
        _publish(draft, target)
        draft.mkdir()
        write_codec(draft, codec, salt)
        _publish(draft, folder / VAE)
        draft.mkdir()
        write_text_encoder(draft, salt)
        _publish(draft, folder / TEXT_ENCODER)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def _publish(draft: Path, target: Path) -> None:
    """Put a finished folder in its place in one move, unless somebody was quicker."""
    try:
        draft.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(draft, ignore_errors=True)


def write_transformer(folder: Path, config: dict[str, Any], salt: str) -> None:
    """``config.json``, ``model.safetensors`` under the original names, and the silence latent."""
    _write_json(folder / "config.json", config)
    parts = Parts(diffusers=False, silence=None, **dict.fromkeys(_PART_NAMES, folder))
    tensors = {}
    for component in COMPONENT_CLASSES:
        for name, tensor in build_component(component, parts).state_dict().items():
            original = to_original(component, name)
            tensors[original] = random_tensor(original, tensor.shape, salt)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    silence = 0.5 * random_tensor("silence", (1, 64, 1), salt) + 0.05 * random_tensor(
        "hiss", (1, 64, SILENCE_FRAMES), salt
    )
    torch.save(silence, folder / SILENCE)


_PART_NAMES = (
    "transformer",
    "condition_encoder",
    "audio_tokenizer",
    "audio_detokenizer",
    "vae",
    "text_encoder",
    "text_tokenizer",
)


def write_codec(folder: Path, name: str, salt: str) -> None:
    """A codec of the named class, a few channels wide."""
    _write_json(folder / "config.json", {"_class_name": name, **CODEC_CONFIGS[name]})
    _write_weights(build_codec(folder), folder / "diffusion_pytorch_model.safetensors", salt + "vae/")


def write_text_encoder(folder: Path, salt: str) -> None:
    """A two-layer text encoder and a byte-level tokenizer."""
    _write_json(folder / "config.json", TEXT_CONFIG)
    _write_weights(build_text_encoder(folder), folder / "model.safetensors", salt + "text/")
    write_tokenizer(folder)


def write_tokenizer(folder: Path) -> None:
    """Bytes as tokens, plus the three special tokens that prompts contain."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: index for index, letter in enumerate(alphabet)}, merges=[]))
    split = pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}|[^\p{L}\p{N}]+"), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 4096,
                                                   "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})  # fmt: skip


def _write_weights(module: nn.Module, path: Path, salt: str) -> None:
    tensors = {name: random_tensor(name, tensor.shape, salt) for name, tensor in module.state_dict().items()}
    save_file(tensors, path, metadata={"format": "pt"})


def random_tensor(name: str, shape: tuple[int, ...] | torch.Size, salt: str) -> Tensor:
    """A parameter's value, from its name alone: gains about 1, matrices scaled by their inputs, learned tokens unit."""
    generator = torch.Generator().manual_seed(zlib.crc32((salt + name).encode()))
    noise = torch.randn(tuple(shape), generator=generator)
    leaf = name.rsplit(".", 1)[-1]
    if leaf in ("special_token", "special_tokens", "null_condition_emb", "silence", "hiss"):
        return noise
    if leaf in ("latent_mean", "latent_scale"):
        return torch.full_like(noise, float(leaf == "latent_scale"))
    if leaf == "weight_g" or (leaf == "weight" and len(shape) == 1):
        return 1 + 0.1 * noise
    if len(shape) >= 2 and leaf not in ("alpha", "beta"):
        return noise / max(1, torch.Size(shape[1:]).numel()) ** 0.5
    return 0.1 * noise


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
