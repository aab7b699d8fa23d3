"""A tiny random v1 checkpoint in the published layout: everything of a real one except the training. Its sound is noise.

Written in a second from its configs' tables, with tokenizers of its own; its configs say ``trained: false``.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors

from acestep.checkpoints.tiny import random_tensor
from acestep.families.ace_step_v1.layout import FOLDERS, PREFIXES, SPIECE, TOKENIZER
from acestep.families.ace_step_v1.lyrics import LANGUAGE_TOKENS, SPECIAL, STRUCTURE
from acestep.families.ace_step_v1.published import (
    AUTOENCODER,
    CONFIGS,
    TEXT,
    TRANSFORMER,
    VOCABULARY,
    VOCODER,
    WEIGHTS,
)
from acestep.families.ace_step_v1.tables import stored_tensors

FOLDER = "ACE-Step-v1-tiny"

SIZES: dict[str, dict[str, Any]] = {
    TRANSFORMER: {
        "num_attention_heads": 2,
        "inner_dim": 256,
        "num_layers": 2,
        "text_embedding_dim": 32,
        "lyric_hidden_size": 32,
        "lyric_encoder_vocab_size": 300,
        "lyric_encoder": {"width": 32, "heads": 2, "feed_forward": 64, "layers": 2},
        "ssl_latent_dims": [8, 8],
    },
    AUTOENCODER: {
        "attention_head_dim": 8,
        "encoder_block_out_channels": [8, 8, 16, 16],
        "decoder_block_out_channels": [8, 8, 16, 16],
        "encoder_layers_per_block": [1, 1, 1, 1],
        "decoder_layers_per_block": [1, 1, 1, 1],
    },
    VOCODER: {
        "depths": [1, 1, 1, 1],
        "dims": [16, 16, 16, 16],
        "num_mels": 16,
        "upsample_initial_channel": 128,
        "upsample_rates": [8, 8, 8],
        "upsample_kernel_sizes": [16, 16, 16],
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3]],
    },
    TEXT: {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_heads": 2, "num_layers": 2, "vocab_size": 300},
}
"""What a tiny checkpoint's configs say in place of the published ones'."""

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789'.,!?-:;()&%$#@"
TEXT_LETTERS = ["<pad>", "</s>", "<unk>", "▁", *LETTERS]


DEEP: dict[str, dict[str, Any]] = {
    TRANSFORMER: {"num_layers": 16, "lyric_encoder": {"width": 32, "heads": 2, "feed_forward": 64, "layers": 5}},
    TEXT: {"num_layers": 9},
}
"""Sizes of a tiny checkpoint that has some of the layers which entropy-rectifying guidance weakens, too."""


def build_tiny(folder: Path, *, name: str = FOLDER, salt: str = "tiny-v1/", deep: bool = False) -> Path:
    """Write the checkpoint below ``folder`` and return its path; one that is there is left alone. ``deep``: see `DEEP`."""
    root = folder / name
    if root.is_dir():
        return root
    for part in FOLDERS:
        place = root / part
        place.mkdir(parents=True)
        config = {**CONFIGS[part], **SIZES[part], **(DEEP.get(part, {}) if deep else {}), "trained": False}
        (place / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        shapes = stored_tensors(part, config)
        tensors = {key: random_tensor(key, shape, f"{salt}{part}/") for key, shape in shapes.items()}
        stored = {key: value if part == TEXT else value.bfloat16() for key, value in tensors.items()}
        save_file(stored, place / WEIGHTS[part], metadata={"format": "pt"})
    _text_tokenizer().save(str(root / TEXT / TOKENIZER))
    _lyric_tokenizer().save(str(root / VOCABULARY))
    return root


def _text_tokenizer() -> Tokenizer:
    """Characters as tokens, an end mark behind them."""
    letters = {letter: index for index, letter in enumerate(TEXT_LETTERS)}
    tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def _lyric_tokenizer() -> Tokenizer:
    """Characters as tokens, with the special ones of the published vocabulary."""
    special = [*SPECIAL, *LANGUAGE_TOKENS.values(), *STRUCTURE]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys([*special, *LETTERS]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer


def write_all_in_one(root: Path, file: Path) -> Path:
    """The checkpoint at ``root`` as ComfyUI's single file, the text encoder's tokenizer as a SentencePiece model inside."""
    tensors = {
        f"{PREFIXES[part]}{name}": tensor
        for part in FOLDERS
        for name, tensor in load_file(root / part / WEIGHTS[part]).items()
    }
    tensors[f"text_encoders.{SPIECE}"] = torch.frombuffer(bytearray(sentence_pieces()), dtype=torch.uint8)
    save_file(tensors, file, metadata={"format": "pt"})
    return file


def sentence_pieces() -> bytes:
    """A SentencePiece model of single letters with the ids of the other tokenizer."""
    kinds = {"<pad>": 3, "</s>": 3, "<unk>": 2}
    pieces = [(text, kinds.get(text, 1)) for text in TEXT_LETTERS]
    message = b"".join(
        _bytes_field(1, _bytes_field(1, text.encode()) + b"\x15" + struct.pack("<f", -1.0) + bytes([0x18, kind]))
        for text, kind in pieces
    )
    return message + _bytes_field(2, b"\xc0\x02" + bytes([TEXT_LETTERS.index("<unk>")]))


def _bytes_field(number: int, data: bytes) -> bytes:
    """A field of a protocol buffer."""
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _varint(value >> 7)
