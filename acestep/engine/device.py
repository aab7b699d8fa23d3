"""Which device and number type the networks run with."""

from __future__ import annotations

import os

import torch

from acestep.api.errors import BadRequest, Unavailable

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BFLOAT_CAPABILITY = (8, 0)
"""First CUDA generation (Ampere) with bfloat16 arithmetic; older ones run float32, for float16 overflows there."""


def choose_device(name: str) -> torch.device:
    """The named device, or the best there is for ``auto``. Raises `Unavailable` for one that this machine lacks."""
    if name in ("", "auto"):
        return torch.device(next(kind for kind in ("cuda", "mps", "xpu", "cpu") if _present(kind)))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadRequest(
            f"{name!r} is no device", field="device", limits={"choices": ["auto", "cpu", "cuda", "mps", "xpu"]}
        ) from None
    if not _present(device.type):
        raise Unavailable(f"there is no {device.type} device on this machine", field="device")
    return device


def _present(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    if kind == "mps":
        return torch.backends.mps.is_available()
    if kind == "xpu":
        return hasattr(torch, "xpu") and torch.xpu.is_available()
    return kind == "cpu"


def choose_dtype(device: torch.device, name: str) -> torch.dtype:
    """The named type, else that of ``ACESTEP_DTYPE``, else what the device does well."""
    wanted = name if name not in ("", "auto") else os.environ.get("ACESTEP_DTYPE", "auto")
    if wanted in DTYPES:
        return DTYPES[wanted]
    if wanted not in ("", "auto"):
        raise BadRequest(f"{wanted!r} is no number type", field="dtype", limits={"choices": ["auto", *DTYPES]})
    if device.type == "cuda" and torch.cuda.get_device_capability(device) >= BFLOAT_CAPABILITY:
        return torch.bfloat16
    return torch.bfloat16 if device.type == "xpu" else torch.float32


def free_cache(device: torch.device) -> None:
    """Give memory that torch keeps for later back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
    elif device.type == "xpu":
        torch.xpu.empty_cache()
