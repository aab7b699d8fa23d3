"""What fits into which amount of device memory, as one table. No torch, so the daemon and ``doctor`` can show it.

Figures from the model authors' own planner (newest state): they are measured without flash attention, so they err on the safe side.
"""

from __future__ import annotations

import os
from enum import Enum

import msgspec

from acestep.api.errors import BadRequest, OutOfMemory


class Offload(Enum):
    """What lives in ordinary memory and visits the device only for its own call."""

    NONE = "none"
    PARTS = "parts"
    """Text encoder and codec."""
    ALL = "all"
    """The DiT too, while the codec decodes."""


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """Limits and policy up to ``memory`` GB of device memory; some are narrower for a job that a planner thinks about."""

    name: str
    memory: float
    minutes: float
    items: int
    minutes_with_planner: float
    items_with_planner: int
    offload: Offload
    int8: bool
    planner: str
    """Largest planner model recommended, empty for none."""


def _tier(
    name: str, memory: float, minutes: tuple[float, float], items: tuple[int, int], policy: tuple[Offload, bool, str]
) -> Tier:
    return Tier(name=name, memory=memory, minutes=minutes[0], minutes_with_planner=minutes[1], items=items[0],
                items_with_planner=items[1], offload=policy[0], int8=policy[1], planner=policy[2])  # fmt: skip


TIERS = (
    _tier("1", 4, (6, 4), (1, 1), (Offload.ALL, True, "")),
    _tier("2", 6, (10, 8), (1, 1), (Offload.ALL, True, "")),
    _tier("3", 8, (10, 8), (2, 2), (Offload.ALL, True, "0.6B")),
    _tier("4", 12, (10, 8), (4, 2), (Offload.ALL, True, "0.6B")),
    _tier("5", 15.5, (10, 8), (4, 4), (Offload.PARTS, True, "1.7B")),
    _tier("6a", 20, (10, 8), (8, 4), (Offload.PARTS, True, "1.7B")),
    _tier("6b", 24, (8, 8), (8, 8), (Offload.NONE, False, "1.7B")),
    _tier("unlimited", float("inf"), (10, 10), (8, 8), (Offload.NONE, False, "4B")),
)
"""By rising memory; 15.5 GB counts as 16, since cards report less than they are sold with."""

PART_GB = {"dit": 4.7, "dit-xl": 9.0, "codec": 0.33, "text_encoder": 1.2, "context": 0.5}
"""Device memory of the parts in bfloat16, and of the CUDA context."""

PER_ITEM_MINUTE_GB = {False: 0.3, True: 0.6}
"""Activations per item and minute, without and with guidance (which evaluates two branches)."""

RESERVE_GB = 0.5
"""Added to the activations of any run, however short."""

MPS_BATCH_SECONDS = 180.0
"""Seconds beyond which a Mac denoises one item at a time."""

SIMULATED = {"cpu": "MAX_CPU_RAM", "cuda": "MAX_CUDA_VRAM", "mps": "MAX_MPS_VRAM", "xpu": "MAX_XPU_VRAM"}
"""Environment variables that make a device look smaller, for tests and shared machines."""


def tier_of(memory_gb: float) -> Tier:
    """The tier of a device with that much memory; exact bounds belong to the larger tier."""
    return next((tier for tier in TIERS if memory_gb < tier.memory), TIERS[-1])


def simulated_memory(kind: str, real_gb: float) -> float:
    """The memory to plan with: the real one, or less where the environment says so. Raises `BadRequest` for nonsense."""
    text = os.environ.get(SIMULATED.get(kind, ""), "")
    if not text:
        return real_gb
    try:
        named = float(text)
    except ValueError as failure:
        raise BadRequest(f"{SIMULATED[kind]}={text!r} is not a number of gigabytes") from failure
    return min(real_gb, named) if named > 0 else real_gb


def limits_for(tier: Tier, kind: str, seconds: float, *, planned: bool) -> Tier:
    """The tier with the limits of one run of so many seconds on a device of that kind, thought about by a planner or not."""
    if planned:
        tier = msgspec.structs.replace(tier, minutes=tier.minutes_with_planner, items=tier.items_with_planner)
    return msgspec.structs.replace(tier, items=1) if kind == "mps" and seconds > MPS_BATCH_SECONDS else tier


def limit_facts(tier: Tier, memory_gb: float | None) -> dict[str, float | str | None]:
    """What a worker tells of its device's limits; nothing bounds a CPU, whose ``memory_gb`` is None."""
    bounds = {"minutes": tier.minutes, "items": tier.items, "minutes_with_planner": tier.minutes_with_planner,
              "items_with_planner": tier.items_with_planner}  # fmt: skip
    return {
        "memory_gb": memory_gb,
        "tier": tier.name,
        **({name: None for name in bounds} if memory_gb is None else bounds),
    }


class Clamped(msgspec.Struct, frozen=True):
    """What is left of a length and a number of items inside a tier, and the sentences that say so."""

    seconds: float
    items: int
    notes: tuple[str, ...]


def clamp(tier: Tier, seconds: float, items: int) -> Clamped:
    """Duration and items at once, held to the tier's limits. More items are still rendered, in several passes."""
    notes = []
    if seconds > tier.minutes * 60:
        notes.append(f"shortened from {seconds:g} s to {tier.minutes * 60:g} s, because the device has no more memory")
    if items > tier.items:
        notes.append(f"rendered {tier.items} at a time instead of {items}, because the device has no more memory")
    return Clamped(min(seconds, tier.minutes * 60), min(items, tier.items), tuple(notes))


def activation_gb(seconds: float, items: int, guided: bool) -> float:
    """Device memory a denoising run needs besides the weights."""
    return items * PER_ITEM_MINUTE_GB[guided] * seconds / 60 + RESERVE_GB


def fitting_items(free_gb: float, seconds: float, items: int, guided: bool, share: float = 1.0) -> int:
    """How many items fit at once of a network that needs this share of the 2B one's activations. Raises `OutOfMemory` when not
    even one does (unless ``ACESTEP_SKIP_VRAM_PREFLIGHT`` is set)."""
    if os.environ.get("ACESTEP_SKIP_VRAM_PREFLIGHT", "").lower() in ("1", "true", "yes"):
        return items
    for count in range(items, 0, -1):  # as many as fit: together they are faster than one after another
        if share * activation_gb(seconds, count, guided) <= free_gb:
            return count
    need = share * activation_gb(seconds, 1, guided)
    raise OutOfMemory(f"{seconds:g} s need about {need:.1f} GB of free memory and {free_gb:.1f} GB are left; "
                      "render a shorter region, or unload other models", limits={"free_gb": round(free_gb, 2)})  # fmt: skip
