"""The tokenizer in its published form: every audio token listed four times over, and the same ids read in seconds."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from acestep.api.errors import BadCheckpoint
from acestep.planner.layout import AUDIO_TOKENS, FIRST_SPECIAL, QWEN_TOKENS, read_layout
from acestep.planner.tokenizer import load_tokenizer

PUBLISHED = {"tokenizer_config.json": 14_072_925, "added_tokens.json": 2_217_787, "special_tokens_map.json": 1_824_199}
"""Bytes of the published files. None of them depends on the plain vocabulary, so those of the tiny planner are as long."""


def test_the_tiny_planners_files_have_the_published_form(tiny_folder: Path) -> None:
    """Byte for byte as long as the published ones (which end in a line feed and leave nothing else out)."""
    for name, size in PUBLISHED.items():
        assert abs((tiny_folder / name).stat().st_size - size) <= 1, name
    config = json.loads((tiny_folder / "tokenizer_config.json").read_text())
    assert len(config["additional_special_tokens"]) == AUDIO_TOKENS and "chat_template" not in config
    for name in ("tokenizer.json", "vocab.json", "merges.txt", "chat_template.jinja"):
        assert (tiny_folder / name).is_file()


def test_it_is_read_in_seconds_and_its_ids_stay(tiny_folder: Path) -> None:
    """The library's own way tests every special token against a growing list, which takes minutes of processor time.

    The limit here is on processor time and an order of magnitude from both; `benchmarks/opening.py` has the figure.
    """
    start = time.process_time()
    tokenizer = load_tokenizer(tiny_folder)
    assert time.process_time() - start < 30.0
    plain = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    names = [*QWEN_TOKENS, "<|audio_code_0|>", "<|audio_code_63999|>", "<|audio_code_65534|>"]
    ids = [*range(FIRST_SPECIAL, FIRST_SPECIAL + 26), 151_669, 151_669 + 63_999, 217_203]
    assert tokenizer.convert_tokens_to_ids(names) == [plain.token_to_id(name) for name in names] == ids
    text = "<|im_start|>user\nwarm lofi house<|im_end|>\n<|audio_code_5|><|audio_code_63999|><think>x</think>"
    found = tokenizer(text, add_special_tokens=False).input_ids
    assert found == plain.encode(text, add_special_tokens=False).ids and tokenizer.decode(found) == text
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == ("<|im_end|>", "<|endoftext|>", None)
    layout = read_layout(tokenizer)
    assert (layout.first_code, layout.end, layout.pad) == (151_669, 151_645, 151_643)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert prompt == "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("tokenizer.json", b"{}", "no readable tokenizer.json"),
        ("tokenizer_config.json", b"[", "cannot be read"),
        ("tokenizer_config.json", b'{"eos_token": "<|nowhere|>"}', "names tokens that tokenizer.json lacks"),
        ("chat_template.jinja", b"\xff", "cannot be read"),
        ("chat_template.jinja", b"", "chat_template.jinja"),
    ],
)
def test_damaged_files_are_named(tiny_folder: Path, tmp_path: Path, name: str, data: bytes, sentence: str) -> None:
    """One sentence that says which file, whatever is wrong with it."""
    folder = shutil.copytree(tiny_folder, tmp_path / "acestep-5Hz-lm-0.6B")
    (folder / name).write_bytes(data)
    with pytest.raises(BadCheckpoint, match=sentence):
        load_tokenizer(folder)
