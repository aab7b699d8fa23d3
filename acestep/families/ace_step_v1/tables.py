"""The tensors of a published checkpoint's files, names and shapes from the configs alone. No torch.

A test holds the tables against the networks, and the lengths of the files they make against the published ones.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from acestep.checkpoints.files import WIDTHS
from acestep.families.ace_step_v1.published import AUTOENCODER, TEXT, TRANSFORMER, VOCODER

Shapes = dict[str, tuple[int, ...]]

LYRIC_ENCODER = {"heads": 16, "feed_forward": 4096, "layers": 6}
"""Sizes of the lyric encoder that the published config does not name."""

TIME_WAVES, STEM = 256, 256


def stored_tensors(part: str, config: Mapping[str, Any]) -> Shapes:
    """Name -> shape of every tensor in the file of a part. Raises `LookupError`, `TypeError` for a config that says too little."""
    return _TABLES[part](config)


def file_length(shapes: Shapes, dtype: str) -> int:
    """Bytes of a safetensors file of these tensors, as its usual writer makes it (names in order, the header padded to 8)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name in sorted(shapes):
        end = place + math.prod(shapes[name]) * WIDTHS[dtype]
        header[name] = {"dtype": dtype, "shape": list(shapes[name]), "data_offsets": [place, end]}
        place = end
    length = len(json.dumps(header, separators=(",", ":")).encode())
    return 8 + -(-length // 8) * 8 + place


def _layer(name: str, *shape: int, bias: bool = True) -> Shapes:
    return {f"{name}.weight": shape, **({f"{name}.bias": shape[:1]} if bias else {})}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _transformer(config: Mapping[str, Any]) -> Shapes:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    channels, rows, inner = config["in_channels"], config["max_height"], STEM * config["in_channels"]
    lyric = config["lyric_hidden_size"]
    found = {
        **_layer("proj_in.early_conv_layers.0", inner, channels, rows, 1),
        **_norm("proj_in.early_conv_layers.1", inner),
        **_layer("proj_in.early_conv_layers.2", width, inner, 1, 1),
        **_layer("timestep_embedder.linear_1", width, TIME_WAVES),
        **_layer("timestep_embedder.linear_2", width, width),
        **_layer("t_block.1", 6 * width, width),
        **_layer("speaker_embedder", width, config["speaker_embedding_dim"]),
        **_layer("genre_embedder", width, config["text_embedding_dim"]),
        **_layer("lyric_proj", width, lyric),
        "lyric_embs.weight": (config["lyric_encoder_vocab_size"], lyric),
        "final_layer.scale_shift_table": (2, width),
        **_layer("final_layer.linear", rows * config["out_channels"], width),
    }
    found |= _lyric_encoder(lyric, {**LYRIC_ENCODER, **config.get("lyric_encoder", {})})
    for index in range(config["num_layers"]):
        found |= _block(f"transformer_blocks.{index}", width, int(width * config["mlp_ratio"]))
    for index, target in enumerate(config["ssl_latent_dims"]):
        sizes = (width, 2 * width, 2 * width, target)
        for layer in range(3):
            found |= _layer(f"projectors.{index}.{2 * layer}", sizes[layer + 1], sizes[layer])
    return found


def _lyric_encoder(width: int, sizes: Mapping[str, int]) -> Shapes:
    root, heads = "lyric_encoder", sizes["heads"]
    found = _layer(f"{root}.embed.out.0", width, width) | _norm(f"{root}.embed.out.1", width)
    found |= _norm(f"{root}.after_norm", width)
    for index in range(sizes["layers"]):
        layer = f"{root}.encoders.{index}"
        found |= _norm(f"{layer}.norm_mha", width) | _norm(f"{layer}.norm_ff", width)
        for name in ("q", "k", "v", "out"):
            found |= _layer(f"{layer}.self_attn.linear_{name}", width, width)
        found |= _layer(f"{layer}.self_attn.linear_pos", width, width, bias=False)
        found |= {f"{layer}.self_attn.pos_bias_{name}": (heads, width // heads) for name in ("u", "v")}
        found |= _layer(f"{layer}.feed_forward.w_1", sizes["feed_forward"], width)
        found |= _layer(f"{layer}.feed_forward.w_2", width, sizes["feed_forward"])
    return found


def _block(name: str, width: int, inner: int) -> Shapes:
    found: Shapes = {f"{name}.scale_shift_table": (6, width)}
    for layer in ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0"):
        found |= _layer(f"{name}.{layer}", width, width)
    for layer in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"):
        found |= _layer(f"{name}.cross_attn.{layer}", width, width)
    found |= _layer(f"{name}.ff.inverted_conv.conv", 2 * inner, width, 1)
    found |= _layer(f"{name}.ff.depth_conv.conv", 2 * inner, 1, 3)
    return found | _layer(f"{name}.ff.point_conv.conv", width, inner, 1, bias=False)


def _autoencoder(config: Mapping[str, Any]) -> Shapes:
    found: Shapes = {}
    widths = config["encoder_block_out_channels"]
    found |= _layer("encoder.conv_in", widths[0], config["in_channels"], 3, 3)
    for stage, width in enumerate(widths):
        count = config["encoder_layers_per_block"][stage]
        found |= _stage(config, "encoder", f"encoder.down_blocks.{stage}", stage, range(count))
        if stage < len(widths) - 1:
            found |= _layer(f"encoder.down_blocks.{stage}.{count}.conv", widths[stage + 1], width, 3, 3)
    found |= _layer("encoder.conv_out", config["latent_channels"], widths[-1], 3, 3)
    widths = config["decoder_block_out_channels"]
    found |= _layer("decoder.conv_in", widths[-1], config["latent_channels"], 3, 3)
    for stage, width in enumerate(widths):
        above = int(stage < len(widths) - 1)
        if above:
            found |= _layer(f"decoder.up_blocks.{stage}.0.conv", width, widths[stage + 1], 3, 3)
        places = range(above, above + config["decoder_layers_per_block"][stage])
        found |= _stage(config, "decoder", f"decoder.up_blocks.{stage}", stage, places)
    return (
        found
        | _norm("decoder.norm_out", widths[0])
        | _layer("decoder.conv_out", config["in_channels"], widths[0], 3, 3)
    )


def _stage(config: Mapping[str, Any], side: str, name: str, stage: int, places: range) -> Shapes:
    """The blocks of one width: residual ones, or those with attention."""
    width = config[f"{side}_block_out_channels"][stage]
    residual = config[f"{side}_block_types"][stage] == "ResBlock"
    scales, head = config[f"{side}_qkv_multiscales"][stage], config["attention_head_dim"]
    found: Shapes = {}
    for place in places:
        block = f"{name}.{place}"
        if residual:
            found |= _layer(f"{block}.conv1", width, width, 3, 3) | _norm(f"{block}.norm", width)
            found |= _layer(f"{block}.conv2", width, width, 3, 3, bias=False)
            continue
        for layer in ("q", "k", "v"):
            found |= _layer(f"{block}.attn.to_{layer}", width, width, bias=False)
        for index, kernel in enumerate(scales):
            scale = f"{block}.attn.to_qkv_multiscale.{index}"
            found |= _layer(f"{scale}.proj_in", 3 * width, 1, kernel, kernel, bias=False)
            found |= _layer(f"{scale}.proj_out", 3 * width, head, 1, 1, bias=False)
        found |= _layer(f"{block}.attn.to_out", width, width * (1 + len(scales)), bias=False)
        found |= _norm(f"{block}.attn.norm_out", width) | _norm(f"{block}.conv_out.norm", width)
        found |= _layer(f"{block}.conv_out.conv_inverted", 8 * width, width, 1, 1)
        found |= _layer(f"{block}.conv_out.conv_depth", 8 * width, 1, 3, 3)
        found |= _layer(f"{block}.conv_out.conv_point", width, 4 * width, 1, 1, bias=False)
    return found


def _normed(name: str, *shape: int, outputs: int) -> Shapes:
    """A weight-normalised convolution: lengths, directions and bias."""
    return {f"{name}.weight_g": (shape[0], 1, 1), f"{name}.weight_v": shape, f"{name}.bias": (outputs,)}


def _vocoder(config: Mapping[str, Any]) -> Shapes:
    dims, bands = config["dims"], config["input_channels"]
    found = {
        "mel_transform.spectrogram.window": (config["win_length"],),
        "mel_transform.mel_scale.fb": (config["n_fft"] // 2 + 1, config["n_mels"]),
        **_layer("backbone.channel_layers.0.0", dims[0], bands, 7),
        **_norm("backbone.channel_layers.0.1", dims[0]),
        **_norm("backbone.norm", dims[-1]),
    }
    for stage, width in enumerate(dims):
        if stage:
            found |= _norm(f"backbone.channel_layers.{stage}.0", dims[stage - 1])
            found |= _layer(f"backbone.channel_layers.{stage}.1", width, dims[stage - 1], 1)
        for index in range(config["depths"][stage]):
            block = f"backbone.stages.{stage}.{index}"
            found |= _layer(f"{block}.dwconv", width, 1, 7) | _norm(f"{block}.norm", width)
            found |= _layer(f"{block}.pwconv1", 4 * width, width) | _layer(f"{block}.pwconv2", width, 4 * width)
            found[f"{block}.gamma"] = (width,)
    widest, kernels = config["upsample_initial_channel"], config["resblock_kernel_sizes"]
    found |= _normed("head.conv_pre", widest, config["num_mels"], config["pre_conv_kernel_size"], outputs=widest)
    for stage, size in enumerate(config["upsample_kernel_sizes"]):
        before, after = widest >> stage, widest >> (stage + 1)
        found |= _normed(f"head.ups.{stage}", before, after, size, outputs=after)
        for number, kernel in enumerate(kernels):
            block = f"head.resblocks.{stage * len(kernels) + number}"
            for row in ("convs1", "convs2"):
                for index in range(len(config["resblock_dilation_sizes"][number])):
                    found |= _normed(f"{block}.{row}.{index}", after, after, kernel, outputs=after)
    last = widest >> len(config["upsample_kernel_sizes"])
    return found | _normed("head.conv_post", 1, last, config["post_conv_kernel_size"], outputs=1)


def _text_encoder(config: Mapping[str, Any]) -> Shapes:
    width, heads, inner = config["d_model"], config["num_heads"], config["num_heads"] * config["d_kv"]
    found: Shapes = {"shared.weight": (config["vocab_size"], width), "encoder.final_layer_norm.weight": (width,)}
    for index in range(config["num_layers"]):
        attention, forward = (f"encoder.block.{index}.layer.{layer}" for layer in (0, 1))
        found |= {f"{attention}.SelfAttention.{name}.weight": (inner, width) for name in ("q", "k", "v")}
        found[f"{attention}.SelfAttention.o.weight"] = (width, inner)
        buckets = config["relative_attention_num_buckets"]
        found[f"{attention}.SelfAttention.relative_attention_bias.weight"] = (buckets, heads)
        found |= {f"{layer}.layer_norm.weight": (width,) for layer in (attention, forward)}
        found |= {f"{forward}.DenseReluDense.wi_{number}.weight": (config["d_ff"], width) for number in (0, 1)}
        found[f"{forward}.DenseReluDense.wo.weight"] = (width, config["d_ff"])
    return found


_TABLES: dict[str, Callable[[Mapping[str, Any]], Shapes]] = {
    TRANSFORMER: _transformer,
    AUTOENCODER: _autoencoder,
    VOCODER: _vocoder,
    TEXT: _text_encoder,
}
