"""Prompts through UMT5, and the tokenizer that a file carries along."""

from __future__ import annotations

import pytest
import torch
from tokenizers import Tokenizer

from acestep.api.errors import BadCheckpoint
from acestep.families.ace_step_v1.spiece import read_tokenizer
from acestep.families.ace_step_v1.text import MAX_TOKENS
from acestep.families.ace_step_v1.tiny import sentence_pieces


def test_a_prompt_has_a_state_for_each_token(model_v1):
    states, mask = model_v1.prompts.encode("abc")
    assert states.shape == (1, 5, 32) and states.dtype == torch.float32  # the word's begin and the end mark
    assert mask.tolist() == [[1] * 5]


def test_a_long_prompt_is_cut_and_keeps_its_end(model_v1):
    text = "a" * 400
    assert model_v1.prompts.token_count(text) == 402
    assert model_v1.prompts.encode(text)[0].shape[1] == MAX_TOKENS
    assert model_v1.prompts._ids(text)[-1] == 1


def test_equals_the_library(model_v1):
    """The states are transformers' own, of the same tokens."""
    ids = torch.tensor([model_v1.tokenizer.encode("soft piano").ids])
    with torch.inference_mode():
        expected = model_v1.text_encoder(input_ids=ids).last_hidden_state
    assert torch.equal(model_v1.prompts.encode("soft piano")[0], expected)


def test_a_sentencepiece_model_gives_the_same_tokens(tiny_v1):
    published = Tokenizer.from_file(str(tiny_v1 / "umt5-base" / "tokenizer.json"))
    carried = read_tokenizer(sentence_pieces())
    for text in ("abc", "a b", "two words, 80 bpm!"):
        assert carried.encode(text).ids == published.encode(text).ids


def test_an_unreadable_tokenizer_is_refused():
    for data in (b"", b"\x0a", b"nonsense", sentence_pieces()[:-3]):
        with pytest.raises(BadCheckpoint, match="tokenizer in the file"):
            read_tokenizer(data)
