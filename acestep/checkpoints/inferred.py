"""The config of a part: its ``config.json``, what a GGUF file carries along, or (ComfyUI's files) what the shapes of its tensors
tell. No torch.

What no shape tells is the same in every published checkpoint: rotary base, windows, levels of the quantiser.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints import gguf_header
from acestep.checkpoints.files import GGUF, read_json
from acestep.checkpoints.weights import CODEC, LANGUAGE, TEXT, StoredTensor, read_contents

Shapes = Mapping[str, tuple[int, ...]]

ROPE_THETA = 1_000_000
EPSILON = 1e-6
MAX_POSITIONS = 32_768
WINDOW = 128
LEVELS = [8, 8, 8, 5, 5, 5]
REFERENCE_FRAMES = 750


def read_config(place: Path, part: str) -> dict[str, Any]:
    """The config of ``part`` at ``place`` (a component's folder or a weight file), its rotary base where the networks look for it.

    Raises `BadCheckpoint`, `ModelMissing`.
    """
    if place.is_dir():
        return with_rope_theta(read_json(place / "config.json"), place)
    config = gguf_header.read_head(place).config if place.suffix.lower() == GGUF else {}
    config = config or infer_config(read_contents(place).parts, part)
    if not config:
        raise BadCheckpoint(f"{place} has no config, and its tensors do not tell its sizes", field="model")
    return with_rope_theta(config, place)


def with_rope_theta(config: dict[str, Any], place: Path) -> dict[str, Any]:
    """The config with ``rope_theta`` at its top, where newer transformers have written it into ``rope_parameters``.

    Raises `BadCheckpoint` for another kind of rotary embedding, or bases that differ between layers: the networks know one.
    """
    given = config.get("rope_parameters")
    if not isinstance(given, dict) or not given or "rope_theta" in config:
        return config
    rows = [row for row in given.values() if isinstance(row, dict)] or [given]
    thetas = {row.get("rope_theta", ROPE_THETA) for row in rows}
    kinds = {row.get("rope_type", "default") for row in rows}
    if len(thetas) != 1 or kinds != {"default"} or not isinstance(theta := thetas.pop(), (int, float)):
        raise BadCheckpoint(
            f"the rope_parameters of {place} are of a kind that is not known here: {given}", field="model"
        )
    return {**config, "rope_theta": theta}


def infer_config(parts: Mapping[str, Mapping[str, StoredTensor]], part: str) -> dict[str, Any]:
    """The config that ``part`` of a file would have had; empty where its tensors do not tell.

    For the four networks it is the one config that the published layout has for all of them.
    """
    sizes = {owner: {name: stored.shape for name, stored in tensors.items()} for owner, tensors in parts.items()}
    try:
        if part == CODEC:
            return _codec(sizes[CODEC])
        if part in (TEXT, LANGUAGE):
            return _qwen(sizes[part])
        return _transformer(sizes)
    except (KeyError, IndexError, ValueError, ZeroDivisionError):
        return {}


def _count(names: Shapes, before: str) -> int:
    """How many numbered layers there are behind ``before``."""
    found = (re.match(re.escape(before) + r"\.(\d+)\.", name) for name in names)
    return max((int(match.group(1)) + 1 for match in found if match), default=0)


def _attention(names: Shapes, layer: str, query: str, key: str, norm: str) -> dict[str, int]:
    width = names[f"{layer}.{norm}.weight"][-1]
    return {
        "head_dim": width,
        "num_attention_heads": names[f"{layer}.{query}.weight"][0] // width,
        "num_key_value_heads": names[f"{layer}.{key}.weight"][0] // width,
    }


def _qwen(names: Shapes) -> dict[str, Any]:
    names = {name.removeprefix("model."): shape for name, shape in names.items()}
    vocabulary, hidden = names["embed_tokens.weight"]
    return {
        "model_type": "qwen3",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": names["layers.0.mlp.gate_proj.weight"][0],
        "num_hidden_layers": _count(names, "layers"),
        **_attention(names, "layers.0.self_attn", "q_proj", "k_proj", "q_norm"),
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROPE_THETA,
        "tie_word_embeddings": "lm_head.weight" not in names,
    }


def _transformer(sizes: Mapping[str, Shapes]) -> dict[str, Any]:
    dit, encoder = sizes["transformer"], sizes["condition_encoder"]
    layers = _count(dit, "layers")
    hidden, channels, patch = dit["proj_in_conv.weight"]
    config = {
        "model_type": "acestep",
        "hidden_size": hidden,
        "intermediate_size": dit["layers.0.mlp.gate_proj.weight"][0],
        "num_hidden_layers": layers,
        **_attention(dit, "layers.0.self_attn", "to_q", "to_k", "norm_q"),
        "in_channels": channels,
        "patch_size": patch,
        "audio_acoustic_hidden_dim": dit["proj_out_conv.weight"][1],
        "text_hidden_dim": encoder["text_projector.weight"][1],
        "timbre_hidden_dim": encoder["timbre_encoder.embed_tokens.weight"][1],
        "num_lyric_encoder_hidden_layers": _count(encoder, "lyric_encoder.layers"),
        "num_timbre_encoder_hidden_layers": _count(encoder, "timbre_encoder.layers"),
        "num_audio_decoder_hidden_layers": layers,
        "layer_types": [("sliding_attention", "full_attention")[index % 2] for index in range(layers)],
        "timbre_fix_frame": REFERENCE_FRAMES,
        "max_position_embeddings": MAX_POSITIONS,
        "rms_norm_eps": EPSILON,
        "rope_theta": ROPE_THETA,
        "use_sliding_window": True,
        "sliding_window": WINDOW,
    }
    return {**config, **_tokenizer(sizes), **_encoder(config, encoder)}


def _tokenizer(sizes: Mapping[str, Shapes]) -> dict[str, Any]:
    """What the two networks of the semantic codes add, where the file has them."""
    usual = {"fsq_input_levels": LEVELS, "fsq_input_num_quantizers": 1, "pool_window_size": 5}
    tokens, back = sizes.get("audio_tokenizer", {}), sizes.get("audio_detokenizer", {})
    if not tokens or not back:
        return usual
    return {
        **usual,
        "fsq_dim": tokens["quantizer.project_in.weight"][1],
        "num_attention_pooler_hidden_layers": _count(tokens, "attention_pooler.layers"),
        "pool_window_size": back["special_tokens"][-2],
    }


def _encoder(config: Mapping[str, Any], names: Shapes) -> dict[str, Any]:
    """Sizes of the condition encoder under XL's own keys, where they are not the transformer's."""
    layer = "lyric_encoder.layers.0"
    own = {
        "hidden_size": names["text_projector.weight"][0],
        "intermediate_size": names[f"{layer}.mlp.gate_proj.weight"][0],
        **_attention(names, f"{layer}.self_attn", "to_q", "to_k", "norm_q"),
    }
    own.pop("head_dim")
    return {} if own["hidden_size"] == config["hidden_size"] else {f"encoder_{key}": size for key, size in own.items()}


def _codec(names: Shapes) -> dict[str, Any]:
    """The published codec, an Oobleck: strides are half the kernels of the strided convolutions."""
    blocks = _count(names, "encoder.block")
    strides = [names[f"encoder.block.{index}.conv1.weight_v"][-1] // 2 for index in range(blocks)]
    width = names["encoder.conv1.weight_v"][0]
    outputs = [names[f"encoder.block.{index}.conv1.weight_v"][0] for index in range(blocks)]
    return {
        "_class_name": "AutoencoderOobleck",
        "audio_channels": names["encoder.conv1.weight_v"][1],
        "channel_multiples": [output // width for output in outputs],
        "decoder_channels": names["decoder.snake1.alpha"][1 if len(names["decoder.snake1.alpha"]) == 3 else 0],
        "decoder_input_channels": names["decoder.conv1.weight_v"][1],
        "downsampling_ratios": strides,
        "encoder_hidden_size": names["encoder.conv2.weight_v"][0],
        "sampling_rate": 25 * math.prod(strides),
    }
