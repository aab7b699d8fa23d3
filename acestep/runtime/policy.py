"""How a worker computes: device, number format, offloading, 8-bit weights, attention kernel, compiler. Chosen once, then shown."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from acestep.api.errors import BadRequest
from acestep.runtime.devices import Choice, alike, choose, dtype_name, has_bfloat16, names_no_dtype
from acestep.runtime.tiers import Offload, limit_facts

_PLAIN = (SDPBackend.MATH,)
ATTENTION: dict[str, tuple[SDPBackend, ...]] = {
    "auto": (),
    "flash": (SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, *_PLAIN),
    "efficient": (SDPBackend.EFFICIENT_ATTENTION, *_PLAIN),
    "cudnn": (SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, *_PLAIN),
    "math": _PLAIN,
}
"""Kernels of torch's attention by the setting's value, the preferred one first; what it cannot do the next one does (flash
takes no masks on CUDA, and sliding attention has one). ``auto`` leaves the choice to torch."""

TRUE = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Policy:
    """What the settings, the environment and the device come to."""

    choice: Choice
    offload: Offload
    int8: bool
    attention: str
    compiled: bool
    codec_on_cpu: bool = False
    int8_where_short: bool = False
    """Whether a model that hardly fits into a CPU's memory gets 8-bit weights unasked."""
    dtype_open: bool = False
    """Whether nobody named a number format."""
    bfloat16_where_stored: bool = False
    """Whether a CPU computes with bfloat16 where a model's files hold it."""

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Policy:
        """The policy of a worker's settings map. Raises `BadRequest` for a value that is none."""
        device, dtype = str(settings.get("device") or "auto"), str(settings.get("dtype") or "auto")
        choice = choose(device, dtype, insist=bool(settings.get("insist")))
        dtype_open = names_no_dtype(dtype)
        attention = str(settings.get("attention") or "auto")
        # variables named ACESTEP_... are the original's: whoever set them up for it finds them heard, below every setting of ours
        if attention == "auto" and _env_flag("ACESTEP_USE_FLASH_ATTENTION"):
            attention = "flash"
        if attention not in ATTENTION:
            limits = {"choices": list(ATTENTION)}
            raise BadRequest(f"{attention!r} is not an attention kernel", field="attention", limits=limits)
        return cls(
            choice=choice,
            offload=_offload(str(settings.get("offload") or "auto"), choice),
            int8=_int8(str(settings.get("int8") or "auto"), choice),
            attention=attention,
            compiled=str(settings.get("compile") or "off") == "on",
            codec_on_cpu=_env_flag("ACESTEP_VAE_ON_CPU"),
            int8_where_short=choice.device.type == "cpu" and str(settings.get("int8") or "auto") == "auto",
            dtype_open=dtype_open,
            bfloat16_where_stored=choice.device.type == "cpu" and dtype_open and has_bfloat16(choice.device),
        )

    def attending(self) -> AbstractContextManager[None]:
        """A context in which torch's attention prefers the chosen kernel."""
        kernels = ATTENTION[self.attention]
        # in order of priority instead of exclusively: what the preferred kernel cannot do should be slower and not fail
        return sdpa_kernel(list(kernels), set_priority=True) if kernels else nullcontext()

    def facts(self) -> dict[str, Any]:
        """For status and ``doctor``."""
        device = self.choice.device
        return {
            "device": str(device),
            "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "devices": alike(device),
            "dtype": dtype_name(self.choice.dtype),
            **limit_facts(self.choice.tier, self.choice.memory_gb),
            "offload": self.offload.value,
            "bfloat16_where_stored": self.bfloat16_where_stored,
            "int8": self.int8,
            "codec_on_cpu": self.codec_on_cpu,
            "attention": self.attention,
            "compile": "on" if self.compiled else "off",
            "notes": list(self.choice.notes),
        }


def _offload(setting: str, choice: Choice) -> Offload:
    """As told, else as the original's variables say, else the tier's. A CPU has nowhere to offload to, and a Mac's GPU works in
    the ordinary memory anyway."""
    if choice.device.type == "cpu":
        return Offload.NONE
    if setting == "auto":
        named = {"ACESTEP_OFFLOAD_DIT_TO_CPU": Offload.ALL, "ACESTEP_OFFLOAD_TO_CPU": Offload.PARTS}
        otherwise = Offload.NONE if choice.device.type == "mps" else choice.tier.offload
        return next((offload for name, offload in named.items() if _env_flag(name)), otherwise)
    try:
        return Offload(setting)
    except ValueError:
        limits = {"choices": ["auto", *(offload.value for offload in Offload)]}
        raise BadRequest(f"{setting!r} is no way to offload", field="offload", limits=limits) from None


def _int8(setting: str, choice: Choice) -> bool:
    """As told, else where the tier needs it and the package is there; on a Mac only as told."""
    if setting in ("on", "off"):
        return setting == "on"
    if choice.device.type == "mps":
        return False
    return choice.memory_gb is not None and choice.tier.int8 and importlib.util.find_spec("torchao") is not None


def _env_flag(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() in TRUE
