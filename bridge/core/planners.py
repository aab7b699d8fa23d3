"""What the planner needs, seen to at the door: packages that may be missing, and the language model that a request names."""

from __future__ import annotations

from typing import Any

from acestep.api.errors import BadRequest, ModelMissing, ModelUnsuited, Unavailable
from acestep.api.features import require_on
from acestep.api.planning import PlannerSpec
from acestep.api.registry import Registry
from acestep.checkpoints.installed import plans_by_rules, require_codes, require_language_model
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
            f"{found.name} ({found.family_title}) has no semantic codes, which this operation needs; use a model of another family",
            field="checkpoint",
        )
    if read and getattr(request, "audio_codes", None) is None:
        require_codes(found)


def require_planner(registry: Registry, models: Models, request: Any, field: str, *, listens: bool) -> None:
    """See that the language model that ``request`` names in ``field`` can be run here, before a job for it is accepted; where none
    is here, that rules can take its place: they can't where it ``listens``, or only codes are wanted.

    Raises `Unavailable` for a package that is missing, `ModelMissing` with what is here, `UnknownName` for an unknown backend,
    `FeatureDisabled` for one whose flag is off, and `BadRequest` for guidance that the backend cannot give.
    """
    prefix = field.removesuffix("model")
    backend, found = getattr(request, f"{prefix}backend", "auto"), models.language_models()
    without = registry.planner_without_model()
    ruled = without is not None and backend == "auto" and plans_by_rules(getattr(request, field), found)
    spec = registry.planner(backend if backend != "auto" else without.name if ruled and without else DEFAULT_PLANNER)
    if spec.feature:
        require_on(spec.feature, registry.features, field=f"{prefix}backend")
    if not spec.language_model:
        return _require_rules_will_do(spec, request, field, listens=listens)
    if missing := missing_packages(spec.packages):
        raise Unavailable(
            f"planning with a language model needs {', '.join(missing)}, which is not installed here; "
            f"`pip install {' '.join(missing)}` adds it, and generating without 'thinking' works",
            field=field if backend == "auto" else f"{prefix}backend",
        )
    scale = getattr(request, f"{prefix}cfg_scale", 1.0)
    if not spec.guides and scale != 1.0:
        raise BadRequest(
            f"{spec.name} runs the language model without guidance, and {prefix}cfg_scale is {scale:g}; set it to "
            f"1 or use the {DEFAULT_PLANNER} backend",
            field=f"{prefix}cfg_scale",
            limits={"max": 1.0},
        )
    require_language_model(getattr(request, field), found, field)


def _require_rules_will_do(spec: PlannerSpec, request: Any, field: str, *, listens: bool) -> None:
    """Raises `ModelMissing` for what only a language model can do, `BadRequest` for a model that would not be used."""
    if getattr(request, field) != "auto":
        raise BadRequest(
            f"{spec.name} plans without a language model; leave {field} at auto, or use another backend", field=field
        )
    if listens:
        require_language_model("auto", [], field)
    if field == "model" and getattr(request, "codes", False) and getattr(request, "cot_text", ""):
        raise ModelMissing(
            "cot_text is given, so only the codes are missing, and rules cannot write codes; "
            "`acestep-bridge models download lm-0.6B` fetches the smallest language model",
            field=field,
        )
