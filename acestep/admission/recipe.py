"""A canonical render from the map that `Render.to_recipe` made of it: what the worker reads, and nothing else.

A client's map may come in several forms (`acestep.admission.parse`); this one has a single form and needs no decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from acestep.admission.chain_errors import of_stage
from acestep.api.errors import BadPreset
from acestep.api.registry import Registry
from acestep.api.request import FORMAT, VERSION, Render, Stage
from acestep.api.schema import convert, inside
from acestep.api.source import Source


def read_recipe(registry: Registry, recipe: Mapping[str, Any]) -> Render:
    """Raises an `AceError` that names the field: a stage type or an earlier version's form may be gone since it was accepted."""
    shared = dict(recipe)
    if (shared.pop("format", FORMAT), shared.pop("version", VERSION)) != (FORMAT, VERSION):
        raise BadPreset("this job was accepted by another version of the program; submit it again", field="version")
    entries = shared.pop("stages", [])
    render = convert({**shared, "stages": []}, Render)
    stages = [of_stage(index, partial(_read_stage, registry, entry)) for index, entry in enumerate(entries)]
    return msgspec.structs.replace(render, stages=tuple(stages))


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
