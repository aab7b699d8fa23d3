"""The tensors that each part must have, names and shapes from its config alone: what `check` counts without building a network.
No torch. A test holds these tables against the networks themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from acestep.checkpoints.weights import CODEC, LANGUAGE, TEXT

Shapes = dict[str, tuple[int, ...]]

TIME_CHANNELS = 256
"""Sinusoids of a timestep."""

UNIT_KERNELS = {"conv1": 7, "conv2": 1}
"""Kernels of the codec's residual units."""


def expected_tensors(part: str, config: Mapping[str, Any]) -> Shapes | None:
    """Name -> shape of every tensor of a part with this config, in our networks' names; None for a class without a table.

    Raises `LookupError`, `TypeError`, `ValueError` for a config that does not say enough.
    """
    if part == CODEC and config.get("_class_name", "AutoencoderOobleck") != "AutoencoderOobleck":
        return None
    return TABLES[part](config)


def _linear(name: str, rows: int, columns: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (rows, columns), **({f"{name}.bias": (rows,)} if bias else {})}


def _attention(name: str, config: Mapping[str, Any], names: tuple[str, ...]) -> Shapes:
    """Grouped-query attention with normalised queries and keys; ``names`` of query, key, value, output and the two norms."""
    hidden, width = config["hidden_size"], config["head_dim"]
    heads, groups = config["num_attention_heads"] * width, config["num_key_value_heads"] * width
    shapes = ((heads, hidden), (groups, hidden), (groups, hidden), (hidden, heads), (width,), (width,))
    return {f"{name}.{layer}.weight": shape for layer, shape in zip(names, shapes, strict=True)}


OURS = ("to_q", "to_k", "to_v", "to_out.0", "norm_q", "norm_k")
QWENS = ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm")


def _mlp(name: str, config: Mapping[str, Any]) -> Shapes:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    return {
        f"{name}.gate_proj.weight": (inner, hidden),
        f"{name}.up_proj.weight": (inner, hidden),
        f"{name}.down_proj.weight": (hidden, inner),
    }


def _encoder_layers(prefix: str, count: int, config: Mapping[str, Any], names: tuple[str, ...] = OURS) -> Shapes:
    found: Shapes = {}
    for index in range(count):
        layer = f"{prefix}layers.{index}"
        found |= _attention(f"{layer}.self_attn", config, names) | _mlp(f"{layer}.mlp", config)
        found |= {f"{layer}.{norm}.weight": (config["hidden_size"],)
                  for norm in ("input_layernorm", "post_attention_layernorm")}  # fmt: skip
    return found


def _transformer(config: Mapping[str, Any]) -> Shapes:
    hidden, patch, acoustic = config["hidden_size"], config["patch_size"], config["audio_acoustic_hidden_dim"]
    found: Shapes = {"scale_shift_table": (1, 2, hidden), "norm_out.weight": (hidden,)}
    for index in range(config["num_hidden_layers"]):
        layer = f"layers.{index}"
        found[f"{layer}.scale_shift_table"] = (1, 6, hidden)
        found |= {f"{layer}.{norm}.weight": (hidden,) for norm in ("self_attn_norm", "cross_attn_norm", "mlp_norm")}
        found |= _attention(f"{layer}.self_attn", config, OURS) | _attention(f"{layer}.cross_attn", config, OURS)
        found |= _mlp(f"{layer}.mlp", config)
    for name in ("time_embed", "time_embed_r"):
        found |= _linear(f"{name}.linear_1", hidden, TIME_CHANNELS) | _linear(f"{name}.linear_2", hidden, hidden)
        found |= _linear(f"{name}.time_proj", 6 * hidden, hidden)
    found |= _linear("condition_embedder", hidden, config.get("encoder_hidden_size") or hidden)
    found |= {"proj_in_conv.weight": (hidden, config["in_channels"], patch), "proj_in_conv.bias": (hidden,)}
    return found | {"proj_out_conv.weight": (hidden, acoustic, patch), "proj_out_conv.bias": (acoustic,)}


def _condition_encoder(config: Mapping[str, Any]) -> Shapes:
    hidden, text = config["hidden_size"], config["text_hidden_dim"]
    lyric, timbre = "lyric_encoder.", "timbre_encoder."
    return {
        "null_condition_emb": (1, 1, hidden),
        **_linear("text_projector", hidden, text, bias=False),
        **_linear(f"{lyric}embed_tokens", hidden, text),
        f"{lyric}norm.weight": (hidden,),
        **_encoder_layers(lyric, config["num_lyric_encoder_hidden_layers"], config),
        f"{timbre}special_token": (1, 1, hidden),
        **_linear(f"{timbre}embed_tokens", hidden, config["timbre_hidden_dim"]),
        f"{timbre}norm.weight": (hidden,),
        **_encoder_layers(timbre, config["num_timbre_encoder_hidden_layers"], config),
    }


