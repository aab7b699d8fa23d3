"""A sound that a request names, laid under what the request gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acestep.api.errors import BadRequest
from acestep.api.operation import Operation
from acestep.api.registry import Registry
from acestep.api.sound import SHARED, STAGE_FIELDS, Sound, values_under

FIELD = "sound"


def named_sound(registry: Registry, request: Mapping[str, Any]) -> Sound | None:
    """The sound that a request names; none where it names none. Raises `UnknownName`, `BadRequest` for a name that is not text."""
    name = request.get(FIELD, "")
    if not isinstance(name, str):
        raise BadRequest("sound takes the name of a sound", field=FIELD)
    return registry.sound(name) if name else None


def lay_under(sound: Sound, operation: Operation, request: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """A request, flat or a chain, with the values of a sound under its own, and the names of those that were taken.

    Of a preset only the flat fields are filled here: the stages of its chain come later (`under_stages`).
    """
    if operation.stage or operation.preset is not None:
        added = values_under(sound, request, frozenset(operation.schema.__struct_fields__))
        of_stages = set() if operation.preset is None else under_stages(sound, operation.preset.stages)[1]
        return {**request, **added}, {*added, *of_stages}
    found = dict(request)
    taken: set[str] = set()
    if isinstance(conditioning := request.get("conditioning") or {}, Mapping):
        added = values_under(sound, conditioning, SHARED)
        found["conditioning"] = {**conditioning, **added}
        taken |= added.keys()
    if isinstance(stages := request.get("stages"), list):
        found["stages"], more = under_stages(sound, stages)
        taken |= more
    return found, taken


def under_stages(sound: Sound, stages: list[Any]) -> tuple[list[Any], set[str]]:
    """The stages of a chain with the values of a sound under what each says itself, and the names of those that were taken."""
    laid: list[Any] = []
    taken: set[str] = set()
    for stage in stages:
        added = values_under(sound, stage, STAGE_FIELDS) if isinstance(stage, Mapping) else {}
        laid.append({**stage, **added} if added else stage)
        taken |= added.keys()
    return laid, taken


def sound_note(sound: Sound, taken: set[str]) -> str:
    """What a job has of a sound."""
    return f"the sound {sound.name} gives {', '.join(sorted(taken)) or 'nothing that the request does not say itself'}"
