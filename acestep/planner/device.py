"""How much memory there is for the language model. The device itself is chosen as for the other networks."""

from __future__ import annotations

import os

import torch

from acestep.checkpoints.devices import choose_device, choose_dtype, is_out_of_memory

__all__ = ["choose_device", "choose_dtype", "device_memory", "is_out_of_memory"]


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