def _audio_tokenizer(config: Mapping[str, Any]) -> Shapes:
    hidden, levels = config["hidden_size"], len(config["fsq_input_levels"])
    width, pooler = config.get("fsq_dim", hidden), "attention_pooler."
    return {
        **_linear("audio_acoustic_proj", hidden, config["audio_acoustic_hidden_dim"]),
        f"{pooler}special_token": (1, 1, hidden),
        **_linear(f"{pooler}embed_tokens", hidden, hidden),
        f"{pooler}norm.weight": (hidden,),
        **_encoder_layers(pooler, config.get("num_attention_pooler_hidden_layers", 2), config),
        **_linear("quantizer.project_in", levels, width),
        **_linear("quantizer.project_out", width, levels),
    }


def _audio_detokenizer(config: Mapping[str, Any]) -> Shapes:
    hidden = config["hidden_size"]
    return {
        "special_tokens": (1, config["pool_window_size"], hidden),
        **_linear("embed_tokens", hidden, hidden),
        "norm.weight": (hidden,),
        **_linear("proj_out", config["audio_acoustic_hidden_dim"], hidden),
        **_encoder_layers("", config.get("num_attention_pooler_hidden_layers", 2), config),
    }


def _qwen(config: Mapping[str, Any]) -> Shapes:
    return {
        "embed_tokens.weight": (config["vocab_size"], config["hidden_size"]),
        "norm.weight": (config["hidden_size"],),
        **_encoder_layers("", config["num_hidden_layers"], config, QWENS),
    }


def _language_model(config: Mapping[str, Any]) -> Shapes:
    found = {f"model.{name}": shape for name, shape in _qwen(config).items()}
    head = {} if config.get("tie_word_embeddings", True) else {"lm_head.weight": found["model.embed_tokens.weight"]}
    return found | head


def _convolution(name: str, shape: tuple[int, ...], outputs: int, *, bias: bool = True) -> Shapes:
    """A weight-normalised convolution: direction, length of each of its first dimension's rows, and its bias."""
    weights = {f"{name}.weight_v": shape, f"{name}.weight_g": (shape[0], 1, 1)}
    return weights | ({f"{name}.bias": (outputs,)} if bias else {})


def _snake(name: str, channels: int) -> Shapes:
    return {f"{name}.{leaf}": (1, channels, 1) for leaf in ("alpha", "beta")}


def _units(block: str, channels: int) -> Shapes:
    found: Shapes = {}
    for index in range(1, 4):
        for convolution, kernel in UNIT_KERNELS.items():
            unit = f"{block}.res_unit{index}"
            found |= _snake(f"{unit}.snake{convolution[-1]}", channels)
            found |= _convolution(f"{unit}.{convolution}", (channels, channels, kernel), channels)
    return found


def _codec(config: Mapping[str, Any]) -> Shapes:
    width, decoder, sound = config["encoder_hidden_size"], config["decoder_channels"], config["audio_channels"]
    multiples, strides = [1, *config["channel_multiples"]], config["downsampling_ratios"]
    found = _convolution("encoder.conv1", (width, sound, 7), width)
    for index, stride in enumerate(strides):
        inner, outer, block = width * multiples[index], width * multiples[index + 1], f"encoder.block.{index}"
        found |= _units(block, inner) | _snake(f"{block}.snake1", inner)
        found |= _convolution(f"{block}.conv1", (outer, inner, 2 * stride), outer)
    top = width * multiples[-1]
    found |= _snake("encoder.snake1", top) | _convolution("encoder.conv2", (width, top, 3), width)
    top = decoder * multiples[-1]
    found |= _convolution("decoder.conv1", (top, config["decoder_input_channels"], 7), top)
    for index, stride in enumerate(reversed(strides)):
        inner, outer = decoder * multiples[len(strides) - index], decoder * multiples[len(strides) - index - 1]
        block = f"decoder.block.{index}"
        found |= _snake(f"{block}.snake1", inner) | _units(block, outer)
        found |= _convolution(f"{block}.conv_t1", (inner, outer, 2 * stride), outer)
    found |= _snake("decoder.snake1", decoder)
    return found | _convolution("decoder.conv2", (sound, decoder, 7), sound, bias=False)


TABLES: dict[str, Callable[[Mapping[str, Any]], Shapes]] = {
    "transformer": _transformer,
    "condition_encoder": _condition_encoder,
    "audio_tokenizer": _audio_tokenizer,
    "audio_detokenizer": _audio_detokenizer,
    CODEC: _codec,
    TEXT: _qwen,
    LANGUAGE: _language_model,
}
"""Part -> what makes its table."""
