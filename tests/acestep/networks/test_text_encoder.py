"""Our text encoder and its tokenizer give what transformers' own give, on the same weights and files."""

from __future__ import annotations

import json

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from acestep.api.errors import BadCheckpoint
from acestep.checkpoints.architecture import build_text_encoder
from acestep.checkpoints.info import EMBEDDED
from acestep.checkpoints.load import Target, load_text_encoder
from acestep.checkpoints.text_tokenizer import load_text_tokenizer

NANO = EMBEDDED / "Qwen3-Embedding-0.6B"
TEXTS = ("", "slow jazz, 92 bpm", "größe ♯♭ 東京 🎵", "<|endoftext|> and more <|im_end|>", "a " * 400)


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder(NANO, Target(torch.device("cpu"), torch.float32, lambda: None))


@torch.inference_mode()
def test_the_encoder_equals_transformers(encoder):
    """The same states at every position, for one token and for many."""
    theirs = Qwen3Model(Qwen3Config.from_pretrained(NANO)).eval()
    theirs.load_state_dict(encoder.state_dict())
    for length in (1, 7, 256):
        ids = torch.randint(0, 2048, (1, length), generator=torch.Generator().manual_seed(length))
        torch.testing.assert_close(encoder(ids), theirs(input_ids=ids).last_hidden_state, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("text", TEXTS)
def test_the_tokenizer_equals_transformers(text):
    """Ids, cut ids and their text."""
    ours, theirs = load_text_tokenizer(NANO), AutoTokenizer.from_pretrained(NANO, local_files_only=True)
    assert ours.ids(text) == theirs(text, verbose=False).input_ids
    for limit in (1, 5, 64):
        assert ours.ids(text, limit) == theirs(text, truncation=True, max_length=limit).input_ids
    assert ours.ids(text) == theirs(text, verbose=False).input_ids, "a limit holds for one call"
    assert ours.decode(ours.ids(text), skip_special_tokens=True) == theirs.decode(
        theirs(text, verbose=False).input_ids, skip_special_tokens=True
    )


def test_a_limit_keeps_the_marker_behind_a_text(tmp_path):
    """What the file puts behind every text counts within the limit and stays."""
    tokenizer = Tokenizer.from_file(str(NANO / "tokenizer.json"))
    tokenizer.post_processor = TemplateProcessing(single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    words = load_text_tokenizer(tmp_path)
    whole = words.ids("slow jazz with a long solo")
    assert whole[-1] == 0 and words.ids("slow jazz with a long solo", 4) == [*whole[:3], 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        ({"use_sliding_window": True}, "sliding attention"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "'yarn' positions"),
        ({"vocab_size": None}, "lacks vocab_size"),
        ({"hidden_size": -3}, "makes no network"),
    ],
)
def test_another_network_is_refused(tmp_path, change, words):
    """A config that asks for what the encoder does not do is told, not run differently."""
    config = {**json.loads((NANO / "config.json").read_text()), **change}
    (tmp_path / "config.json").write_text(
        json.dumps({name: value for name, value in config.items() if value is not None})
    )
    with pytest.raises(BadCheckpoint, match=words):
        build_text_encoder(tmp_path)
