"""The three forms of a render request, read into one typed request: flat for one stage, flat for a preset, nested for a chain."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

from acestep.admission.chain_errors import of_stage
from acestep.admission.region import source_of
from acestep.admission.sounds import lay_under, named_sound, sound_note, under_stages
from acestep.api.conditioning import Conditioning
from acestep.api.errors import BadPreset, BadRequest, UnknownName
from acestep.api.operation import Operation
from acestep.api.precision import check_precisions
from acestep.api.preset import fill_preset
from acestep.api.registry import Registry
from acestep.api.render_request import RenderRequest
from acestep.api.request import CHAIN_FIELDS, FORMAT, VERSION, Output, Role, StageParams
from acestep.api.result import RECIPE_FORMAT
from acestep.api.schema import Request, convert, inside
from acestep.api.sound import Sound
from acestep.api.source import Region, SelectionFields, SourceRequest
from acestep.api.upstream import in_our_words

S = TypeVar("S", bound=msgspec.Struct)


UNSAID = {"drums": "model"}
"""What a stage of a recipe did that does not say it: fields younger than recipes, whose default is another way."""


class ParsedStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage as a client names it."""

    type: str
    params: StageParams
    source: SourceRequest | None = None
    returns: tuple[Role, ...] | None = None


class ParsedRender(msgspec.Struct, kw_only=True):
    """A typed request whose regions may still be in seconds."""

    stages: list[ParsedStage]
    conditioning: Conditioning
    output: Output
    source: SourceRequest | None
    regions: list[Region] = []
    """Of a flat request: the one stage is run on each of them."""
    selected: bool = False
    """Whether a duration is the length of the source's region: in flat fields, and in a chain that leaves that length open."""
    weights: dict[str, str] = {}
    made_with: str = ""
    made_on: str = ""
    precision: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    chained: bool = True
    """Whether there is a chain whose stages errors have to count."""


class ChainFields(Request):
    """What a stage of a chain may say besides its type and parameters."""

    source: SourceRequest | None = None
    returns: list[Role] | None = None


def parse(registry: Registry, operation: Operation, request: dict[str, Any]) -> ParsedRender:
    """A client's map in one of its forms: the flat fields of an operation or a preset, or a whole chain. Raises an `AceError` that
    names the field."""
    request = in_our_words(request)
    if operation.schema is RenderRequest:
        if request.get("format") == RECIPE_FORMAT and request.get("operation", "render") != "render":
            raise BadPreset(f"this is a recipe of {request['operation']}; run it by that name", field="operation")
        request = in_our_words(unwrapped(request))
    sound = named_sound(registry, request)
    request, taken = (request, set()) if sound is None else lay_under(sound, operation, request)
    if operation.stage:
        parsed = _parse_flat(registry, operation, request)
    elif operation.preset is not None:
        parsed = _parse_preset(registry, operation, request, sound)
    elif operation.renders:
        parsed = _parse_chain(registry, convert(request, RenderRequest))
    else:
        raise BadRequest(f"{operation.name} is not a render", field="operation")
    if sound is not None:
        parsed.made_with, parsed.notes = sound.name, (sound_note(sound, taken),)
    return parsed


