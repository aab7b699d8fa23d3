"""What clients are told about operations, the queue and the state of things, as plain maps."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from acestep.api.ability import fields_for
from acestep.api.conditioning import Conditioning
from acestep.api.hints import BOUNDED, DeviceLimits, with_hints
from acestep.api.operation import RENDER, Operation
from acestep.api.registry import PluginState, Registry
from acestep.api.request import Output, StageParams
from acestep.api.schema import describe
from acestep.api.variants import ModelInfo
from bridge.core.job_runner import JobRunner

LOW_SPACE = 1 << 30
"""Bytes of free space below which status warns."""


class Circumstances(NamedTuple):
    """What a description depends on besides the operation: what is registered, which models are here, and on request one of them;
    and the limits of the device, where they are known."""

    registry: Registry
    models: Sequence[str]
    model: ModelInfo | None = None
    device: DeviceLimits | None = None


def describe_operation(operation: Operation, here: Circumstances) -> dict[str, Any]:
    """An operation with its fields, as one model has it where one is named, with the choices and limits that are known at run time
    only."""
    fields = _fields(operation.schema, here)
    bounded = here.device is not None and any(row["name"] in BOUNDED for row in fields)
    return {
        "name": operation.name,
        "summary": operation.summary,
        "group": operation.group,
        "runs": operation.runs,
        "right": operation.right.label,
        "since": operation.since,
        "feature": operation.feature,
        "fields": fields,
        **({"device": msgspec.to_builtins(here.device)} if bounded else {}),
        **({"guide": operation.form_help} if operation.form_help else {}),
        **({"title": operation.preset.title or operation.name} if operation.preset is not None else {}),
        **({"chain": describe_chain(here)} if operation.name == RENDER else {}),
    }


def describe_chain(here: Circumstances) -> dict[str, Any]:
    """What a chain may say: the fields of its ``conditioning`` and ``output``, those that all stages ``shared``, and for each type
    of stage the ``fields`` of its own and whether it works on a ``source`` (none, optional, required)."""
    shared = _fields(StageParams, here)
    known = {row["name"] for row in shared}
    stages = [
        {
            "type": stage.name,
            "source": stage.source,
            "fields": [row for row in _fields(stage.Params, here) if row["name"] not in known],
        }
        for stage in here.registry.stages.values()
    ]
    conditioning, output = (_fields(schema, here) for schema in (Conditioning, Output))
    return {"conditioning": conditioning, "output": output, "shared": shared, "stages": stages}


def _fields(schema: type[msgspec.Struct], here: Circumstances) -> list[dict[str, Any]]:
    """The fields of a schema as clients read them."""
    fields, registry = [], here.registry
    described = describe(schema)
    known = described if here.model is None else fields_for(here.model, described)
    for info in with_hints(known, here.model, here.device):
        row = msgspec.to_builtins(info)
        if info.choices_from == "models":
            row["choices"] = ["", *here.models]
        elif info.choices_from is not None and info.choices is None:
            row["choices"] = registry.choices(info.choices_from)
        if info.choices_from == "sounds" and registry.sounds:
            row["titles"] = {name: sound.title or name for name, sound in registry.sounds.items()}
        fields.append(row)
    return fields


def queue(runners: Sequence[JobRunner]) -> dict[str, Any]:
    """How many jobs wait and for whom, what runs, whether the queue is paused."""
    return {
        "length": sum(len(runner.queue) for runner in runners),
        "running": [job for runner in runners for job in runner.running],
        "paused": any(runner.paused for runner in runners),
        "clients": dict(sum((runner.queue.clients() for runner in runners), Counter())),
    }


def plugin_warnings(registry: Registry) -> list[str]:
    """Sentences about plug-ins that did not load."""
    return [
        f"the plug-in {report.name} did not load: {report.reason}"
        for report in registry.plugins
        if report.state is PluginState.LOAD_ERROR
    ]


def space_warning(library: Path, least_free: int) -> str:
    """A sentence when the library's disk is full or cannot be reached, else nothing. Blocks on the disk."""
    try:
        free = shutil.disk_usage(library).free
    except OSError as failure:
        return f"the library {library} cannot be reached: {failure.strerror}"
    return f"only {free >> 20} MiB are free for results" if free < max(LOW_SPACE, least_free) else ""
