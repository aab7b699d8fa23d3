"""GGUF files, written by the `gguf` package itself: heads as its own reader sees them, numbers as its own formulas give them."""

from __future__ import annotations

import struct
from pathlib import Path

import foreign_files as foreign
import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from acestep.api.errors import AceError, ModelMissing
from acestep.checkpoints import gguf_header
from acestep.checkpoints.info import checkpoint_problems, find_checkpoint, read_info
from acestep.checkpoints.load import open_checkpoint
from acestep.checkpoints.tiny import build_tiny
from acestep.checkpoints.weights import tensor_index

Type = gguf.GGMLQuantizationType
WIDE = {"model_version": "turbo", "is_turbo": True, "trained": True, "hidden_size": 256, "intermediate_size": 256,
        "num_attention_heads": 16, "num_key_value_heads": 16}  # fmt: skip
"""Rows of whole blocks of 256 numbers, as K-quants need them."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DiT folder of a bundle; read only."""
    return build_tiny(
        tmp_path_factory.mktemp("wide"), config=WIDE, name="acestep-v15-turbo", codec="AutoencoderOobleck"
    )


def kept(kind: Type):
    """Matrices in one type, everything else in BF16, as acestep.cpp's quantiser does it."""

    def choose(name: str, tensor: torch.Tensor) -> Type:
        block = gguf.GGML_QUANT_SIZES[kind][0]
        fits = tensor.ndim == 2 and tensor.shape[-1] % block == 0 and "layers." in name
        return kind if fits else Type.BF16

    return choose


@pytest.mark.parametrize(
    "kind", [Type.BF16, Type.F16, Type.Q8_0, Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]
)
def test_a_model_of_gguf_files_opens(published: Path, tmp_path: Path, kind: Type) -> None:
    """Its own config, silence latent and tokens are used; every number is what the package makes of the blocks."""
    file = foreign.gguf_files(published, tmp_path, kept(kind), kind.name)
    info = find_checkpoint(f"turbo-{kind.name}", [tmp_path])
    assert (info.origin, info.variant, info.path) == ("GGUF", "turbo", str(file)) and checkpoint_problems(
        [tmp_path]
    ) == {}
    model = open_checkpoint(file)
    assert torch.equal(model.silence, open_checkpoint(published).silence)
    expected = {row.name: row for row in gguf.GGUFReader(file).tensors}
    index = tensor_index(file, "transformer")
    state = model.transformer.state_dict()
    assert set(index) == set(state)
    assert kind is Type.BF16 or {kind.name} < {stored.dtype for stored in index.values()}
    for name, stored in index.items():
        row = expected[stored.name]
        numbers = gguf.quants.dequantize(row.data, row.tensor_type)
        assert np.array_equal(state[name].float().numpy().ravel(), numbers.ravel().astype(np.float32)), name
    if kind is Type.BF16:
        plain = load_file(published / "model.safetensors")["decoder.norm_out.weight"]
        assert torch.equal(state["norm_out.weight"].float(), plain.to(torch.bfloat16).float())


def test_q4_k_means_what_ggml_says() -> None:
    """Against the format's own words: 8 groups of 32 numbers with a 6-bit scale and minimum each, over two half factors."""
    rng = np.random.default_rng(3)
    block = rng.integers(0, 256, 144, dtype=np.uint8)
    block[:4] = np.array([0.03, 0.5], np.float16).view(np.uint8)
    d, least = np.float32(np.float16(0.03)), np.float32(np.float16(0.5))
    packed, nibbles = block[4:16], block[16:]
    expected = []
    for group in range(8):
        if group < 4:
            scale, minimum = packed[group] & 63, packed[group + 4] & 63
        else:
            scale = (packed[group + 4] & 15) | (packed[group - 4] >> 6) << 4
            minimum = (packed[group + 4] >> 4) | (packed[group] >> 6) << 4
        four = nibbles[group // 2 * 32 : group // 2 * 32 + 32]
        values = (four >> 4) if group % 2 else (four & 15)
        expected += list(d * np.float32(scale) * values.astype(np.float32) - least * np.float32(minimum))
    found = gguf.quants.dequantize(block.reshape(1, 144), Type.Q4_K)
    assert np.allclose(found.ravel(), expected, rtol=1e-6, atol=1e-6)


def test_a_head_is_what_the_packages_reader_sees(published: Path, tmp_path: Path) -> None:
    """Names, shapes, types, offsets; and the tokens, on demand."""
    file = foreign.gguf_files(published, tmp_path, kept(Type.Q8_0), "Q8_0")
    head, reader = gguf_header.read_head(file), gguf.GGUFReader(file)
    assert head.architecture == "acestep-dit" and head.config["model_version"] == "turbo"
    assert {name: (row.shape, row.type, row.offset, row.size) for name, row in head.tensors.items()} == {
        row.name: (tuple(reversed(row.shape.tolist())), row.tensor_type.name, row.data_offset, row.n_bytes)
        for row in reader.tensors
    }
    text = tmp_path / "Qwen3-Embedding-0.6B-Q8_0.gguf"
    tokens = gguf.GGUFReader(text).get_field("tokenizer.ggml.tokens").contents()
    assert gguf_header.read_strings(text, "tokenizer.ggml.tokens") == tokens


def test_the_text_tokenizer_is_made_of_the_files_tokens(published: Path, tmp_path: Path) -> None:
    """Plain tokens at their ids, Qwen's own behind them, and the end of text after every text, as the published one has it."""
    file = foreign.gguf_files(published, tmp_path, kept(Type.BF16), "BF16")
    words = open_checkpoint(file).text_tokenizer
    count = len(gguf_header.read_strings(tmp_path / "Qwen3-Embedding-0.6B-BF16.gguf", "tokenizer.ggml.tokens"))
    assert words.id_of("<|endoftext|>") == count
    assert words.ids("hi") == [words.id_of("h"), words.id_of("i"), count]


@pytest.mark.parametrize("place", range(0, 200, 7))
def test_a_cut_file_is_told(published: Path, tmp_path: Path, place: int) -> None:
    """Wherever it ends: one clear error, at once."""
    file = foreign.write_gguf(tmp_path / "a.gguf", "acestep-vae", {"a": torch.zeros(32, 32)}, {}, kept(Type.BF16))
    data = file.read_bytes()
    file.write_bytes(data[: len(data) * place // 200])
    with pytest.raises(AceError) as caught:
        read_info(file)
    assert caught.value.field == "model"


def test_counts_are_not_believed(tmp_path: Path) -> None:
    """A few bytes that promise more entries than any file could hold; the package's reader would be busy with them forever."""
    file = tmp_path / "a.gguf"
    array = struct.pack("<Q1sIIQ", 1, b"k", 9, 0, 2**62)
    for body in (struct.pack("<QQ", 2**60, 0), struct.pack("<QQ", 0, 2**60), struct.pack("<QQ", 0, 1) + array):
        file.write_bytes(b"GGUF" + struct.pack("<I", 3) + body + b"\0" * 64)
        with pytest.raises(ModelMissing, match="cut short"):
            read_info(file)
