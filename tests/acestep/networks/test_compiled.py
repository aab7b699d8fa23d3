"""The compiled DiT renders what the plain one renders, and goes on without a compiler."""

from __future__ import annotations

import pytest
import torch

from acestep.networks import compiled
from acestep.networks.attention import DENSE_LIMIT
from acestep.networks.compiled import CompiledBlock, compile_blocks
from acestep.networks.dit import Dit, run_block

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
         "head_dim": 16, "sliding_window": 6, "encoder_hidden_size": 32}  # fmt: skip


@pytest.fixture
def dit() -> Dit:
    torch.manual_seed(0)
    return Dit(**SIZES).eval()


def velocity(dit: Dit, frames: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    x, context = torch.randn(1, frames, 64, generator=generator), torch.randn(1, frames, 128, generator=generator)
    return dit.velocity(x, 0.6, context, [dit.condition(torch.randn(1, 7, 32, generator=generator))])[0]


@pytest.mark.long
def test_compiled_blocks_give_the_same_velocity():
    """Within rounding, at more than one length, with torch's real compiler; nothing falls back in silence."""
    dit = Dit(**{**SIZES, "num_hidden_layers": 1}).eval()
    plain = [velocity(dit, frames) for frames in (30, 50)]
    runner = compile_blocks(dit)
    found = [velocity(dit, frames) for frames in (30, 50)]
    if "compiler" in runner.failure.lower():
        pytest.skip(f"this machine cannot compile: {runner.failure}")
    assert runner.failure == ""
    for ours, wanted in zip(found, plain, strict=True):
        assert torch.allclose(ours, wanted, atol=1e-5)


def test_a_broken_compiler_costs_nothing_but_speed(dit, monkeypatch):
    """Its first failure is kept as a sentence, it is not asked again, and the result is the plain one to the bit."""
    asked = []

    def broken(*arguments):
        asked.append(1)
        raise RuntimeError("no C++ compiler\nand a long story")

    monkeypatch.setattr(compiled.torch, "compile", lambda function, dynamic: broken)
    plain = velocity(dit, 30)
    runner = compile_blocks(dit)
    assert torch.equal(velocity(dit, 30), plain)
    assert (runner.failure, len(asked)) == ("no C++ compiler", 1)


def test_running_out_of_memory_is_no_failure_of_the_compiler(dit, monkeypatch):
    """It goes up to where smaller jobs are proposed."""

    def full(*arguments):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(compiled.torch, "compile", lambda function, dynamic: full)
    compile_blocks(dit)
    with pytest.raises(torch.OutOfMemoryError):
        velocity(dit, 30)


def test_sliding_attention_over_long_audio_stays_uncompiled(dit, monkeypatch):
    """Its number of pieces is no constant; blocks with full attention are compiled at any length."""
    compiled_blocks = []

    def note(block, *rest):
        compiled_blocks.append(block.self_attn.sliding_window)
        return run_block(block, *rest)

    monkeypatch.setattr(compiled.torch, "compile", lambda function, dynamic: note)
    compile_blocks(dit)
    velocity(dit, 2 * DENSE_LIMIT + 20)
    assert compiled_blocks == [None]


def test_a_model_is_compiled_once(dit):
    """Opening it again keeps the compiled form."""
    assert compile_blocks(dit) is compile_blocks(dit)
    assert isinstance(dit.quicker_block, CompiledBlock)
