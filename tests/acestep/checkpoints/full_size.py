"""The published models at their full sizes as sparse files: every header and length is right, the disk holds next to nothing.

Names and shapes come from the networks that the published sizes build; the byte lengths are checked against the published ones.
"""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import torch

from acestep.checkpoints.architecture import COMPONENT_CLASSES, build_codec, build_component, build_text_encoder
from acestep.checkpoints.layout import Parts
from acestep.checkpoints.mapping import to_original
from acestep.checkpoints.tiny import DIT_CONFIG, write_tokenizer

BYTES = {"F32": 4, "BF16": 2}

SIZES: dict[str, Any] = {
    "trained": True, "model_version": "turbo", "is_turbo": True, "hidden_size": 2048, "intermediate_size": 6144,
    "num_hidden_layers": 24, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "fsq_dim": 2048,
    "layer_types": ["sliding_attention", "full_attention"] * 12, "num_lyric_encoder_hidden_layers": 8,
    "num_timbre_encoder_hidden_layers": 4, "num_audio_decoder_hidden_layers": 24, "text_hidden_dim": 1024,
}  # fmt: skip
"""Of the 2B models."""

XL_SIZES: dict[str, Any] = {
    **SIZES, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 32, "num_attention_heads": 32,
    "layer_types": ["sliding_attention", "full_attention"] * 16, "num_audio_decoder_hidden_layers": 32,
    "encoder_hidden_size": 2048, "encoder_intermediate_size": 6144, "encoder_num_attention_heads": 16,
    "encoder_num_key_value_heads": 8,
}  # fmt: skip

CODEC = {"_class_name": "AutoencoderOobleck", "audio_channels": 2, "channel_multiples": [1, 2, 4, 8, 16],
         "decoder_channels": 128, "decoder_input_channels": 64, "downsampling_ratios": [2, 4, 4, 6, 10],
         "encoder_hidden_size": 128, "sampling_rate": 48000}  # fmt: skip

TEXT = {"model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151669,
        "tie_word_embeddings": True, "rope_theta": 1000000, "max_position_embeddings": 32768}  # fmt: skip


def write_sparse(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str) -> None:
    """A safetensors file of zeros that takes no room."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in shapes.items():
        length = BYTES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + length]}
        offset += length
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)


def write_full_size(root: Path, *, xl: bool = False) -> Path:
    """A bundle with one DiT (2B in bfloat16, or XL in four shards of float32), codec and text encoder; returns the DiT's folder."""
    dit = root / ("acestep-v15-xl-turbo" if xl else "acestep-v15-turbo")
    dit.mkdir(parents=True)
    (dit / "config.json").write_text(json.dumps({**DIT_CONFIG, **(XL_SIZES if xl else SIZES)}))
    torch.save(torch.randn(1, 64, 15_000), dit / "silence_latent.pt")
    _write_networks(dit, xl)
    for name, config, weights in (("vae", CODEC, "diffusion_pytorch_model"), ("Qwen3-Embedding-0.6B", TEXT, "model")):
        folder = root / name
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))
        module = build_codec(folder) if name == "vae" else build_text_encoder(folder)
        shapes = {key: tuple(tensor.shape) for key, tensor in module.state_dict().items()}
        write_sparse(folder / f"{weights}.safetensors", dict(sorted(shapes.items())), "BF16")
    write_tokenizer(root / "Qwen3-Embedding-0.6B")
    return dit


def _write_networks(dit: Path, xl: bool) -> None:
    places = dict.fromkeys(("transformer", "condition_encoder", "audio_tokenizer", "audio_detokenizer", "vae",
                            "text_encoder", "text_tokenizer"), dit)  # fmt: skip
    parts = Parts(diffusers=False, silence=None, **places)
    shapes = {
        to_original(component, name): tuple(tensor.shape)
        for component in COMPONENT_CLASSES
        for name, tensor in build_component(component, parts).state_dict().items()
    }
    if not xl:
        write_sparse(dit / "model.safetensors", dict(sorted(shapes.items())), "BF16")
        return
    names, places = sorted(shapes), {}
    for index in range(4):
        shard = f"model-{index + 1:05d}-of-00004.safetensors"
        own = names[index * len(names) // 4 : (index + 1) * len(names) // 4]
        write_sparse(dit / shard, {name: shapes[name] for name in own}, "F32")
        places.update(dict.fromkeys(own, shard))
    (dit / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
