"""Generate: a new part from words, tempo, key, codes or a guide."""

from __future__ import annotations

from acestep.api import Length, ModelInfo, Plan, SourceFacts, StageParams, StageType, instruction, require_task
from plugins.stages.variation import variation


class Generate(StageType[StageParams]):
    """Text to music. The context is the silence latent, never zeros; codes or a guide take its place when given."""

    name = "generate"
    summary = "Make a new part from a description."
    source = "none"

    def plan(self, params: StageParams, source: SourceFacts | None, model: ModelInfo) -> Plan:
        """Length and position come from the request."""
        require_task("text2music", model, operation=self.name)
        return Plan(
            task="text2music",
            instruction=instruction("text2music"),
            hint_instruction=instruction("cover"),
            length=Length.REQUEST,
            semantic_codes=True,
            guide=True,
            returns=("part", "latent"),
            **variation(params),
        )
