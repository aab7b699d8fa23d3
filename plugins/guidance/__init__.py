"""The built-in guidance methods; their tensor code is in `plugins.guidance.methods`, which only a worker imports."""

from __future__ import annotations

from collections.abc import Callable

from acestep.api import GuidanceSpec, hookimpl

METHODS = "plugins.guidance.methods"

GUIDANCE = (
    GuidanceSpec(name="none", target=f"{METHODS}:Unguided", summary="No guidance: the conditional velocity.", needs_uncond=False),
    GuidanceSpec(name="cfg", target=f"{METHODS}:Cfg", summary="Classifier-free guidance."),
    GuidanceSpec(name="cfg_zero_star", target=f"{METHODS}:CfgZeroStar", aliases=("cfg_zero", "cfg-zero-star", "cfg_star"),
                 summary="Classifier-free guidance with the unconditional velocity scaled to fit."),
    GuidanceSpec(name="apg", target=f"{METHODS}:Apg", summary="Adaptive projected guidance; what base and sft are used with."),
    GuidanceSpec(name="adg", target=f"{METHODS}:Adg", summary="Angle-based guidance of the clean estimate."),
    GuidanceSpec(name="adg_w_norm", target=f"{METHODS}:AdgNormed", summary="Angle-based guidance that keeps the norm."),
    GuidanceSpec(name="adg_wo_clip", target=f"{METHODS}:AdgUnclipped", summary="Angle-based guidance without a limit."),
)  # fmt: skip


@hookimpl
def register_guidance(register: Callable[[GuidanceSpec], None]) -> None:
    for spec in GUIDANCE:
        register(spec)
