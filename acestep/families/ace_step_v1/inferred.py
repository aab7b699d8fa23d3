"""Configs of networks from their tensors' shapes, for single files, which carry none. No torch.

What no shape shows is as published: heads of the transformer are 128 wide, an upsampling's kernel is twice its rate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from acestep.families.ace_step_v1.published import AUTOENCODER, CONFIGS, TEXT, TRANSFORMER, VOCODER

Shapes = Mapping[str, tuple[int, ...]]

DILATIONS = (1, 3, 5)


def inferred_config(part: str, shapes: Shapes) -> dict[str, Any]:
    """A part's config from its tensors. Raises `LookupError` where a tensor is missing that would say it."""
    return {**CONFIGS[part], **_READERS[part](shapes)}


def _count(shapes: Shapes, pattern: str) -> int:
    """One more than the highest number at the group of a pattern that names begin with; 0 without one."""
    found = (re.match(pattern, name) for name in shapes)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _transformer(shapes: Shapes) -> dict[str, Any]:
    width, text = shapes["genre_embedder.weight"]
    tokens, lyric = shapes["lyric_embs.weight"]
    layer, head = "lyric_encoder.encoders.0", CONFIGS[TRANSFORMER]["attention_head_dim"]
    return {
        "num_attention_heads": width // head,
        "inner_dim": width,
        "num_layers": _count(shapes, r"transformer_blocks\.(\d+)\."),
        "mlp_ratio": shapes["transformer_blocks.0.ff.point_conv.conv.weight"][1] / width,
        "text_embedding_dim": text,
        "speaker_embedding_dim": shapes["speaker_embedder.weight"][1],
        "lyric_encoder_vocab_size": tokens,
        "lyric_hidden_size": lyric,
        "lyric_encoder": {
            "width": lyric,
            "heads": shapes[f"{layer}.self_attn.pos_bias_u"][0],
            "feed_forward": shapes[f"{layer}.feed_forward.w_1.weight"][0],
            "layers": _count(shapes, r"lyric_encoder\.encoders\.(\d+)\."),
        },
    }


def _autoencoder(shapes: Shapes) -> dict[str, Any]:
    stages = _count(shapes, r"encoder\.down_blocks\.(\d+)\.")
    found: dict[str, Any] = {
        "in_channels": shapes["encoder.conv_in.weight"][1],
        "latent_channels": shapes["encoder.conv_out.weight"][0],
        "attention_head_dim": next(size[1] for name, size in shapes.items() if name.endswith(".proj_out.weight")),
    }
    for side, blocks in (("encoder", "down_blocks"), ("decoder", "up_blocks")):
        rows = [_stage(shapes, rf"{side}\.{blocks}\.{stage}") for stage in range(stages)]
        for index, name in enumerate(("block_out_channels", "block_types", "layers_per_block", "qkv_multiscales")):
            found[f"{side}_{name}"] = [row[index] for row in rows]
    return found


def _stage(shapes: Shapes, start: str) -> tuple[int, str, int, list[int]]:
    """Width, kind, number and kernels of the blocks of a stage."""
    inner = {name: shape for name, shape in shapes.items() if re.match(rf"{start}\.\d+\.(conv1|attn)\.", name)}
    blocks = {name.split(".")[3] for name in inner}
    plain = {name: shape for name, shape in inner.items() if name.endswith(".conv1.weight")}
    if plain:
        return next(iter(plain.values()))[0], "ResBlock", len(blocks), []
    kernels = {name.split(".")[6]: shape[-1] for name, shape in inner.items() if name.endswith(".proj_in.weight")}
    width = next(shape[0] for name, shape in inner.items() if name.endswith(".to_q.weight"))
    return width, "EfficientViTBlock", len(blocks), [kernels[index] for index in sorted(kernels)]


def _vocoder(shapes: Shapes) -> dict[str, Any]:
    stages, ups = _count(shapes, r"backbone\.stages\.(\d+)\."), _count(shapes, r"head\.ups\.(\d+)\.")
    kernels = [shapes[f"head.ups.{index}.weight_v"][2] for index in range(ups)]
    each = _count(shapes, r"head\.resblocks\.(\d+)\.") // ups
    blocks = range(each)
    return {
        "input_channels": shapes["backbone.channel_layers.0.0.weight"][1],
        "dims": [shapes[f"backbone.stages.{stage}.0.gamma"][0] for stage in range(stages)],
        "depths": [_count(shapes, rf"backbone\.stages\.{stage}\.(\d+)\.") for stage in range(stages)],
        "num_mels": shapes["head.conv_pre.weight_v"][1],
        "upsample_initial_channel": shapes["head.conv_pre.weight_v"][0],
        "upsample_kernel_sizes": kernels,
        "upsample_rates": [kernel // 2 for kernel in kernels],
        "resblock_kernel_sizes": [shapes[f"head.resblocks.{index}.convs1.0.weight_v"][2] for index in blocks],
        "resblock_dilation_sizes": [
            list(DILATIONS[: _count(shapes, rf"head\.resblocks\.{index}\.convs1\.(\d+)\.")]) for index in blocks
        ],
        "pre_conv_kernel_size": shapes["head.conv_pre.weight_v"][2],
        "post_conv_kernel_size": shapes["head.conv_post.weight_v"][2],
    }


def _text_encoder(shapes: Shapes) -> dict[str, Any]:
    tokens, width = shapes["shared.weight"]
    block = "encoder.block.0.layer"
    buckets, heads = shapes[f"{block}.0.SelfAttention.relative_attention_bias.weight"]
    return {
        "vocab_size": tokens,
        "d_model": width,
        "num_layers": _count(shapes, r"encoder\.block\.(\d+)\."),
        "num_heads": heads,
        "d_kv": shapes[f"{block}.0.SelfAttention.q.weight"][0] // heads,
        "d_ff": shapes[f"{block}.1.DenseReluDense.wi_0.weight"][0],
        "relative_attention_num_buckets": buckets,
    }


_READERS: dict[str, Callable[[Shapes], dict[str, Any]]] = {
    TRANSFORMER: _transformer,
    AUTOENCODER: _autoencoder,
    VOCODER: _vocoder,
    TEXT: _text_encoder,
}
