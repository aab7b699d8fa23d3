"""A preset made of a job that turned out well: what was chosen in it stays, what belonged to that one take goes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.errors import BadRequest
from acestep.api.preset import FORMAT, VERSION, Preset, check_preset
from acestep.api.registry import Registry
from acestep.api.request import FORMAT as RENDER
from acestep.api.request import Output
from acestep.api.schema import convert, describe

OF_ONE_TAKE = frozenset("seed seeds resume checkpoint_step variation_seed input".split())
"""Stage parameters that say which take it was, not how it was made."""

OF_ONE_SONG = frozenset("audio_codes codes cot_text samples tempo_map bar_offset guide_from".split())
"""Conditioning that fits one length of one song only."""

OF_ONE_PLACE = frozenset("folder name length span_start span_end rate channels".split())
"""Output wishes that say where one result went."""


def preset_of(registry: Registry, name: str, request: dict[str, Any]) -> Preset:
    """The preset that makes more of what a render request made. Raises `BadRequest` for a request that is no render."""
    if request.get("format") != RENDER:
        raise BadRequest("only jobs that make sound from stages can become presets", field="job")
    on_audio = request.get("source") is not None
    left_out = OF_ONE_SONG | ({"duration"} if on_audio else set())
    output = _chosen(Output, request.get("output") or {}, OF_ONE_PLACE)
    if returns := [role for role in output.pop("returns", None) or [] if role != "span"]:
        output["returns"] = returns
    preset = Preset(
        name=name,
        source=on_audio,
        stages=[_stage(registry, entry) for entry in request.get("stages") or []],
        conditioning=_chosen(Conditioning, request.get("conditioning") or {}, left_out),
        output=output,
        format=FORMAT,
        version=VERSION,
    )
    return check_preset(preset)


def _stage(registry: Registry, entry: dict[str, Any]) -> dict[str, Any]:
    """A stage with the parameters that are not the usual ones; a source of its own stays if it is an earlier stage."""
    kept = {"type": entry["type"], **_chosen(registry.stage(entry["type"]).Params, entry, OF_ONE_TAKE)}
    source = entry.get("source")
    if isinstance(source, dict):
        kept["source"] = {"stage": source["stage"]} if source.get("stage") else {}
    return kept


def _chosen(schema: type[msgspec.Struct], values: dict[str, Any], left_out: Collection[str]) -> dict[str, Any]:
    """The values that somebody chose: known fields that are neither left out nor at their default."""
    usual = {info.name: info.default for info in describe(schema)}
    return {
        name: value for name, value in values.items() if name in usual and name not in left_out and value != usual[name]
    }


def preset_from_text(text: str | bytes) -> Preset:
    """A preset from the text of its file. Raises `BadRequest` and `BadPreset`."""
    try:
        data = msgspec.json.decode(text)
    except (UnicodeDecodeError, RecursionError, msgspec.MsgspecError):
        raise BadRequest("this is no preset: it is not valid JSON", field="text") from None
    return check_preset(convert(data, Preset))
