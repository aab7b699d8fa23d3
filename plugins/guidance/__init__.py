"""The built-in guidance methods; their tensor code is in `plugins.guidance.kernels`, which only a worker imports."""

from __future__ import annotations

from collections.abc import Callable

from acestep.api import GuidanceSpec, hookimpl

KERNELS = "plugins.guidance.kernels"

GUIDANCE = (
    GuidanceSpec(name="none", target=f"{KERNELS}:Unguided", summary="The conditional velocity alone.", needs_uncond=False),
    GuidanceSpec(name="cfg", target=f"{KERNELS}:Cfg", summary="Classifier-free guidance."),
    GuidanceSpec(name="cfg_zero_star", target=f"{KERNELS}:CfgZeroStar", aliases=("cfg_zero", "cfg-zero-star"),
                 summary="Classifier-free guidance with the unconditional velocity scaled to fit."),
    GuidanceSpec(name="apg", target=f"{KERNELS}:Apg", summary="Adaptive projected guidance; what base and sft are used with."),
    GuidanceSpec(name="adg", target=f"{KERNELS}:Adg", summary="Angle-based guidance of the clean estimate."),
    GuidanceSpec(name="adg_w_norm", target=f"{KERNELS}:AdgNormed", summary="Angle-based guidance that keeps the norm."),
    GuidanceSpec(name="adg_wo_clip", target=f"{KERNELS}:AdgUnclipped", summary="Angle-based guidance without a limit."),
)  # fmt: skip


@hookimpl
def register_guidance(register: Callable[[GuidanceSpec], None]) -> None:
    for spec in GUIDANCE:
        register(spec)
