"""Where the language model runs, with which numbers, and how much memory there is."""

from __future__ import annotations

import os

import torch


def choose_device(name: str = "auto") -> torch.device:
    """The device of a setting: auto takes cuda, xpu or mps, in this order, else the CPU."""
    if name not in ("", "auto"):
        return torch.device(name)
    for kind, there in (
        ("cuda", torch.cuda.is_available()),
        ("xpu", hasattr(torch, "xpu") and torch.xpu.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if there:
            return torch.device(kind)
    return torch.device("cpu")


def choose_dtype(device: torch.device, name: str = "auto") -> torch.dtype:
    """Numbers of the language model: bfloat16 on cuda and xpu, float32 elsewhere, unless the setting says otherwise."""
    if name in ("", "auto"):
        return torch.bfloat16 if device.type in ("cuda", "xpu") else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def device_memory(device: torch.device) -> int:
    """Bytes of memory of a device; for the CPU (and Apple's shared memory) what the system can still give."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "xpu":
        return int(torch.xpu.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return _free_memory()


def _free_memory() -> int:
    """Bytes that the system can still give, from the kernel's own estimate where there is one."""
    try:
        with open("/proc/meminfo", encoding="ascii") as table:
            for line in table:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 16 * 2**30
