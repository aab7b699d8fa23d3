"""A SentencePiece model, read out of a weight file that carries one (ComfyUI's): the text encoder's tokenizer without the library.

The format is a protocol buffer; four of its fields say everything that a unigram tokenizer needs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from acestep.api.errors import BadCheckpoint

PIECES, TRAINER, NORMALIZER = 1, 2, 3
"""Fields of a model."""

PIECE, SCORE, KIND = 1, 2, 3
"""Fields of a piece."""

CHARACTER_MAP = 2
"""Field of the normalizer: rules for characters, compiled."""

UNKNOWN_ID, BYTE_FALLBACK = 40, 35
"""Fields of the trainer's settings."""

CONTROL, USER = 3, 4
"""Kinds of pieces that stand for themselves."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types."""


def read_tokenizer(data: bytes) -> Tokenizer:
    """A tokenizer that gives UMT5's ids, the end mark ``</s>`` included. Raises `BadCheckpoint` for other bytes."""
    try:
        return _tokenizer(data)
    except BadCheckpoint:
        raise
    except Exception as failure:  # the library raises nothing narrower, and damaged bytes raise anything
        raise BadCheckpoint(f"the tokenizer in the file cannot be read: {failure}", field="model") from failure


def _tokenizer(data: bytes) -> Tokenizer:
    fields = list(_fields(data))
    pieces = [_piece(value) for number, value in fields if number == PIECES and isinstance(value, bytes)]
    if not pieces:
        raise BadCheckpoint("the tokenizer in the file holds no pieces", field="model")
    trainer = dict(_fields(_one(fields, TRAINER)))
    rules = dict(_fields(_one(fields, NORMALIZER))).get(CHARACTER_MAP, b"")
    vocabulary = [(text, score) for text, score, _ in pieces]
    words = Tokenizer(
        models.Unigram(
            vocabulary, unk_id=int(trainer.get(UNKNOWN_ID, 0)), byte_fallback=bool(trainer.get(BYTE_FALLBACK, 0))
        )
    )
    steps = [normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), "▁")]
    if isinstance(rules, bytes) and rules:
        steps.insert(0, normalizers.Precompiled(rules))
    words.normalizer = normalizers.Sequence(steps)
    words.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    words.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    special = [
        AddedToken(text, normalized=False, special=kind == CONTROL)
        for text, _, kind in pieces
        if kind in (CONTROL, USER)
    ]
    words.add_tokens(special)
    end = words.token_to_id("</s>")
    words.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", end)]
    )
    return words


def _one(fields: list[tuple[int, int | bytes]], number: int) -> bytes:
    return next((value for field, value in fields if field == number and isinstance(value, bytes)), b"")


def _piece(data: bytes) -> tuple[str, float, int]:
    """Text, score and kind."""
    found = dict(_fields(data))
    text, score, kind = found.get(PIECE, b""), found.get(SCORE, b"\0\0\0\0"), found.get(KIND, 1)
    if not isinstance(text, bytes) or not isinstance(score, bytes) or not isinstance(kind, int):
        raise ValueError("a piece of the wrong form")
    return text.decode("utf-8"), struct.unpack("<f", score)[0], kind


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value of a message: numbers as such, everything else as its bytes."""
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, place = _number(data, place)
            yield number, value
            continue
        if wire == BYTES:
            size, place = _number(data, place)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire}")
        if place + size > len(data):
            raise ValueError("the end is missing")
        yield number, data[place : place + size]
        place += size


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
