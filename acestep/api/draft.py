"""The three forms of a render request, read into one typed draft: flat for one stage, flat for a preset, nested for a chain."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from acestep.api.errors import AceError, BadPreset, BadRequest, UnknownName
from acestep.api.operation import Operation
from acestep.api.preset import fill_preset
from acestep.api.registry import Registry, RenderRequest
from acestep.api.request import (
    CHAIN_FIELDS,
    FORMAT,
    VERSION,
    Conditioning,
    Output,
    SelectionFields,
    Source,
    Stage,
)
from acestep.api.schema import convert


class Draft(msgspec.Struct, kw_only=True):
    """A typed request whose region may still be in seconds."""

    stages: list[Stage]
    conditioning: Conditioning
    output: Output
    source: Source | None
    selection: SelectionFields | None = None


def parse(registry: Registry, operation: Operation, request: dict[str, Any]) -> Draft:
    """A client's map in one of its forms: the flat fields of an operation or a preset, or a whole chain. Raises an `AceError` that
    names the field."""
    if operation.stage:
        return _parse_flat(registry, operation, request)
    if operation.preset is not None:
        return _parse_preset(registry, operation, request)
    if operation.schema is not RenderRequest:
        raise BadRequest(f"{operation.name} is not a render", field="operation")
    return _parse_chain(registry, convert(request, RenderRequest))


def _parse_flat(registry: Registry, operation: Operation, request: dict[str, Any]) -> Draft:
    stage = registry.stage(operation.stage)
    flat = msgspec.structs.asdict(convert(request, operation.schema))
    own = {field for field in stage.Params.__struct_fields__ if field not in CHAIN_FIELDS}
    selection = None
    if stage.source != "none":
        selection = _pick(SelectionFields, flat)
    params = stage.Params(**{name: flat[name] for name in own})
    return Draft(
        stages=[Stage(stage.name, params)],
        conditioning=_pick(Conditioning, flat),
        output=_pick(Output, flat),
        source=None,
        selection=selection,
    )


def _parse_preset(registry: Registry, operation: Operation, request: dict[str, Any]) -> Draft:
    preset = operation.preset
    assert preset is not None
    flat = msgspec.structs.asdict(convert(request, operation.schema))
    try:
        draft = _parse_chain(registry, RenderRequest(**fill_preset(preset, request, flat)))
    except UnknownName as failure:
        raise BadPreset(f"the preset {preset.name} does not fit: {failure.message}", field=failure.field) from failure
    if preset.source:
        draft.selection = _pick(SelectionFields, flat)
    return draft


def _pick(schema: type[Any], flat: dict[str, Any]) -> Any:
    return schema(**{name: flat[name] for name in schema.__struct_fields__ if name in flat})


def _parse_chain(registry: Registry, request: RenderRequest) -> Draft:
    if request.format != FORMAT or request.version > VERSION:
        raise BadPreset(
            f"{request.format} version {request.version} is not a render this version reads", field="format"
        )
    stages = []
    for index, entry in enumerate(request.stages):
        fields = dict(entry)
        stage = registry.stage(str(fields.pop("type", "")))
        check = functools.partial(convert, fields, stage.Params)
        stages.append(Stage(stage.name, _inside(f"stages[{index}]", check)))
    source = None
    if request.source is not None:
        source = _inside("source", lambda: convert(request.source, Source))
    return Draft(
        stages=stages,
        conditioning=_inside("conditioning", lambda: convert(request.conditioning, Conditioning)),
        output=_inside("output", lambda: convert(request.output, Output)),
        source=source,
    )


def _inside(place: str, check: Callable[[], Any]) -> Any:
    """Run a check of a nested part and put its place before the field that it names."""
    try:
        return check()
    except AceError as error:
        error.field = place if error.field is None else f"{place}.{error.field}"
        raise
