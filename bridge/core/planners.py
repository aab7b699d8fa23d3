"""What the planner needs, seen to at the door: packages that may be missing, and the language model that a request names."""

from __future__ import annotations

from typing import Any

from acestep.api.errors import BadRequest, ModelMissing, ModelUnsuited, Unavailable
from acestep.api.registry import Registry
from acestep.checkpoints.installed import require_codes, require_language_model
from bridge.core.models import Models
from bridge.core.packages import missing_packages

DEFAULT_PLANNER = "transformers"
"""What ``auto`` means among the backends of the planner."""


def require_checkpoint(models: Models, request: Any, *, read: bool) -> None:
    """See that the checkpoint which turns a request's audio into codes is here, and where they are ``read`` by the language model,
    that it knows them. Raises `ModelMissing`, `ModelUnsuited`.
    """
    try:
        found = models.get(request.checkpoint)
    except ModelMissing as error:
        error.field = "checkpoint"
        raise
    if found.operations:
        raise ModelUnsuited(
            f"{found.name} ({found.family_title}) has no semantic codes, which this works with; name a model of another family",
            field="checkpoint",
        )
    if read and getattr(request, "audio_codes", None) is None:
        require_codes(found)


def require_planner(registry: Registry, models: Models, request: Any, field: str) -> None:
    """See that the language model that ``request`` names in ``field`` can be run here, before a job for it is accepted.

    Raises `Unavailable` for a package that is missing, `ModelMissing` with what is here, `UnknownName` for an unknown backend, and
    `BadRequest` for guidance that the backend cannot give.
    """
    prefix = field.removesuffix("model")
    backend = getattr(request, f"{prefix}backend", "auto")
    spec = registry.planner(DEFAULT_PLANNER if backend == "auto" else backend)
    if missing := missing_packages(spec.packages):
        raise Unavailable(
            f"planning needs {', '.join(missing)}, which is not installed here; `pip install {' '.join(missing)}` adds it, and "
            "generating without 'thinking' works",
            field=field if backend == "auto" else f"{prefix}backend",
        )
    scale = getattr(request, f"{prefix}cfg_scale", 1.0)
    if not spec.guides and scale != 1.0:
        raise BadRequest(
            f"{spec.name} runs the language model without guidance, and {prefix}cfg_scale is {scale:g}; set it to 1 or take "
            f"the {DEFAULT_PLANNER} backend",
            field=f"{prefix}cfg_scale",
            limits={"max": 1.0},
        )
    require_language_model(getattr(request, field), models.language_models(), field)
