"""The files and folders that a request names: their real paths, and that they can be read or written by this caller."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from acestep.admission.chain_errors import AtStage
from acestep.admission.host import CallerHostInfo
from acestep.api import limits
from acestep.api.conditioning import NO_GUIDE, Conditioning
from acestep.api.errors import AceError
from acestep.api.request import Output, Render, Stage
from acestep.api.schema import FieldInfo, describe
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
    """A struct with the real paths in its path fields: those that say what they name, and strings whose limit is that of a path.

    Raises `AceError`.
    """
    found: dict[str, Any] = {}
    for info in describe(type(value)):
        given = getattr(value, info.name)
        if not given:
            continue
        if info.names is not None:
            place = _PLACES[info.names]
            many = [place(host, text, info.name) for text in ([given] if isinstance(given, str) else given)]
            found[info.name] = many[0] if isinstance(given, str) else many
        elif info.type == "str" and info.max_length == limits.MAX_PATH:
            found |= _file_on_disk(value, info, given, host)
    return msgspec.structs.replace(value, **found)


def _file_on_disk(value: msgspec.Struct, info: FieldInfo, text: str, host: CallerHostInfo) -> dict[str, str]:
    if isinstance(value, Output):
        return {info.name: str(host.folder(text, info.name))}
    if info.name == "guide" and not names_file(text) and not text.startswith(UPLOADED):
        return {}
    path = host.file(text.strip(), info.name)
    if info.group == "audio":
        _check_sound(path, info.name)
    return {info.name: str(path)}


def _new_file(host: CallerHostInfo, text: str, field: str) -> str:
    """A file that is to be written, in a folder that may be written."""
    path = Path(text)
    return str(host.folder(str(path.parent), field) / path.name)


_PLACES: dict[str, Callable[[CallerHostInfo, str, str], str]] = {
    "folder": lambda host, text, field: str(host.read_folder(text, field)),
    "target": lambda host, text, field: str(host.folder(text, field)),
    "new_file": _new_file,
}
"""What a path names -> its real place, if this caller may use it."""


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
