"""Weights in fewer bits: bfloat16 changes no bit of a float32 result, 8 bits change it by little, and what cannot be is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from acestep.checkpoints import quantise
from acestep.checkpoints.load import Model, open_checkpoint
from acestep.checkpoints.memory import Room, is_short, mapped_bytes, resident_bytes
from acestep.checkpoints.tiny import build_tiny
from acestep.conditioning.condition_cache import ConditionRequest, encode_condition
from acestep.conditioning.prompts import Prompt
from acestep.networks.layers import Embedding, Linear
from acestep.networks.packed_linear import PackedLinear, can_pack

WIDE = {"hidden_size": 256, "intermediate_size": 768, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
        "fsq_dim": 256}  # fmt: skip
FRAMES = 250


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A random checkpoint whose files hold bfloat16, as the published ones do."""
    path = build_tiny(tmp_path_factory.mktemp("bundle"), config=WIDE)
    for file in path.parent.rglob("*.safetensors"):
        save_file({name: value.bfloat16() for name, value in load_file(file).items()}, file, metadata={"format": "pt"})
    for manifest in path.parent.glob("manifest.json"):
        manifest.unlink()
    return path


def velocity(model: Model) -> torch.Tensor:
    """One evaluation over random latents under an encoded prompt."""
    draw = lambda *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(7))  # noqa: E731
    condition = model.transformer.condition(encode_condition(model, ConditionRequest(Prompt(caption="slow jazz"))))
    return model.transformer.velocity(draw(1, FRAMES, 64), 0.6, draw(1, FRAMES, 128), [condition])[0]


def test_kept_weights_change_no_bit(stored):
    """Words, conditions, codes and velocities: all as from weights that were converted when the model was opened."""
    kept, whole = open_checkpoint(stored), open_checkpoint(stored, keep=False)
    matrices = [part for network in (kept.transformer, kept.text_encoder, kept.condition_encoder, kept.audio_tokenizer)
                for part in network.modules() if isinstance(part, (Linear, Embedding))]  # fmt: skip
    assert {part.weight.dtype for part in matrices} == {torch.bfloat16} and len(matrices) > 60
    assert {p.dtype for p in whole.transformer.parameters()} == {torch.float32} and kept.dtype == torch.float32
    assert {p.dtype for p in kept.codec.parameters()} == {torch.float32}
    assert torch.equal(velocity(kept), velocity(whole))
    latents = torch.randn(1, 50, 64, generator=torch.Generator().manual_seed(1))
    for ours, theirs in zip(kept.audio_tokenizer.quantise(latents, kept.silence),
                            whole.audio_tokenizer.quantise(latents, whole.silence), strict=True):  # fmt: skip
        assert torch.equal(ours, theirs)


def test_what_stays_in_its_file_needs_no_memory(stored):
    """The figures that a model is refused by, and from which on 8 bits are taken unasked."""
    numbers = {"transformer": {"BF16": 2_000_000_000}, "codec": {"BF16": 170_000_000}, "text_encoder": {"F32": 10}}
    assert resident_bytes(numbers, "float32", widens=True) == 4 * 170_000_000 + 0
    assert mapped_bytes(numbers, "float32", widens=True) == 4_000_000_000 + 40
    assert resident_bytes(numbers, "float32") == 4 * 2_170_000_000
    room = Room(dtype="float32", ram=8_000_000_000, widens=True)
    assert not is_short(numbers, room)
    assert is_short(numbers, Room(dtype="float32", ram=5_000_000_000, widens=True))
    assert not is_short(numbers, Room(dtype="float32", ram=None, widens=True)), "nobody can tell"


@pytest.mark.skipif(not can_pack(), reason="torch has no 8-bit kernels for this processor")
def test_packed_layers_are_near_whole_ones():
    """A weight within half a step of its row's largest, a product within three per cent, the bias whole."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(512, 300)
    packed, x = PackedLinear(layer), torch.randn(2, 9, 512)
    step = layer.weight.abs().amax(1, keepdim=True) / 127
    assert ((packed.unpacked() - layer.weight).abs() <= 0.51 * step).all()
    error = (packed(x) - layer(x)).norm() / layer(x).norm()
    assert packed(x).shape == (2, 9, 300) and 0 < error < 0.03
    assert torch.equal(packed(torch.zeros(1, 512))[0], layer.bias)


@pytest.mark.skipif(not can_pack(), reason="torch has no 8-bit kernels for this processor")
def test_eight_bits_move_the_velocity_by_per_cents(stored, monkeypatch):
    """More than nothing, less than five per cent; told; the same again; and no second time."""
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)
    whole, model = velocity(open_checkpoint(stored)), open_checkpoint(stored)
    assert quantise.quantise_int8(model) == quantise.TOLD == quantise.quantise_int8(model)
    error = (velocity(model) - whole).norm() / whole.norm()
    assert 0.001 < error < 0.05
    assert torch.equal(velocity(model), velocity(model))
    assert quantise.is_quantised(model) and not any(
        isinstance(part, Linear) for part in model.transformer.layers.modules()
    )


def test_what_cannot_be_packed_is_told_and_stays_whole(stored, monkeypatch):
    """The embedded model's size, a processor without kernels, another number format: a sentence each, the model as it was."""
    model = open_checkpoint(stored)
    assert "so small" in quantise.quantise_int8(model)
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)
    monkeypatch.setattr(quantise, "can_pack", lambda: False)
    assert "no 8-bit arithmetic" in quantise.quantise_int8(model)
    assert "float32, not bfloat16" in quantise.quantise_int8(open_checkpoint(stored, dtype=torch.bfloat16))
    assert not quantise.is_quantised(model) and any(isinstance(p, Linear) for p in model.transformer.layers.modules())
