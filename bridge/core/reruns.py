"""A job once more: the request that makes its result again, or another take of it."""

from __future__ import annotations

from typing import Any

from bridge.core.interface import JobView

SEEDS = ("seed", "seeds", "variation_seed")
"""What a new take draws anew."""

PINNED = ("weights", "made_on", "precision")
"""What only the same samples again need."""


def closed_request(request: dict[str, Any], result: dict[str, Any] | None) -> dict[str, Any]:
    """A job's request with every value that decided its result: from its recipe, and before it has one as it was accepted."""
    recipe = (result or {}).get("recipe") or {}
    found = recipe.get("request")
    return dict(found if isinstance(found, dict) else request)


def again(view: JobView, *, vary: bool) -> tuple[str, dict[str, Any]]:
    """Operation and parameters of a submit that gives the job's result again; ``vary``: with new seeds."""
    request = closed_request(view.request, view.result)
    if "stages" not in request:
        return view.operation, _without(request, SEEDS) if vary else request
    if vary:
        request = _without(request, PINNED)
        request["stages"] = [_without(stage, SEEDS) for stage in request["stages"]]
    return "render", request


def _without(data: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in names}
