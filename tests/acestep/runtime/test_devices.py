"""Device, number format and memory limits follow from tables and the environment."""

from __future__ import annotations

import errno
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from acestep.api.errors import BadCheckpoint, BadRequest, OutOfMemory
from acestep.api.shortage import is_out_of_memory
from acestep.runtime import devices
from acestep.runtime.devices import choose, choose_dtype, hold_to_simulated
from acestep.runtime.tiers import TIERS, Offload, clamp, fitting_items, limits_for, simulated_memory, tier_of

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


@pytest.mark.parametrize(("wished", "share"), [("", None), ("96", None), ("6", 0.25)])
def test_a_simulated_card_holds_torch_to_its_size(monkeypatch, wished, share):
    """A quarter of the real card is all that torch may take then; without a wish, or with a larger one, nothing is set."""
    held = []
    monkeypatch.setenv("MAX_CUDA_VRAM", wished)
    card = SimpleNamespace(total_memory=24 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: held.append(given))
    hold_to_simulated(torch.device("cuda:1"))
    assert held == ([] if share is None else [(share, 1)])


def test_devices_that_are_no_cards_are_not_held(monkeypatch):
    """CUDA's function would fail where there is no CUDA."""
    monkeypatch.setenv("MAX_CUDA_VRAM", "6")
    monkeypatch.delattr(torch.cuda, "set_per_process_memory_fraction")
    for kind in ("cpu", "mps", "xpu"):
        hold_to_simulated(torch.device(kind))


def test_planned_jobs_have_the_narrower_limits_of_their_tier():
    """Minutes and items with a planner, as the authors' table has them; where they are equal nothing changes."""
    small, large = tier_of(11), tier_of(80)
    planned = limits_for(small, "cuda", 60, planned=True)
    assert (small.minutes, small.items) == (10, 4) and (planned.minutes, planned.items) == (8, 2)
    assert limits_for(small, "cuda", 60, planned=False) == small
    assert limits_for(large, "cuda", 600, planned=True) == large


def test_a_mac_takes_long_pieces_one_by_one():
    """Beyond three minutes, and only there."""
    tier = tier_of(36)
    items = [limits_for(tier, kind, seconds, planned=False).items for kind, seconds in
             (("mps", 180), ("mps", 180.1), ("cuda", 600))]  # fmt: skip
    assert items == [8, 1, 8]


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


@pytest.mark.parametrize(
    ("there", "best"),
    [
        (("cuda", "mps", "xpu", "cpu"), "cuda"),
        (("mps", "xpu", "cpu"), "mps"),
        (("xpu", "cpu"), "xpu"),
        (("cpu",), "cpu"),
    ],
)
def test_the_best_device_there_is_comes_first(monkeypatch, there, best):
    """cuda, mps, xpu, cpu; it also replaces one that is wished and not there."""
    monkeypatch.delenv("ACESTEP_DEVICE", raising=False)
    monkeypatch.setattr(devices, "available", lambda kind: kind in there)
    monkeypatch.setattr(devices, "memory_gb", lambda device: 8.0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert choose().device.type == best
    for missing in {"cuda", "mps", "xpu"} - set(there):
        found = choose(missing)
        assert found.device.type == best and best in found.notes[0]


@pytest.mark.parametrize(
    ("device", "capability", "dtype"),
    [
        ("cuda", (9, 0), torch.bfloat16),
        ("cuda", (8, 0), torch.bfloat16),
        ("cuda", (7, 5), torch.float32),
        ("cuda", (6, 1), torch.float32),
        ("mps", None, torch.float32),
        ("xpu", None, torch.bfloat16),
        ("cpu", None, torch.float32),
    ],
)
def test_number_format_by_device(monkeypatch, device, capability, dtype):
    """bfloat16 from Ampere on and on Intel's GPUs; float32 on older cards, Macs and CPUs. float16 only when told."""
    monkeypatch.delenv("ACESTEP_DTYPE", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_dtype(torch.device(device)) == dtype
    assert choose_dtype(torch.device(device), "fp16") == torch.float16


def real_allocation():
    """A CPU's own failure: more than any address space holds."""
    torch.empty(2**50)


def mac_allocation():
    """The sentence that torch says on a Mac."""
    raise RuntimeError(
        "MPS backend out of memory (MPS allocated: 17.95 GB, other allocations: 192.00 KB, max allowed: 18.13 GB). Tried to "
        "allocate 1.12 GB on private pool."
    )


def card_allocation():
    """CUDA's and XPU's class."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def library_allocation():
    """What a matrix product says that finds no workspace."""
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def python_allocation():
    """Python's own failure."""
    bytearray(2**62)


@pytest.mark.parametrize(
    "allocate", [real_allocation, mac_allocation, card_allocation, library_allocation, python_allocation]
)
def test_a_lack_of_memory_is_known_on_every_device(allocate):
    """By class or by sentence."""
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        allocate()
    assert is_out_of_memory(caught.value)


def test_other_failures_are_no_lack_of_memory():
    """A sampler's own error must not be called one, whatever it says."""
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert not is_out_of_memory(caught.value)
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(BadCheckpoint("a file's name: out of memory.safetensors"))
    assert not is_out_of_memory(RuntimeError("could not create a primitive descriptor for a matmul primitive"))


@pytest.mark.parametrize(
    "cause",
    [
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("unable to mmap 16949052 bytes from file <x>: Cannot allocate memory (12)"),
        ImportError("libx.so: failed to map segment from shared object"),
        SafetensorError("I/O error: Cannot allocate memory (os error 12)"),
        RuntimeError("could not create a primitive"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_a_lack_of_memory_behind_another_error_is_known(cause):
    """A file that could not be mapped is no bad file; the error that says so was only raised from it."""
    assert is_out_of_memory(cause)
    blamed = BadCheckpoint("the config makes no network")
    blamed.__cause__ = RuntimeError("in between")
    assert not is_out_of_memory(blamed)
    blamed.__cause__.__cause__ = cause
    assert is_out_of_memory(blamed)


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
    assert chosen.notes == (f"this machine has no cuda device; {chosen.device.type} is used instead",)


@pytest.mark.parametrize(("device", "dtype"), [("gpu", "auto"), ("cuda:x", "auto"), ("cpu", "int3")])
def test_unknown_names(device, dtype):
    """A device or format nobody knows is an error with the choices."""
    with pytest.raises(BadRequest):
        choose(device, dtype)
