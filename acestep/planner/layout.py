"""Where everything lies in the vocabulary of the 5 Hz language model.

The model is a Qwen3 with its own vocabulary, followed by one token per semantic code. All ids are found by arithmetic after a
few look-ups: listing 217,204 tokens one by one would cost seconds at every start.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec

from acestep.api.errors import BadCheckpoint
from acestep.api.planning import CODES

AUDIO_TOKENS = 65_535
"""Audio tokens in the published vocabulary; only the first 64,000 stand for a code."""

QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
"""Qwen3's added tokens in the order of their ids, from 151,643 on."""

PLAIN_TOKENS = frozenset(QWEN_TOKENS[QWEN_TOKENS.index("<tool_call>") :])
"""Those of `QWEN_TOKENS` that the published tokenizer does not call special."""

FIRST_SPECIAL = 151_643
"""Id of the first of `QWEN_TOKENS`: the size of Qwen's plain vocabulary."""


class TokenLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Ids that the decoder needs. ``text`` ids are all below ``first_code``."""

    first_code: int
    end: int
    """``<|im_end|>``: ends a turn, and so a sequence of codes."""
    pad: int


def read_layout(tokenizer: Any) -> TokenLayout:
    """The layout of a loaded tokenizer. Raises `BadCheckpoint` if its audio tokens are missing or not in one row."""
    first, last = (tokenizer.convert_tokens_to_ids(code_text([code])) for code in (0, CODES - 1))
    end, pad = (tokenizer.convert_tokens_to_ids(name) for name in ("<|im_end|>", "<|endoftext|>"))
    unknown = tokenizer.unk_token_id
    if None in (first, last, end, pad) or unknown in (first, last, end):
        raise BadCheckpoint("the tokenizer lacks audio codes or turn markers: this is not a 5 Hz language model")
    if last - first != CODES - 1:
        raise BadCheckpoint(f"the audio codes of the tokenizer are not in one row ({first} to {last})")
    return TokenLayout(first_code=first, end=end, pad=pad)


def code_text(codes: list[int]) -> str:
    """Semantic codes as the text the model reads: tokens side by side, nothing between them."""
    return "".join(f"<|audio_code_{code}|>" for code in codes)


def byte_characters() -> list[str]:
    """The printable stand-in of every byte in byte-level tokenizers (source: GPT-2's tokenizer)."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    spare = itertools.count(256)
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def token_bytes(tokens: Iterable[str]) -> list[bytes]:
    """The bytes that every token of a byte-level tokenizer stands for."""
    table = {char: byte for byte, char in enumerate(byte_characters())}
    pieces = []
    for token in tokens:
        known = all(char in table for char in token)
        pieces.append(bytes(table[char] for char in token) if known else token.encode())
    return pieces
