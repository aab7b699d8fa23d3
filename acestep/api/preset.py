"""Presets: chains of stages as files. A preset is data, and becomes an operation of its own name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from acestep.api import limits
from acestep.api.conditioning import SENTENCE, Conditioning
from acestep.api.errors import BadPreset, BadRequest
from acestep.api.request import Output
from acestep.api.schema import Request, convert, merge_schemas, param
from acestep.api.sentences import quoted
from acestep.api.sound import SoundField
from acestep.api.source import SelectionFields
from acestep.api.text import read_text

FORMAT = "acestep-bridge/preset"
VERSION = 1
SUFFIX = ".preset.json"
MAX_BYTES = 256 * 1024
"""A preset is a page of text."""


class Preset(Request, kw_only=True):
    """A chain of stages with everything that is fixed in it; the rest comes from whoever runs it."""

    name: Annotated[str, param("Name of the operation.", max_length=40)]
    title: Annotated[str, param("Name for people.", max_length=80)] = ""
    summary: Annotated[str, param("What it does, in a sentence.", max_length=200)] = ""
    source: Annotated[bool, param("Whether it works on audio.")] = False
    stages: Annotated[list[dict[str, Any]], param("The stages: type and parameters.")]
    conditioning: Annotated[dict[str, Any], param("Caption, tempo ...: defaults that the request can override.")] = {}
    output: Annotated[dict[str, Any], param("Output settings: defaults that the request can override.")] = {}
    format: Annotated[str, param("Format name of the file.")] = FORMAT
    version: Annotated[int, param("Version of that format.", unit="level")] = VERSION


class PresetFields(Request):
    """What every preset takes besides conditioning, source and output."""

    seed: Annotated[
        int, param("Seed of the first result; -1: random.", ge=-1, le=limits.MAX_SEED, group="sampling")
    ] = -1
    models: Annotated[
        list[str],
        param(
            "Checkpoints in the order of the stages, instead of the preset's own. If the preset names none, one is for all stages.",
            group="model",
        ),
    ] = []


def read_preset(path: Path) -> Preset:
    """A preset from its file. Raises `BadPreset` that says what is wrong with it."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadPreset(f"{path.name} is too large for a preset", limits={"max": MAX_BYTES})
        data = msgspec.json.decode(read_text(path))
    except OSError as failure:
        raise BadPreset(f"{path.name} cannot be read: {failure.strerror}") from None
    except (UnicodeDecodeError, RecursionError, msgspec.MsgspecError):
        raise BadPreset(f"{path.name} is not a preset: it is not valid JSON") from None
    try:
        return check_preset(convert(data, Preset))
    except BadRequest as failure:
        raise BadPreset(f"{path.name} is not a preset: {failure.message}", field=failure.field) from None


def check_preset(preset: Preset) -> Preset:
    """The preset, if its chain is one. Raises `BadPreset` for no stages, too many, or one that names itself or a later one."""
    if preset.format != FORMAT or preset.version > VERSION:
        raise BadPreset(
            f"{preset.name} is a file of {quoted(preset.format)} version {preset.version}; this version reads {FORMAT} up to "
            f"{VERSION}",
            field="format" if preset.format != FORMAT else "version",
            limits={"max": VERSION},
        )
    if not 1 <= len(preset.stages) <= limits.MAX_STAGES:
        raise BadPreset(
            f"{preset.name} has {len(preset.stages)} stages; a chain has 1 to {limits.MAX_STAGES}",
            field="stages",
            limits={"min": 1, "max": limits.MAX_STAGES},
        )
    for index, stage in enumerate(preset.stages):
        if not isinstance(stage.get("type"), str):
            raise BadPreset(f"stage {index + 1} of {preset.name} has no type", field=f"stages[{index}].type")
        for field, before in _inputs(stage):
            if not isinstance(before, int) or not 1 <= before <= index:
                raise BadPreset(
                    f"stage {index + 1} of {preset.name} names stage {before}, which is not before it",
                    field=f"stages[{index}].{field}",
                )
    return preset


def _inputs(stage: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The earlier stages that a stage names, counted from 1, each with its field; ``input`` counts from 0."""
    source = stage.get("source")
    if isinstance(source, dict) and source.get("stage") is not None:
        yield "source.stage", source["stage"]
    if (before := stage.get("input")) is not None:
        yield "input", before + 1 if isinstance(before, int) else before


def preset_schema(preset: Preset) -> type[Request]:
    """The flat request of a preset's operation."""
    parts: list[type[msgspec.Struct]] = [PresetFields, Conditioning, SoundField, Output]
    if preset.source:
        parts.insert(0, SelectionFields)
    title = "".join(word.title() for word in preset.name.replace("_", "-").split("-"))
    return merge_schemas(f"{title}Request", parts, drop=SENTENCE)


def fill_preset(preset: Preset, given: dict[str, Any], typed: Any) -> dict[str, Any]:
    """The nested render request of a preset: its own values under those that the request ``given`` names.

    ``typed`` is the checked flat request with all defaults. Raises `BadPreset` for more models than stages.
    """
    models = typed.models
    if len(models) == 1 and not any("model" in stage for stage in preset.stages):
        models = models * len(preset.stages)
    if len(models) > len(preset.stages):
        raise BadPreset(
            f"{preset.name} has {len(preset.stages)} stages and {len(models)} models are given",
            field="models",
            limits={"max_length": len(preset.stages)},
        )
    stages = []
    for index, stage in enumerate(preset.stages):
        chosen = {"model": models[index]} if index < len(models) and models[index] else {}
        stages.append({"seed": typed.seed, **stage, **chosen})
    return {
        "stages": stages,
        "conditioning": {**preset.conditioning, **_given(Conditioning, given)},
        "output": {**preset.output, **_given(Output, given)},
    }


def _given(schema: type[msgspec.Struct], given: dict[str, Any]) -> dict[str, Any]:
    return {name: given[name] for name in schema.__struct_fields__ if name in given}
