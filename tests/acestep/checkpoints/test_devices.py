"""Device, number format and memory limits follow from tables and the environment."""

from __future__ import annotations

import pytest
import torch

from acestep.api.errors import BadRequest, OutOfMemory
from acestep.checkpoints.devices import choose
from acestep.checkpoints.tiers import TIERS, Offload, clamp, fitting_items, simulated_memory, tier_of

SIZES = [(3.5, "1"), (4, "2"), (7.9, "3"), (11, "4"), (15.4, "5"), (15.5, "6a"), (23, "6b"), (80, "unlimited")]


@pytest.mark.parametrize(("memory", "name"), SIZES)
def test_tier_of_a_memory_size(memory, name):
    """Every size has its tier; 15.5 GB counts as 16."""
    assert tier_of(memory).name == name


def test_tiers_rise():
    """More memory never means a smaller limit of items, and never more offloading."""
    order = [Offload.ALL, Offload.PARTS, Offload.NONE]
    assert [tier.memory for tier in TIERS] == sorted(tier.memory for tier in TIERS)
    assert [tier.items for tier in TIERS] == sorted(tier.items for tier in TIERS)
    assert [order.index(tier.offload) for tier in TIERS] == sorted(order.index(tier.offload) for tier in TIERS)


def test_simulated_memory(monkeypatch):
    """MAX_CUDA_VRAM makes a device look smaller, never larger; nonsense is an error."""
    monkeypatch.setenv("MAX_CUDA_VRAM", "8")
    assert simulated_memory("cuda", 24) == 8 and simulated_memory("cuda", 6) == 6 and simulated_memory("mps", 24) == 24
    monkeypatch.setenv("MAX_CUDA_VRAM", "much")
    with pytest.raises(BadRequest):
        simulated_memory("cuda", 24)


def test_limits_are_clamps_with_a_sentence():
    """Beyond a tier's limits a wish is cut, and the result can say so; inside nothing is said."""
    small = tier_of(3)
    cut = clamp(small, 600, 4)
    assert (cut.seconds, cut.items, len(cut.notes)) == (360, 1, 2)
    assert clamp(small, 30, 1).notes == ()


def test_preflight(monkeypatch):
    """Only as many items as fit at once; when not one fits, a clear error unless the check is switched off."""
    assert fitting_items(100, 600, 8, guided=True) == 8
    assert fitting_items(2.0, 60, 8, guided=False) == 5
    with pytest.raises(OutOfMemory):
        fitting_items(0.6, 60, 1, guided=True)
    monkeypatch.setenv("ACESTEP_SKIP_VRAM_PREFLIGHT", "1")
    assert fitting_items(0.6, 60, 4, guided=True) == 4


def test_cpu_runs_in_float32(monkeypatch):
    """A CPU is always there, plans without a limit and computes in float32 unless told otherwise."""
    monkeypatch.delenv("ACESTEP_DTYPE", raising=False)
    chosen = choose("cpu")
    assert (chosen.device.type, chosen.dtype, chosen.memory_gb, chosen.tier.name) == (
        "cpu",
        torch.float32,
        None,
        "unlimited",
    )
    assert choose("cpu", "bf16").dtype == torch.bfloat16


def test_environment(monkeypatch):
    """ACE-Step's own variables are honoured; the settings win over them."""
    monkeypatch.setenv("ACESTEP_DEVICE", "cpu")
    monkeypatch.setenv("ACESTEP_DTYPE", "bfloat16")
    assert choose().dtype == torch.bfloat16 and choose().device.type == "cpu"
    assert choose(dtype="float32").dtype == torch.float32


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_missing_device_falls_back_with_a_note(monkeypatch):
    """A wished device that is not there is replaced, and the note says by what."""
    chosen = choose("cuda:0")
    assert chosen.device.type != "cuda"
    assert chosen.notes == (f"there is no cuda device on this machine; {chosen.device.type} is used instead",)


@pytest.mark.parametrize(("device", "dtype"), [("gpu", "auto"), ("cuda:x", "auto"), ("cpu", "int3")])
def test_unknown_names(device, dtype):
    """A device or format nobody knows is an error with the choices."""
    with pytest.raises(BadRequest):
        choose(device, dtype)
