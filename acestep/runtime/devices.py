"""Which device and number format to run on."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from acestep.api.errors import BadRequest, Unavailable
from acestep.runtime.tiers import Tier, simulated_memory, tier_of

DEVICES = ("cuda", "mps", "xpu", "cpu")
"""In the order of preference."""

DTYPES = {"float32": torch.float32, "fp32": torch.float32, "bfloat16": torch.bfloat16, "bf16": torch.bfloat16,
          "float16": torch.float16, "fp16": torch.float16}  # fmt: skip

AUTO = ("", "auto")

MPS_SHARE = 0.75
"""Share of a Mac's memory that its GPU may use where the system does not say."""


BFLOAT_CAPABILITY = (8, 0)
"""First CUDA generation (Ampere) with bfloat16 arithmetic."""

DEVICE_SENTENCES = ("CUDA error:", "CUDA driver error:", "HIP error:", "CUBLAS_STATUS_EXECUTION_FAILED", "DEVICE_LOST")
"""What plain RuntimeErrors say when a GPU has failed or left the bus."""


@dataclass(frozen=True)
class Choice:
    """The chosen device: ``memory_gb`` is what to plan with (None on a CPU, which swaps rather than fails)."""

    device: torch.device
    dtype: torch.dtype
    memory_gb: float | None
    tier: Tier
    notes: tuple[str, ...] = ()


def choose(device: str = "auto", dtype: str = "auto", *, insist: bool = False) -> Choice:
    """Device and dtype from the settings (or ``ACESTEP_DEVICE``, ``ACESTEP_DTYPE``), and what fits there. A device that this
    machine lacks is replaced by the best there is, with a note, unless somebody ``insist``s on it.

    Raises `BadRequest` for a name that is none, `Unavailable` for a device that must be and is not here.
    """
    notes: tuple[str, ...] = ()
    try:
        target = choose_device(device)
    except Unavailable as failure:
        if insist:
            raise
        target = _best()
        notes = (f"{failure.message}; {target.type} is used instead",)
    memory = memory_gb(target)
    # a CPU is in no tier's bounds: it swaps where a GPU fails
    return Choice(
        target, choose_dtype(target, dtype), memory, tier_of(float("inf") if memory is None else memory), notes
    )


def choose_device(name: str = "auto") -> torch.device:
    """The named device, else that of ``ACESTEP_DEVICE``, else the best there is.

    Raises `BadRequest` for a name that is none, `Unavailable` for a device that this machine lacks.
    """
    named = os.environ.get("ACESTEP_DEVICE", "auto") if name in ("", "auto") else name
    if named in ("", "auto"):
        return _best()
    kind, _, index = named.partition(":")
    if kind not in DEVICES or (index and not index.isdigit()):
        raise BadRequest(f"{named!r} is not a device", field="device", limits={"choices": ["auto", *DEVICES]})
    if not available(kind):
        raise Unavailable(f"this machine has no {kind} device", field="device")
    if kind == "cpu":
        return torch.device("cpu")  # a number tells workers apart; all of them compute on the same processor
    if index and int(index) >= (count := len(alike(torch.device(kind)))):
        here = "one" if count == 1 else str(count)
        raise Unavailable(
            f"there is no device {named}; this machine has {here} of its kind, from {kind}:0", field="device"
        )
    return torch.device(named)


def alike(device: torch.device) -> list[str]:
    """The names of all devices of a device's kind on this machine, itself included."""
    if device.type == "cuda":
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if device.type == "xpu":
        return [f"xpu:{index}" for index in range(torch.xpu.device_count())]
    return [device.type]


def _best() -> torch.device:
    return torch.device(next(kind for kind in DEVICES if available(kind)))


def available(kind: str) -> bool:
    """Whether this machine has a device of that kind."""
    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    if kind == "xpu":
        return hasattr(torch, "xpu") and torch.xpu.is_available()
    return kind == "cpu"


def choose_dtype(device: torch.device, dtype: str = "auto") -> torch.dtype:
    """bfloat16 where a GPU has it (it is what the weights were trained in), else float32. That of a CPU is float32, which every
    model runs in: those whose files hold bfloat16 run in bfloat16 on a CPU that has it (`acestep.runtime.policy`), and have
    their matrices widened as they work on others (`acestep.networks.layers.Linear`).

    float16 is never chosen by itself: older cards and Macs produce NaN or noise with it.
    """
    named = _named_dtype(dtype)
    if named not in AUTO:
        if named not in DTYPES:
            raise BadRequest(f"{named!r} is not a number format", field="dtype", limits={"choices": ["auto", *DTYPES]})
        return DTYPES[named]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= BFLOAT_CAPABILITY else torch.float32
    return torch.bfloat16 if device.type == "xpu" else torch.float32


def names_no_dtype(dtype: str = "auto") -> bool:
    """Whether neither the setting nor ``ACESTEP_DTYPE`` names a number format."""
    return _named_dtype(dtype) in AUTO


def _named_dtype(dtype: str) -> str:
    return os.environ.get("ACESTEP_DTYPE", "auto") if dtype in AUTO else dtype


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 itself; a processor that does not takes several times as long as in float32."""
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return choose_dtype(device) is torch.bfloat16


def dtype_name(dtype: torch.dtype) -> str:
    """``float32`` for ``torch.float32``."""
    return str(dtype).removeprefix("torch.")


def memory_gb(device: torch.device) -> float | None:
    """Memory of a device in GB to plan with, simulated sizes included; None for a CPU."""
    if device.type == "cpu":
        return None
    return simulated_memory(device.type, _real_memory(device) / 2**30)


def _real_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if device.type == "xpu":
        return torch.xpu.get_device_properties(device).total_memory
    recommended = torch.mps.recommended_max_memory()  # 0 where the system does not say
    return recommended or MPS_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def free_gb(device: torch.device) -> float | None:
    """Free memory of a device in GB, within its simulated size; None where nobody can tell."""
    if device.type != "cuda":
        return None
    free, total = torch.cuda.mem_get_info(device)
    used = (total - free) / 2**30  # by everybody, also other programs
    return max(0.0, simulated_memory("cuda", total / 2**30) - used)


def hold_to_simulated(device: torch.device) -> None:
    """Let torch take no more of a CUDA device than ``MAX_CUDA_VRAM`` says: a small card can then be tried on a large one."""
    if device.type != "cuda":
        return
    real = _real_memory(device) / 2**30
    allowed = simulated_memory("cuda", real)
    if allowed < real:
        torch.cuda.set_per_process_memory_fraction(allowed / real, device.index)


def is_device_lost(failure: BaseException) -> bool:
    """Whether an exception means that the device itself failed or has gone, after which this process cannot use it any more.

    torch raises an `AcceleratorError` for what a driver reports; older libraries say so in a RuntimeError's text.
    """
    if isinstance(failure, torch.OutOfMemoryError) or not isinstance(failure, RuntimeError):
        return False
    return isinstance(failure, torch.AcceleratorError) or any(words in str(failure) for words in DEVICE_SENTENCES)


def free_cache(device: torch.device) -> None:
    """Give memory that torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
