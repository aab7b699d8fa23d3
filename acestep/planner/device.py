"""How much memory there is for the language model. The device itself is chosen as for the other networks."""

from __future__ import annotations

import torch

from acestep.checkpoints.memory import free_ram
from acestep.runtime.devices import choose_device, choose_dtype

__all__ = ["choose_device", "choose_dtype", "device_memory"]

UNKNOWN = 16 * 2**30
"""Bytes that are assumed where the system does not say."""


def device_memory(device: torch.device) -> int:
    """Bytes of memory of a device; for the CPU (and Apple's shared memory) what the system can still give."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "xpu":
        return int(torch.xpu.get_device_properties(device).total_memory)
    if device.type == "mps":
        return int(torch.mps.recommended_max_memory())
    return free_ram() or UNKNOWN
