"""From a registered guidance method to the settings of a run."""

from __future__ import annotations

import importlib
from typing import Any

from acestep.api.errors import PluginFailed
from acestep.api.sampling import GuidanceSpec
from acestep.denoising.request import GuidanceSettings


def guidance_settings(spec: GuidanceSpec, scale: float, *, low: float = 0.0, high: float = 1.0) -> GuidanceSettings:
    """Guidance of a run; scale 1 (or a method that never looks at the unconditional branch) is no guidance, at half the cost."""
    if not spec.needs_uncond or scale <= 1.0:
        return GuidanceSettings()
    kind = resolve(spec.target)
    return GuidanceSettings(make=lambda: kind(scale), low=low, high=high)


def resolve(target: str) -> Any:
    """The object that ``module:attribute`` names. Raises `PluginFailed`."""
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as failure:  # a stranger's module may raise anything while it is imported
        raise PluginFailed(f"{target} cannot be loaded: {failure}") from failure