def unwrapped(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request inside a recipe file, with the weights that the result was made with; any other map as it is.

    Raises `BadPreset` for a recipe without a request.
    """
    if request.get("format") != RECIPE_FORMAT:
        return dict(request)
    inner, weights = request.get("request"), request.get("weights")
    if not isinstance(inner, dict):
        raise BadPreset("this recipe contains no request", field="request")
    return {"weights": weights, **inner} if weights and "stages" in inner else dict(inner)


def _parse_flat(registry: Registry, operation: Operation, request: dict[str, Any]) -> ParsedRender:
    stage = registry.stage(operation.stage)
    flat = convert(request, operation.schema)
    params = _pick(stage.Params, flat, without=CHAIN_FIELDS)
    parsed = ParsedRender(
        stages=[ParsedStage(type=stage.name, params=params)],
        conditioning=msgspec.structs.replace(_pick(Conditioning, flat), **operation.fixed),
        output=_pick(Output, flat),
        source=None,
        chained=False,
    )
    if stage.source != "none":
        _select(parsed, _pick(SelectionFields, flat))
    return parsed


def _select(parsed: ParsedRender, selection: SelectionFields) -> None:
    """Fill in the source of a flat request. Raises `BadRequest` for a region beside a list of them."""
    parsed.source, parsed.selected = source_of(selection), True
    parsed.regions = selection.regions
    beside = [name for name in Region.__struct_fields__ if getattr(selection, name) is not None]
    if selection.regions and beside:
        raise BadRequest(f"give {beside[0]} or regions, not both", field="regions")
    if selection.regions and parsed.source is None:
        raise BadRequest("regions need a source", field="source")


def _parse_preset(
    registry: Registry, operation: Operation, request: dict[str, Any], sound: Sound | None
) -> ParsedRender:
    preset = operation.preset
    assert preset is not None
    flat = convert(request, operation.schema)
    chain = fill_preset(preset, request, flat)
    if sound is not None:
        chain["stages"], _ = under_stages(sound, chain["stages"])
    try:
        parsed = _parse_chain(registry, RenderRequest(**chain))
    except UnknownName as failure:
        raise BadPreset(f"the preset {preset.name} does not fit: {failure.message}", field=failure.field) from failure
    if preset.source:
        selection = _pick(SelectionFields, flat)
        if selection.regions:
            raise BadRequest("a preset works on one region; submit it for each", field="regions")
        _select(parsed, selection)
    return parsed


def _pick(schema: type[S], flat: msgspec.Struct, without: Collection[str] = ()) -> S:
    """The part of a flat request that one of its schemas describes."""
    names = set(schema.__struct_fields__) & set(flat.__struct_fields__) - set(without)
    return schema(**{name: getattr(flat, name) for name in names})


def _parse_chain(registry: Registry, request: RenderRequest) -> ParsedRender:
    if request.format != FORMAT or request.version > VERSION:
        raise BadPreset(
            f"this version reads {FORMAT} up to version {VERSION}, not {request.format} version {request.version}",
            field="format",
        )
    entries = [_as_made(entry) for entry in request.stages] if request.weights else request.stages
    stages = [
        of_stage(index, functools.partial(_parse_stage, registry, entry, index)) for index, entry in enumerate(entries)
    ]
    source = None if request.source is None else inside("source", lambda: convert(request.source, SourceRequest))
    return ParsedRender(
        stages=_as_version_1(stages) if request.version == 1 else stages,
        conditioning=inside("conditioning", lambda: convert(request.conditioning, Conditioning)),
        output=inside("output", lambda: convert(request.output, Output)),
        source=source,
        selected=source is not None and source.length is None and request.version > 1,
        weights=request.weights,
        made_with=request.made_with,
        made_on=request.made_on,
        precision=check_precisions(request.precision),
    )


def _as_made(entry: dict[str, Any]) -> dict[str, Any]:
    """A stage of a recipe, whose result was made before a field was there, as it was made."""
    return {**UNSAID, **entry} if isinstance(entry, dict) else entry


def _parse_stage(registry: Registry, entry: dict[str, Any], index: int) -> ParsedStage:
    fields = dict(entry)
    if "type" not in fields:
        raise BadRequest("type is missing; it takes the name of a stage", field="type", limits=_stage_names(registry))
    stage = registry.stage(str(fields.pop("type")))
    before = fields.pop("input", None)
    chain = convert({name: fields.pop(name) for name in ChainFields.__struct_fields__ if name in fields}, ChainFields)
    source = chain.source
    if before is not None:
        if source is not None:
            raise BadRequest("give source or input, not both", field="input")
        source = _numbered(before, index)
    return ParsedStage(
        type=stage.name,
        params=convert(fields, stage.Params),
        source=source,
        returns=None if chain.returns is None else tuple(chain.returns),
    )


def _stage_names(registry: Registry) -> dict[str, Any]:
    return {"choices": sorted(registry.stages)}


def _numbered(before: Any, index: int) -> SourceRequest:
    """The source that version 1 called ``input`` and counted from 0."""
    if isinstance(before, bool) or not isinstance(before, int) or not 0 <= before < index:
        raise BadPreset("input names a stage before it, counted from 0", field="input", limits={"max": index - 1})
    return SourceRequest(stage=before + 1)


def _as_version_1(stages: list[ParsedStage]) -> list[ParsedStage]:
    """In version 1 only the last stage returned files, also where no other one went on from a stage."""
    return [
        stage if stage.returns is not None or index == len(stages) - 1 else msgspec.structs.replace(stage, returns=())
        for index, stage in enumerate(stages)
    ]
