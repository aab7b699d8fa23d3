"""The planner: ACE-Step's 5 Hz language model, which turns a prompt into caption, metadata and codes, and music into words.

Importing the package costs nothing; `integration.plan_request` is what a render calls, `operations` are the planner's own jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acestep.api.planned import PlannedConditioning
    from acestep.planner.integration import plan_request

__all__ = ["PlannedConditioning", "plan_request"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(name)
    from acestep.planner import integration

    return getattr(integration, name)
