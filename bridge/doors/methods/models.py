"""Methods about models."""

from __future__ import annotations

from typing import Annotated, Any

from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext


@method(
    "models.list",
    osc="/ace/models",
    right=Right.ANYBODY,
    reads=True,
    slow=True,
    columns=("name", "variant", "present", "default", "trained"),
    answer="One row per model.",
    command="models list",
)
async def list_models(context: MethodContext, request: Nothing) -> list[dict[str, Any]]:
    """Checkpoints that are here or can be downloaded."""
    return context.core.models()


class WhichModel(Request):
    """Which model."""

    model: Annotated[str, param("Model; empty: all.", max_length=256, example="")] = ""


@method(
    "models.unload",
    osc="/ace/models/unload",
    right=Right.OWNER,
    positional=("model",),
    answer="Nothing.",
    command="models unload",
)
async def unload(context: MethodContext, request: WhichModel) -> dict[str, Any]:
    """Free the memory of a model, or of all."""
    await context.core.unload(request.model)
    return {}
