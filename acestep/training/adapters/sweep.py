"""One caption and seed at several strengths of an adapter: further jobs, one for each. No torch."""

from __future__ import annotations

from typing import Any

from acestep.api.daemon_context import DaemonContext
from acestep.api.errors import BadRequest
from acestep.checkpoints.adapters import MAX_SCALE

MAX_STRENGTHS = 16


def check_sweep(request: Any, host: Any) -> Any:
    """See that the adapter is there and fits, and that the strengths differ."""
    if not 0 < len(request.scales) <= MAX_STRENGTHS or len(set(request.scales)) < len(request.scales):
        raise BadRequest(
            f"name 1 to {MAX_STRENGTHS} different strengths", field="scales", limits={"max": MAX_STRENGTHS}
        )
    for scale in request.scales:
        if abs(scale) > MAX_SCALE:
            raise BadRequest(f"a strength is -{MAX_SCALE:g} to {MAX_SCALE:g}, not {scale:g}", field="scales",
                             limits={"min": -MAX_SCALE, "max": MAX_SCALE})  # fmt: skip
    if "=" in request.lora:
        raise BadRequest("name the adapter without a strength; scales has them", field="lora")
    host.require_adapters([request.lora], request.model)
    return request


async def run_sweep(request: Any, daemon: DaemonContext) -> dict[str, Any]:
    """Operation ``lora-sweep``. It ends when its renders are accepted; each is a job of its own."""
    rows = []
    for index, scale in enumerate(request.scales):
        params = {**request.params, "caption": request.caption, "duration": request.duration, "seed": request.seed,
                  "model": request.model, "lora": [f"{request.lora}={scale:g}"]}  # fmt: skip
        job = await daemon.follow("generate", params, f"{daemon.job}.{index + 1}"[-64:])
        rows.append({"job": job, "scale": scale})
    return {"lora": request.lora, "seed": request.seed, "jobs": rows}
