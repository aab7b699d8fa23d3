"""What a request would run as, for whoever wants to see that before it is handed in."""

from __future__ import annotations

from typing import Any

import msgspec

from acestep.admission.admit import admit
from acestep.admission.host import CallerHostInfo
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.resolve import resolve_stage


class StageOutlook(msgspec.Struct, frozen=True, kw_only=True):
    """A stage with nothing left open."""

    type: str
    model: str
    steps: int
    sampler: str
    schedule: str
    shift: float
    guidance: str
    times: list[float]
    """Timesteps from 1 (noise), or from where the stage begins, to 0."""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What would become of a request."""

    notes: tuple[str, ...]
    """What would be changed, rounded, or not used."""
    stages: tuple[StageOutlook, ...] = ()
    """Of a render, what each of its stages would run as."""


def look_at(registry: Registry, operation: Operation, params: dict[str, Any], host: CallerHostInfo) -> Outlook:
    """Check a request as `admit` does, and say what it would run as. Blocks on the disk. Raises `AceError`."""
    admitted = admit(registry, operation, params, host)
    if not operation.renders:
        return Outlook(notes=admitted.notes)
    notes, stages = list(admitted.notes), []
    for stage, plan in zip(admitted.render.stages, admitted.plans, strict=True):
        run = resolve_stage(registry, stage, plan, host.model(stage.params.model))
        notes += run.notes
        stages.append(
            StageOutlook(
                type=stage.type,
                model=run.model.name,
                steps=max(0, len(run.times) - 1),
                sampler=run.sampler.name,
                schedule=str(run.params.schedule),
                shift=float(run.params.shift or 0.0),
                guidance=run.guidance.name,
                times=[round(time, 6) for time in run.times],
            )
        )
    return Outlook(notes=tuple(dict.fromkeys(notes)), stages=tuple(stages))
