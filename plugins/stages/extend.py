"""Extend: go on after the end, or begin before the start (outpainting)."""

from __future__ import annotations

from acestep.api import ModelInfo, Plan, SourceFacts, StageType, require_region, require_task
from acestep.api.errors import RegionOutside
from plugins.stages.repaint import RepaintParams, repaint_plan


class Extend(StageType[RepaintParams]):
    """A repaint whose region reaches outside the file; the part inside the file, if any, is the overlap that is repainted."""

    name = "extend"
    summary = "Continue a file past its end or before its start."
    Params = RepaintParams

    def plan(self, params: RepaintParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Raises `RegionOutside` when the region lies wholly inside the file or does not touch it."""
        require_task("repaint", model, operation=self.name)
        facts = require_region(source, operation=self.name)
        end = facts.start + facts.length
        if facts.start >= 0 and end <= facts.frames:
            raise RegionOutside(
                "to extend, the region reaches before 0 or past the end of the file; inside it, use repaint",
                field="end",
                limits={"frames": facts.frames},
            )
        if facts.start > facts.frames or end < 0:
            raise RegionOutside("the region must touch the file", field="start", limits={"frames": facts.frames})
        return repaint_plan(params, extend=True)
