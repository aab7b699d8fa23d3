"""Names and aliases in a request, spelled as their tables spell them: samplers, schedules, keys, tracks, languages ..."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from acestep.admission.chain_errors import of_stage
from acestep.admission.parse import ParsedRender
from acestep.api import music
from acestep.api.errors import UnknownName
from acestep.api.languages import language_name
from acestep.api.registry import Registry
from acestep.api.request import StageParams
from acestep.api.schema import describe, inside
from acestep.api.sentences import quoted

S = TypeVar("S", bound=msgspec.Struct)

_SPELLED: dict[str, Callable[..., str]] = {
    "tracks": music.track_name,
    "keys": music.key_name,
    "metres": music.metre_name,
    "languages": language_name,
}
"""Fixed tables -> what gives their own spelling of a name."""

NOTED_ALIASES = frozenset({"samplers", "schedules", "guidance"})
"""Tables whose aliases may only be the nearest to what was asked for, so that results tell which entry was used."""


def resolve_names(registry: Registry, value: S) -> S:
    """The same struct with every field that takes names of a table checked and spelled canonically. Raises `UnknownName`."""
    changes: dict[str, object] = {}
    for info in describe(type(value)):
        if info.choices_from is None:
            continue
        given = getattr(value, info.name)
        if isinstance(given, list):
            changes[info.name] = [_resolve_name(registry, info.choices_from, item, info.name) for item in given]
        elif isinstance(given, str) and given not in ("", "auto"):
            changes[info.name] = _resolve_name(registry, info.choices_from, given, info.name)
    return msgspec.structs.replace(value, **changes)


def _resolve_name(registry: Registry, table: str, given: str, field: str) -> str:
    if table == "samplers":
        return registry.sampler(given).name
    if table == "schedules":
        return registry.schedule(given).name
    if table == "guidance":
        return registry.guidance_method(given).name
    if table in _SPELLED:
        return _SPELLED[table](given, field=field)
    allowed = registry.choices(table)
    if allowed and given not in allowed:
        raise UnknownName(f"there is no {field} {quoted(given)}", field=field, limits={"choices": allowed})
    return given


def alias_notes(given: StageParams, used: StageParams) -> list[str]:
    """A sentence per method that was called by an alias."""
    names = [info.name for info in describe(type(used)) if info.choices_from in NOTED_ALIASES]
    pairs = [(name, getattr(given, name), getattr(used, name)) for name in names]
    return [f"{name} {asked} runs as {runs}" for name, asked, runs in pairs if asked != runs]


def check_names(registry: Registry, parsed: ParsedRender) -> None:
    """See that every sampler, key, track ... that a request names exists. Raises `UnknownName` that says where."""
    inside("conditioning", lambda: resolve_names(registry, parsed.conditioning))
    for index, stage in enumerate(parsed.stages):
        of_stage(index, partial(resolve_names, registry, stage.params))
