"""The files and folders that a request names: their real paths, and that they can be read or written by this caller."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from acestep.admission.chain_errors import AtStage
from acestep.admission.host import CallerHostInfo
from acestep.api import limits
from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.errors import AceError
from acestep.api.request import Output, Render, Stage
from acestep.api.schema import describe
from acestep.api.source import Source
from acestep.audio import sniff
from acestep.conditioning.guide_text import names_file, parse_guide

S = TypeVar("S", bound=msgspec.Struct)

UPLOADED = "upload:"
"""Before the id of an upload, in a field that takes a path."""


def with_real_paths(render: Render, host: CallerHostInfo, at_stage: AtStage) -> Render:
    """A render whose files and folders are named by their real paths. Raises `AceError`."""
    return msgspec.structs.replace(
        render,
        conditioning=on_disk(render.conditioning, host),
        output=on_disk(render.output, host),
        stages=tuple(
            at_stage(index, partial(_stage_on_disk, stage, host)) for index, stage in enumerate(render.stages)
        ),
        source=_source_on_disk(render.source, host),
    )


def on_disk(value: S, host: CallerHostInfo) -> S:
    """A struct with the real paths in its path fields: strings whose limit is that of a path. Raises `AceError`."""
    found: dict[str, str] = {}
    for info in describe(type(value)):
        text = getattr(value, info.name)
        if info.type != "str" or info.max_length != limits.MAX_PATH or not text:
            continue
        if isinstance(value, Output):
            found[info.name] = str(host.folder(text, info.name))
        elif info.name != "guide" or names_file(text) or text.startswith(UPLOADED):
            path = host.file(text.strip(), info.name)
            if info.group == "audio":
                _check_sound(path, info.name)
            found[info.name] = str(path)
    return msgspec.structs.replace(value, **found)


def _stage_on_disk(stage: Stage, host: CallerHostInfo) -> Stage:
    return msgspec.structs.replace(
        stage, params=on_disk(stage.params, host), source=_source_on_disk(stage.source, host)
    )


def _source_on_disk(source: Source | None, host: CallerHostInfo) -> Source | None:
    if source is None or not source.path:
        return source
    return msgspec.structs.replace(source, path=str(host.place(source)))


def _check_sound(path: Path, field: str) -> None:
    """See that a file that is listened to besides the source can be read. Raises as `sniff` does, about its own field."""
    try:
        sniff.sniff(path)
    except AceError as error:
        error.field = field
        raise


def check_guides(render: Render, at_stage: AtStage) -> tuple[str, ...]:
    """See that every guide can be read, so that no worker stumbles over it; what was read otherwise than it was written.

    Their paths must be real ones, inside what the caller may read. Raises `BadRequest`.
    """
    remarks = _check_guide(render.conditioning)
    for index, stage in enumerate(render.stages):
        if stage.params.guide is not None:
            own = msgspec.structs.replace(render.conditioning, guide=stage.params.guide)
            remarks += at_stage(index, partial(_check_guide, own))
    return remarks


def _check_guide(conditioning: Conditioning) -> tuple[str, ...]:
    if conditioning.guide.strip() in ("", NO_GUIDE):
        return ()
    metre = conditioning.time_signature or "4"
    return parse_guide(conditioning.guide, metre, conditioning.key, conditioning.bpm or 120.0).remarks
