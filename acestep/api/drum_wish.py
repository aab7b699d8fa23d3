"""What becomes of the drums that a model plays of its own accord: left as they are, or taken out of what it made. No torch."""

from __future__ import annotations

import re

from acestep.api.conditioning import KIT_GUIDES
from acestep.api.drum_words import wants_drums
from acestep.api.plan import Plan
from acestep.api.request import StageParams
from acestep.api.variants import ModelInfo

WORDED = frozenset({"text2music", "repaint", "cover", "complete"})
"""Tasks that make all that is heard, as their words say; the others make a single track."""

NEW_FROM = 0.9
"""Start of a run from which on what it makes is new rather than its source's."""

_DRUM_TRACKS = {"drums", "percussion"}
_KIT_GUIDE = re.compile(rf"\s*(?:{'|'.join(KIT_GUIDES)})\b", re.IGNORECASE)


def can_take_out(plan: Plan, model: ModelInfo) -> bool:
    """Whether drums can be taken out of what a stage makes: it is more than one track, and the model can extract them."""
    return plan.task in WORDED and "extract" in model.task_types and model.trained


def settle_drums(plan: Plan, params: StageParams, words: tuple[str, str], model: ModelInfo) -> str:
    """``out`` or ``model`` for a stage with these words: its caption, and the guide that is asked for.

    Left open, drums are taken out where a model plays them of its own accord and nobody asked for them: no caption, no rhythm that
    is named as guide, no track. What begins near its source keeps what that has.
    """
    if params.drums != "auto":
        return params.drums
    caption, guide = words
    new = not plan.start_from_source or plan.t_start >= NEW_FROM
    named = _KIT_GUIDE.match(guide) or _DRUM_TRACKS & {*getattr(params, "tracks", ())}
    played = model.defaults.plays_drums and can_take_out(plan, model) and not plan.custom_loop
    return "out" if played and new and not named and not wants_drums(caption) else "model"


def drums_notes(plan: Plan, params: StageParams, model: ModelInfo, operation: str) -> list[str]:
    """That ``drums`` changes nothing, where nothing can be taken out."""
    if params.drums != "out" or can_take_out(plan, model):
        return []
    why = f"{operation} makes a single track" if plan.task not in WORDED else f"{model.name} cannot extract drums"
    return [f"drums out has no effect here: {why}"]
