"""A random language model in the published layout, made in a second: for tests, and to try the planner without a download.

Every special token and id is the real one; the plain vocabulary is our own (bytes, then runs of letters), of the real
size, so masks and heads cost what they cost with the real tokenizer. What it writes is noise in valid form.
"""

from __future__ import annotations

import itertools
import json
import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from acestep.checkpoints.text_tokenizer import WORDS
from acestep.planner.layout import AUDIO_TOKENS, FIRST_SPECIAL, PLAIN_TOKENS, QWEN_TOKENS, byte_characters
from acestep.planner.tokenizer import CHAT_TEMPLATE

AUDIO = [f"<|audio_code_{code}|>" for code in range(AUDIO_TOKENS)]

SPACE, NEWLINE = "\u0120", "\u010a"
"""Byte-level spellings of a space and a line feed."""


def build_tiny(folder: Path, *, hidden: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """Write a random planner (model and tokenizer) to ``folder`` as a published one would lie there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    tiny_model(hidden=hidden, layers=layers, seed=seed).save_pretrained(folder)
    return folder


def write_tokenizer(folder: Path) -> None:
    """The tokenizer's files as the published folders have them: every audio token listed four times over, the template apart."""
    vocabulary, merges = _vocabulary()
    words = tiny_words(vocabulary, merges)
    words.save(str(folder / "tokenizer.json"))
    added = [_added(name) for name in (*QWEN_TOKENS, *AUDIO)]
    ids = {token.content: FIRST_SPECIAL + index for index, token in enumerate(added)}
    spelled = {str(ids[token.content]): _spelled(token) for token in added}
    roles = {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": spelled,
        "additional_special_tokens": AUDIO,
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "errors": "replace",
        "extra_special_tokens": {},
        "model_max_length": 131_072,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
        **roles,
    }
    marks = {role: spelled[str(ids[token])] for role, token in roles.items()}
    marks = {role: {key: value for key, value in mark.items() if key != "special"} for role, mark in marks.items()}
    _write_json(folder / "tokenizer_config.json", config)
    _write_json(folder / "special_tokens_map.json", {"additional_special_tokens": AUDIO, **marks})
    _write_json(folder / "added_tokens.json", ids)
    _write_json(folder / "vocab.json", vocabulary)
    lines = "\n".join(f"{left} {right}" for left, right in merges)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}\n", "utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, "utf-8")


def _write_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, indent=2), "utf-8")


def _spelled(token: AddedToken) -> dict[str, Any]:
    """An added token as the published files write it out."""
    return {
        "content": token.content,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": token.special,
    }


def tiny_model(*, hidden: int = 32, layers: int = 2, seed: int = 0) -> Qwen3ForCausalLM:
    """A random Qwen3 with the published vocabulary, its head tied to its embeddings."""
    config = Qwen3Config(
        vocab_size=FIRST_SPECIAL + len(QWEN_TOKENS) + AUDIO_TOKENS,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=40_960,
        rope_theta=1_000_000.0,  # type: ignore[call-arg] # read by the base class
        tie_word_embeddings=True,
        bos_token_id=FIRST_SPECIAL,
        eos_token_id=FIRST_SPECIAL + 2,
        model_version="tiny",  # an entry of ours
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
        torch.nn.init.normal_(model.model.embed_tokens.weight, std=0.35)
    return model.eval().requires_grad_(False)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer in memory, as it is read from its files."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tiny_words(*_vocabulary()),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def tiny_words(vocabulary: dict[str, int], merges: list[tuple[str, str]]) -> Tokenizer:
    """A byte-level tokenizer with Qwen3's special tokens and the audio tokens at their real ids."""
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([_added(name) for name in (*QWEN_TOKENS, *AUDIO)])
    return tokenizer


def _added(name: str) -> AddedToken:
    return AddedToken(name, normalized=False, special=name not in PLAIN_TOKENS)


def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """256 bytes and as many runs of letters as Qwen's vocabulary has room for."""
    vocabulary = {char: index for index, char in enumerate(byte_characters())}
    merges: list[tuple[str, str]] = []
    for left, right in _pairs():
        if len(vocabulary) == FIRST_SPECIAL:
            break
        if left + right not in vocabulary:
            vocabulary[left + right] = len(vocabulary)
            merges.append((left, right))
    return vocabulary, merges


def _pairs() -> Any:
    lower, letters = string.ascii_lowercase, string.ascii_letters
    yield NEWLINE, NEWLINE
    yield SPACE, SPACE
    yield from ((mark, NEWLINE) for mark in ":.,]>")
    yield from ((SPACE, char) for char in letters + "[(#")
    yield from itertools.product(letters, lower)
    yield from ((SPACE + first, second) for first, second in itertools.product(letters, lower))
    for lead in ("", SPACE):
        yield from ((lead + a + b, c) for a, b, c in itertools.product(lower, repeat=3))
    yield from ((SPACE + a + b + c, d) for a, b, c, d in itertools.product(lower, repeat=4))
