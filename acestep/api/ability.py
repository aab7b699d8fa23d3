"""What a model can do of a request: checked at the door from what its `ModelInfo` says, the same for every family. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.errors import BadRequest, ModelUnsuited
from acestep.api.family import Families, ModelFamily
from acestep.api.limits import MAX_DURATION
from acestep.api.operation import Operation
from acestep.api.options import read_options, write_options
from acestep.api.plan import SourceFacts
from acestep.api.request import StageParams
from acestep.api.schema import FieldInfo, describe
from acestep.api.sentences import quoted
from acestep.api.thinking import PREFIX
from acestep.api.variants import ModelInfo

IDLE: tuple[Any, ...] = (None, "", "auto", NO_GUIDE, [], {})
"""Values by which a field asks for nothing, besides its default."""

SETTLED = {"guidance_start": 0.0, "noise_strength": 0.0}
"""Values that recipes write out where nothing was asked for."""


def fit_params(params: StageParams, model: ModelInfo, families: Families) -> tuple[StageParams, list[str]]:
    """Parameters with the model's ``quality`` and options written out, and sentences about what that changed.

    Raises `BadRequest` for a value that the model does not know, with those that it knows.
    """
    notes: list[str] = []
    if params.quality:
        params, notes = _with_quality(params, model)
    family = _family(model, families)
    if family is not None:
        params = msgspec.structs.replace(params, options=write_options(read_options(params.options, family.Options)))
    elif params.options:
        raise BadRequest(f"{model.name} has no options", field="options", limits={"choices": []})
    for name, known in model.choices.items():
        value = getattr(params, name, "auto")
        if value not in ("auto", *known):
            raise BadRequest(
                f"{model.name} ({model.family_title}) does not know {name} {quoted(value)}; it knows {', '.join(known)}",
                field=name,
                limits={"choices": ["auto", *known]},
            )
    for name, (low, high) in model.ranges.items():
        value = getattr(params, name, None)
        if isinstance(value, int | float) and not low <= value <= high:
            between = f"{low:g} to {high:g}" if low < high else f"{low:g}"
            raise BadRequest(
                f"{name} is {between} with {model.name} ({model.family_title}), not {value:g}",
                field=name,
                limits={"min": low, "max": high},
            )
    return params, notes


def _with_quality(params: StageParams, model: ModelInfo) -> tuple[StageParams, list[str]]:
    """The values that a quality stands for, in the place of what is left open."""
    values = model.qualities.get(params.quality)
    if values is None:
        known = list(model.qualities)
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise BadRequest(
            f"{model.name} has no quality {quoted(params.quality)}; {has}", field="quality", limits={"choices": known}
        )
    open_fields = {name: value for name, value in values.items() if getattr(params, name) in IDLE}
    idle = [name for name in values if name not in open_fields and getattr(params, name) != values[name]]
    notes = [f"{name} {getattr(params, name)} overrides quality {params.quality}" for name in idle]
    return msgspec.structs.replace(params, **open_fields), notes


def check_ability(
    operation: str, params: StageParams, conditioning: Conditioning, model: ModelInfo, families: Families
) -> list[str]:
    """See that a model can do an operation as it is asked for. Returns sentences about what it takes differently.

    Raises `ModelUnsuited` that names the field and the models that can, and what the family itself refuses.
    """
    if model.operations and operation not in model.operations:
        raise ModelUnsuited(
            f"{model.name} ({model.family_title}) cannot do {operation}; it can do {', '.join(model.operations)}"
            + _others(operation, families),
            field="model",
            limits={"choices": _able(operation, families)},
        )
    _check_refused(operation, params, model, families)
    _check_refused(operation, conditioning, model, families)
    family = _family(model, families)
    return [] if family is None else family.check(params, conditioning, model)


def _check_refused(operation: str, value: msgspec.Struct, model: ModelInfo, families: Families) -> None:
    """Raise `ModelUnsuited` for a field that asks for something which the model does not follow."""
    defaults = {info.name: info.default for info in describe(type(value)) if info.name in model.refuses}
    for name, default in defaults.items():
        given = getattr(value, name)
        if given in IDLE or given == default or given == SETTLED.get(name, default):
            continue
        following = [
            spec.described()
            for spec in families.values()
            if spec.name != model.family and _follows(spec.described(), name)
        ]
        able = [one for family in following for one in family.able(operation)]
        hint = f"; {', '.join(family.title for family in following)} can ({', '.join(able)})" if able else ""
        raise ModelUnsuited(
            f"{model.name} ({model.family_title}) does not follow {name}{hint}", field=name, limits={"choices": able}
        )


def able_operations(operations: Iterable[Operation], model: ModelInfo, families: Families) -> list[Operation]:
    """Those operations that a model can do, and those that run on no model."""
    family = _family(model, families)
    return [one for one in operations if not one.stage or family is None or family.can(one.stage, model)]


def require_able(operation: Operation, model: ModelInfo, families: Families) -> None:
    """Raise `ModelUnsuited`, with the models that can, for an operation that a model cannot do."""
    if able_operations([operation], model, families):
        return
    able = _able(operation.stage, families)
    raise ModelUnsuited(
        f"{model.name} ({model.family_title}) cannot do {operation.name}; {', '.join(able)} can",
        field="model",
        limits={"choices": able},
    )


def check_length(seconds: float, model: ModelInfo, field: str) -> None:
    """Refuse what is longer than the model makes at once. Raises `BadRequest`."""
    shortest, longest = model.seconds
    if longest < MAX_DURATION and seconds > longest + 1e-6:
        raise BadRequest(
            f"{model.name} ({model.family_title}) makes {shortest:g} to {longest:g} s at once, and this would be {seconds:.4g} s",
            field=field,
            limits={"min": shortest, "max": longest},
        )


def check_direction(source: SourceFacts | None, model: ModelInfo) -> None:
    """Refuse a region before the start where the model makes only what follows. Raises `ModelUnsuited`."""
    if model.forward and source is not None and source.start < 0:
        raise ModelUnsuited(
            f"{model.name} ({model.family_title}) can continue a part past its end, but not before its start",
            field="start",
            limits={"min": 0},
        )


SERVES = {
    "thinking": ("cot_text", "genres"),
    "guide": ("guide_from",),
    "codes": ("codes_strength",),
    "variation": ("variation_seed",),
}
"""Field -> those that mean nothing without it; without ``thinking`` also all of the planner's."""


