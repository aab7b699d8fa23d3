"""What the door checks of an export, before anything is opened. No torch, no ONNX library."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadRequest, ModelUnsuited, Unavailable, UnknownName
from acestep.api.variants import ModelInfo

PACKAGES = ("onnx", "onnxscript", "onnxruntime")

FOLDER = "onnx"
"""Where exports lie below the home that are given no folder."""


def check_export(request: Any, host: Any) -> Any:
    """See that packages, model, parts and a free name are there; the parts and the folder are settled."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise Unavailable(
            f"export-onnx needs the package{'s' * (len(missing) > 1)} {', '.join(missing)}: pip install 'acestep-bridge[onnx]'",
            field=missing[0],
        )
    info = host.model(request.model)
    parts = chosen_parts(request.parts, info)
    target = target_of(request, info, host.home)
    if target.exists():
        raise BadRequest(f"{target} already exists; choose another folder, or move it away", field="folder")
    return msgspec.structs.replace(request, parts=parts)


def chosen_parts(asked: list[str], info: ModelInfo) -> list[str]:
    """The parts to write, each once; all that there are where none is named. Raises `ModelUnsuited`, `UnknownName`."""
    if not info.exports:
        raise ModelUnsuited(f"{info.name} ({info.family_title}) has no parts that could be exported", field="model")
    lacking = [part for part in asked if part not in info.exports and part in info.unexported]
    if lacking:
        raise ModelUnsuited(
            f"the files of {info.name} do not hold {' and '.join(info.unexported[part] for part in lacking)}, so "
            f"{', '.join(lacking)} cannot be exported",
            field="parts",
            limits={"choices": list(info.exports)},
        )
    if unknown := [part for part in asked if part not in info.exports]:
        raise UnknownName(
            f"{info.name} has no part {unknown[0]!r}; it has {', '.join(info.exports)}",
            field="parts",
            limits={"choices": list(info.exports)},
        )
    return list(dict.fromkeys(asked or info.exports))


def target_of(request: Any, info: ModelInfo, home: Path) -> Path:
    """The folder that an export becomes."""
    return (Path(request.folder) if request.folder else home / FOLDER) / f"{info.name}-{request.dtype}"
