"""The manifest of an export: what its files are, how to run them, where they come from. No torch, no ONNX library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from acestep.api.errors import BadCheckpoint
from acestep.api.variants import ModelInfo

FORMAT, VERSION = "acestep-bridge/onnx", 1
MANIFEST = "export.json"

WEIGHTS = ".data"
"""What the name of a graph's weights ends with; they lie beside it."""


class ExportedPort(msgspec.Struct, frozen=True, kw_only=True):
    """An input or output of a graph. A dimension that varies is a word, ``"frames"``, or a multiple of one, ``"2*patches"``."""

    name: str
    dtype: str
    shape: list[int | str]


class ExportedGraph(msgspec.Struct, frozen=True, kw_only=True):
    """One graph: its file, whose weights lie beside it, and how far it is from the model it was made of."""

    file: str
    summary: str
    inputs: list[ExportedPort]
    outputs: list[ExportedPort]
    dtype: str
    """Of its weights; inputs and outputs are always those of the ports."""
    difference: list[float]
    """In ONNX Runtime at the three sizes of ``checked_at``, as a share of the largest value where that is above 1."""
    allowed: float = 0.0
    """The largest difference that was taken for rounding; 0: an export from before it was noted."""
    checked_at: list[dict[str, int]] = []
    """Sizes of the varying dimensions, none of which the graph was recorded at."""
    facts: dict[str, Any] = {}


class ExportedSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """How the model is run where nobody asks for anything else: Euler's steps over ``times``."""

    name: str
    steps: int
    shift: float
    times: list[float]
    guidance: str
    guidance_scale: float
    guidance_start: float
    """Guidance acts at this time and above it."""


class ModelExport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a program needs to know to run the graphs of a folder."""

    format: str = FORMAT
    version: int = VERSION
    model: ModelInfo
    digests: dict[str, str]
    """Of the weights it was made of, as recipes hold them: ``model``, ``codec``, ``text_encoder``."""
    license: str
    dtype: str
    opset: int
    versions: dict[str, str]
    """Of what made it."""
    schedule: ExportedSchedule
    parts: dict[str, ExportedGraph]
    files: dict[str, str] = {}
    """What else lies beside: ``tokenizer``, ``silence_latent``, ``null_condition``."""
    text: dict[str, Any] = {}
    """The form of the texts that the model was trained on, and how much of them it reads."""


def write_export(folder: Path, export: ModelExport) -> None:
    """Write the manifest."""
    text = json.dumps(msgspec.to_builtins(export), indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n", "utf-8")


def read_export(folder: Path) -> ModelExport:
    """The manifest of a folder, its files seen to be there. Raises `BadCheckpoint`."""
    try:
        data = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as failure:
        raise BadCheckpoint(f"{folder} holds no readable {MANIFEST}", field="model") from failure
    if not isinstance(data, Mapping) or data.get("format") != FORMAT or data.get("version") != VERSION:
        raise BadCheckpoint(
            f"{folder / MANIFEST} is no export of this version; export the model again with export-onnx", field="model"
        )
    try:
        export = msgspec.convert(dict(data), ModelExport)
    except msgspec.ValidationError as failure:
        raise BadCheckpoint(f"{folder / MANIFEST} is damaged; export the model again", field="model") from failure
    named = [one.file for one in export.parts.values()]
    missing = [name for name in (*named, *export.files.values()) if not (folder / name).is_file()]
    if missing:
        raise BadCheckpoint(
            f"{folder} is not complete: {', '.join(missing)} missing; copy the whole folder", field="model"
        )
    return export
