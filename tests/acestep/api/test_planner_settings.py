"""A render's planner fields and the planner's own settings are one set of rules."""

from __future__ import annotations

import pytest

from acestep.api.conditioning import Conditioning
from acestep.api.planning import PlannerSettings
from acestep.api.schema import describe

OF_TEXT_ONLY = {"caption_tokens", "lyrics_tokens"}
"""Lengths of written words, which a render leaves to the planner."""

SHARED = [name for name in PlannerSettings.__struct_fields__ if name not in OF_TEXT_ONLY]


@pytest.mark.parametrize("name", SHARED)
def test_a_render_asks_for_what_the_planner_offers(name: str) -> None:
    """Type, limits, unit, choices, default and summary of ``planner_x`` are those of ``x``, so that neither can drift."""
    own = {info.name: info for info in describe(PlannerSettings)}[name]
    field = f"planner_{name.removeprefix('use_')}"
    shared = {info.name: info for info in describe(Conditioning)}[field]
    for trait in ("type", "unit", "min", "max", "choices", "default", "summary"):
        assert getattr(shared, trait) == getattr(own, trait), f"{trait} of {field}"
