"""A preset made of a job that turned out well: what was chosen in it stays, what belonged to that one take goes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from acestep.api.conditioning import Conditioning
from acestep.api.errors import BadRequest
from acestep.api.limits import CODEC_RATE
from acestep.api.preset import FORMAT, VERSION, Preset, check_preset
from acestep.api.registry import Registry
from acestep.api.request import FORMAT as RENDER
from acestep.api.request import Output
from acestep.api.schema import convert, describe
from acestep.api.sentences import quoted

OF_ONE_TAKE = frozenset("seed seeds resume checkpoint_step variation_seed input".split())
"""Stage parameters that say which take it was, not how it was made."""

OF_ONE_SONG = frozenset("audio_codes codes cot_text samples tempo_map bar_offset guide_from".split())
"""Conditioning that fits one length of one song only."""

OF_ONE_PLACE = frozenset("folder name length span_start span_end rate channels".split())
"""Output settings that say where one result went."""


def preset_of(registry: Registry, name: str, request: dict[str, Any]) -> Preset:
    """The preset that makes more of what a render request made. Raises `BadRequest` for a request that is not a render."""
    if request.get("format") != RENDER:
        raise BadRequest("only jobs that make sound from stages can become presets", field="job")
    sources = _sources(request)
    on_audio = bool(sources)
    left_out = OF_ONE_SONG | ({"duration"} if on_audio else set())
    output = _chosen(Output, request.get("output") or {}, OF_ONE_PLACE)
    if returns := [role for role in output.pop("returns", None) or [] if role != "span"]:
        output["returns"] = returns
    preset = Preset(
        name=name,
        source=on_audio,
        stages=[_stage(registry, entry, _rate(request)) for entry in request.get("stages") or []],
        conditioning=_chosen(Conditioning, request.get("conditioning") or {}, left_out),
        output=output,
        format=FORMAT,
        version=VERSION,
    )
    return check_preset(preset)


PLACES = ("path", "upload", "latent")


def _sources(request: dict[str, Any]) -> set[tuple[str, ...]]:
    """The files that a job worked on. Raises `BadRequest` for several, and for several regions: a preset is run on one."""
    stages = request.get("stages") or []
    given = [source for source in (request.get("source"), *(stage.get("source") for stage in stages)) if source]
    files = {tuple(str(source.get(name) or "") for name in PLACES) for source in given if not source.get("stage")}
    if len(files) > 1:
        raise BadRequest(
            f"this job used {len(files)} files, and a preset can use only one", field="job", limits={"max": 1}
        )
    own = [stage["source"] for stage in stages if stage.get("source")]
    regions = {(source.get("start"), source.get("length")) for source in own if not source.get("stage")}
    if files and (len(regions) > 1 or any(source.get("stage") and source.get("length") for source in own)):
        raise BadRequest(
            "this job edited several regions, and a preset can edit only one; save a job with one region", field="job"
        )
    return files


def _rate(request: dict[str, Any]) -> int:
    return int((request.get("output") or {}).get("rate") or CODEC_RATE)


def _stage(registry: Registry, entry: dict[str, Any], rate: int) -> dict[str, Any]:
    """A stage with the parameters that are not the usual ones. A source of its own stays if it is an earlier stage, its region of
    a new part in seconds, so that it holds at any ``rate``."""
    kept = {"type": entry["type"], **_chosen(registry.stage(entry["type"]).Params, entry, OF_ONE_TAKE)}
    source = entry.get("source")
    if not isinstance(source, dict):
        return kept
    kept["source"] = {}
    if source.get("stage"):
        kept["source"]["stage"] = source["stage"]
        if source.get("start") is not None:
            kept["source"]["start_seconds"] = source["start"] / rate
        if source.get("length"):
            kept["source"]["end_seconds"] = ((source.get("start") or 0) + source["length"]) / rate
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
        raise BadRequest("this is not a preset: it is not valid JSON", field="text") from None
    if not isinstance(data, dict):
        raise BadRequest(f"this is not a preset but {quoted(data)}", field="text")
    if data.get("format", FORMAT) != FORMAT:
        raise BadRequest(f"this is not a preset: its format is {quoted(data['format'])}, not {FORMAT}", field="format")
    return check_preset(convert(data, Preset))
