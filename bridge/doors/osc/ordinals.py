"""Numbers in place of names, for devices that can send nothing but numbers.

In a draft a number where one of a list of names is wanted is its place in that list, from 0, in the order of ``describe`` and of
OSCQuery's RANGE. Where a file or a latent of an earlier job can be given, it is a result: 0 the newest, 1 the one before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, NotFound
from acestep.api.limits import MAX_PATH
from acestep.api.schema import FieldInfo
from bridge.core.interface import Core

SOUND = frozenset({".wav", ".flac", ".aif", ".aiff"})
LATENT = frozenset({".safetensors"})

SOUND_GROUPS = frozenset({"source", "audio"})
"""Groups of fields whose paths are sounds to read; elsewhere a path is a folder or a mapping."""


FARTHEST = 1_000
"""Results are counted back no further; a device that sends more has sent nonsense."""


class Ordinal(msgspec.Struct, frozen=True):
    """The number of something: of a name in its list, or of a result, counted back from the newest."""

    number: int


def read(value: Any, info: FieldInfo) -> Ordinal | None:
    """The ordinal that a number is where a name, a file or a latent is wanted; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not float(value).is_integer() or value < 0:
        return None
    if info.type not in ("str", "list[str]"):
        return None
    return Ordinal(int(value)) if _listed(info) or _endings(info) else None


def _listed(info: FieldInfo) -> bool:
    return bool(info.choices or info.choices_from)


def _endings(info: FieldInfo) -> frozenset[str]:
    """The endings of the result files that a field can name; none for other fields."""
    if info.name.endswith("latent"):
        return LATENT
    return SOUND if info.max_length == MAX_PATH and info.group in SOUND_GROUPS else frozenset()


def resolve(ordinal: Ordinal, operation: str, info: FieldInfo, core: Core, origin: str = "") -> Any:
    """What an ordinal stands for now; results are those of ``origin`` (empty: all).

    Raises `BadRequest` or `NotFound` with what there is.
    """
    found = (
        _name(ordinal.number, operation, info, core) if _listed(info) else _result(ordinal.number, info, core, origin)
    )
    return [found] if info.type.startswith("list") else found


def _name(number: int, operation: str, info: FieldInfo, core: Core) -> str:
    (described,) = core.describe(operation)
    names = next(field.get("choices") or [] for field in described["fields"] if field["name"] == info.name)
    if str(number) in names:  # four beats in a bar, not the fifth of the metres
        return str(number)
    if number >= len(names):
        raise BadRequest(f"{info.name} has {len(names)} names, from 0", field=info.name, limits={"choices": names})
    return str(names[number])


def _result(number: int, info: FieldInfo, core: Core, origin: str) -> str:
    endings = _endings(info)
    job = core.newest(endings, number, origin) if number < FARTHEST else None
    if job is None:
        raise NotFound(f"there are no {number + 1} results that {info.name} could be", field=info.name)
    files = [Path(file["path"]) for file in (job.result or {}).get("files", [])]
    path = next(path for path in files if path.suffix.lower() in endings)
    return f"{job.id}/{path.name}" if endings is LATENT else str(path)
