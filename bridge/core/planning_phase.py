"""A render that is planned on one device and rendered on another: one job, whose plan is stored before it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from acestep.admission.admitted import Admitted
from acestep.admission.recipe import read_recipe
from acestep.api.errors import BadRequest
from acestep.api.planned import PlanWish
from acestep.api.registry import Registry
from acestep.api.request import Render
from acestep.api.thinking import wants_planning
from bridge.core.models import Models

FIELD = "planner_device"


def require_planning(admitted: Admitted) -> None:
    """See that there is a plan to be made, where somebody names a device for it. Raises `BadRequest`."""
    if not (isinstance(admitted.request, Render) and wants_planning(admitted.request.conditioning, admitted.plans)):
        raise BadRequest(
            "planner_device says where a new part is planned before it is rendered, and this request plans none; set thinking, or "
            "leave planner_device out",
            field=FIELD,
        )


def plan_wish(registry: Registry, models: Models, request: Mapping[str, Any]) -> dict[str, Any]:
    """What the planner is asked for an admitted render. Raises `AceError` for a model that is gone since."""
    render = read_recipe(registry, request)
    family = models.get(render.stages[0].params.model).latent_family
    return dict(msgspec.to_builtins(PlanWish.of(render, family)))
