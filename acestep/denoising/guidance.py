"""From a registered guidance method to the settings of a run."""

from __future__ import annotations

from acestep.api.sampling import GuidanceSpec
from acestep.api.targets import resolve_target
from acestep.denoising.denoising_run import GuidanceSettings


def guidance_settings(spec: GuidanceSpec, scale: float, *, low: float = 0.0, high: float = 1.0) -> GuidanceSettings:
    """Guidance of a run; scale 1 (or a method that never looks at the unconditional branch) is not guidance, at half the cost."""
    if not spec.needs_uncond or scale <= 1.0:
        return GuidanceSettings()
    kind = resolve_target(spec.target)
    return GuidanceSettings(make=lambda: kind(scale), low=low, high=high)