def _unserved(model: ModelInfo) -> set[str]:
    """Fields that only serve what a model cannot follow."""
    return {name for refused in model.refuses for name in SERVES.get(refused, ())}


def fields_for(model: ModelInfo, fields: Iterable[FieldInfo]) -> list[FieldInfo]:
    """The fields of an operation as one model has them: its own ranges, choices and defaults, without what it cannot follow."""
    row = model.defaults
    usual: Mapping[str, Any] = {
        "steps": row.steps,
        "schedule": row.schedule,
        "shift": row.shift,
        "guidance": row.guidance,
        "guidance_scale": row.guidance_scale,
        "guidance_start": row.guidance_start,
    }
    found = []
    unserved = _unserved(model)
    for info in fields:
        planned = info.name.startswith(PREFIX) and "thinking" in model.refuses
        if (
            info.name in model.refuses
            or info.name in unserved
            or planned
            or (info.name == "quality" and not model.qualities)
        ):
            continue
        changes: dict[str, Any] = {}
        if info.name in usual and info.default in (None, "auto"):
            changes["default"] = usual[info.name]
        if info.name in model.ranges:
            changes["min"], changes["max"] = model.ranges[info.name]
        if info.name == "duration" and model.seconds[1] < MAX_DURATION:
            changes["min"], changes["max"] = model.seconds
        if info.name in model.choices:
            changes["choices"] = ["auto", *model.choices[info.name]]
        if info.name == "language" and model.languages:
            changes["choices"] = ["unknown", *model.languages]
        if info.name == "quality":
            changes["choices"] = ["", *model.qualities]
        found.append(msgspec.structs.replace(info, **changes))
    return found


def _family(model: ModelInfo, families: Families) -> ModelFamily | None:
    return families[model.family].described() if model.family in families else None


def _follows(family: ModelFamily, field: str) -> bool:
    return field not in family.refuses


def _able(operation: str, families: Families) -> list[str]:
    return [name for spec in families.values() for name in spec.described().able(operation)]


def _others(operation: str, families: Families) -> str:
    able = [(spec.title, spec.described().able(operation)) for spec in families.values()]
    named = [f"{title} can ({', '.join(names)})" for title, names in able if names]
    return f". {'; '.join(named)}" if named else ""
