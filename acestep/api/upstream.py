"""Fields of requests that the original calls otherwise: its names are read wherever a render is asked for, and mean ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acestep.api.errors import BadRequest

NAMES = {"velocity_norm_threshold": "velocity_limit", "velocity_ema_factor": "velocity_average"}
"""The original's name of a stage parameter -> ours."""


def in_our_words(request: Mapping[str, Any]) -> dict[str, Any]:
    """A client's map with our names, in the stages of a chain too. Raises `BadRequest` where one thing is said in both."""
    found = _renamed(request, "")
    if isinstance(found.get("stages"), list):
        found["stages"] = [
            _renamed(stage, f"stages[{index}].") if isinstance(stage, Mapping) else stage
            for index, stage in enumerate(found["stages"])
        ]
    return found


def _renamed(part: Mapping[str, Any], place: str) -> dict[str, Any]:
    for theirs, ours in NAMES.items():
        if theirs in part and ours in part:
            raise BadRequest(f"{theirs} and {ours} are the same; give one of them", field=f"{place}{theirs}")
    return {NAMES.get(name, name): value for name, value in part.items()}
