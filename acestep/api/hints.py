"""What serves well in a field: the values that suit a model, and how much this machine's device takes at once.

`describe` publishes hints, forms and ``--help`` show them behind a field's summary. No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from acestep.api.limits import MAX_DURATION
from acestep.api.schema import FieldInfo
from acestep.api.variants import VARIANTS, ModelInfo

KINDS = {"turbo": "Turbo", "sft": "SFT", "base": "Base", "nano": "Nano"}
"""Variants whose hints are told where no model is chosen: those of the others are the same."""


BOUNDED = ("duration", "variants")
"""Fields that the memory of a device bounds."""


class DeviceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a device takes at once, by the memory that it has."""

    device: str
    memory_gb: float
    tier: str
    seconds: float
    """Longest new piece."""
    seconds_with_planner: float
    """The same where a language model plans it first."""
    at_once: int
    """Variants that are rendered together; more follow one after another."""
    at_once_with_planner: int

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> DeviceLimits | None:
        """The limits in what a worker tells of itself (`acestep.runtime.tiers.limit_facts`); none where nothing bounds it."""
        if info.get("memory_gb") is None or info.get("minutes_with_planner") is None:
            return None
        return cls(
            device=str(info.get("device") or ""),
            memory_gb=round(float(info["memory_gb"]), 1),
            tier=str(info["tier"]),
            seconds=min(60.0 * info["minutes"], MAX_DURATION),
            seconds_with_planner=min(60.0 * info["minutes_with_planner"], MAX_DURATION),
            at_once=int(info["items"]),
            at_once_with_planner=int(info["items_with_planner"]),
        )

    def hint(self, field: str) -> str:
        """What it bounds of a field, in a sentence; empty for a field that it leaves alone."""
        where = f"this device ({self.device}, {self.memory_gb:g} GB)"
        if field == "duration":
            least, planned = f"{self.seconds:g} s", f"{self.seconds_with_planner:g} s"
            return f"{where} makes up to {least} at once{_otherwise(least, planned)}."
        if field == "variants":
            least, planned = str(self.at_once), str(self.at_once_with_planner)
            return f"{where} renders {least} at a time{_otherwise(least, planned)}; more take longer, not more memory."
        return ""


def _otherwise(usual: str, planned: str) -> str:
    return "" if usual == planned else f", {planned} where a language model plans first"


def narrowest(limits: Iterable[DeviceLimits]) -> DeviceLimits | None:
    """Of several devices the one that takes least: a job may get any of them."""
    return min(
        limits, key=lambda one: (one.seconds_with_planner, one.at_once_with_planner, one.memory_gb), default=None
    )


def with_hints(
    fields: Iterable[FieldInfo], model: ModelInfo | None = None, device: DeviceLimits | None = None
) -> list[FieldInfo]:
    """The fields with their hints: of one model, or of every kind of model where none is named, and of the device."""
    found = []
    for info in fields:
        said = _of_kinds(info.name) if model is None else model.defaults.hints.get(info.name, "")
        hint = " ".join(
            filter(None, (_sentence(said), _sentence(device.hint(info.name)) if device is not None else ""))
        )
        found.append(msgspec.structs.replace(info, hint=hint) if hint else info)
    return found


def _of_kinds(field: str) -> str:
    said = {title: VARIANTS[kind].hints.get(field) for kind, title in KINDS.items()}
    return " ".join(f"{title}: {hint}" for title, hint in said.items() if hint)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
