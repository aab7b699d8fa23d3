"""A canonical render from the map that `Render.to_recipe` made of it: what the worker reads, and nothing else.

A client's map may come in several forms (`acestep.admission.parse`); this one has a single form and needs no decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from acestep.admission.parse import ParsedRender, ParsedStage, of_stage
from acestep.api.conditioning import Conditioning
from acestep.api.errors import BadPreset
from acestep.api.registry import Registry, RenderRequest
from acestep.api.request import VERSION, Output, Render, Stage
from acestep.api.schema import convert, inside
from acestep.api.source import Source, SourceRequest


def read_recipe(registry: Registry, recipe: Mapping[str, Any]) -> Render:
    """Raises an `AceError` that names the field: a stage type or an earlier version's form may be gone since it was accepted."""
    typed = convert(dict(recipe), RenderRequest)
    if typed.version != VERSION:
        raise BadPreset("this job was accepted by another version of the program; submit it again", field="version")
    return Render(
        stages=tuple(
            of_stage(index, partial(_read_stage, registry, entry)) for index, entry in enumerate(typed.stages)
        ),
        conditioning=inside("conditioning", lambda: convert(typed.conditioning, Conditioning)),
        source=None if typed.source is None else inside("source", lambda: convert(typed.source, Source)),
        output=inside("output", lambda: convert(typed.output, Output)),
        weights=typed.weights,
        made_with=typed.made_with,
        made_on=typed.made_on,
    )


def _read_stage(registry: Registry, entry: dict[str, Any]) -> Stage:
    fields = dict(entry)
    stage = registry.stage(str(fields.pop("type", "")))
    source, returns = fields.pop("source", None), fields.pop("returns", None)
    return Stage(
        type=stage.name,
        params=convert(fields, stage.Params),
        source=None if source is None else inside("source", lambda: convert(source, Source)),
        returns=None if returns is None else tuple(returns),
    )


def parsed_again(render: Render) -> ParsedRender:
    """A canonical render in the shape that planning begins with."""
    return ParsedRender(
        stages=[
            ParsedStage(type=stage.type, params=stage.params, source=_requested(stage.source), returns=stage.returns)
            for stage in render.stages
        ],
        conditioning=render.conditioning,
        output=render.output,
        source=_requested(render.source),
        selected=render.source is not None and render.source.length is None,
        weights=render.weights,
        made_with=render.made_with,
        made_on=render.made_on,
    )


def _requested(source: Source | None) -> SourceRequest | None:
    if source is None:
        return None
    return SourceRequest(**{name: getattr(source, name) for name in source.__struct_fields__})
