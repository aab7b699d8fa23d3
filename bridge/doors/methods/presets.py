"""Methods about presets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.kept import preset_from_text, preset_of
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.presets import text_of
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext

COLUMNS = ("name", "title", "own", "source", "stages", "summary")
"""What OSC says of a preset."""

PresetName = Annotated[str, param("Name of the preset.", max_length=40, example="rough-then-clean")]
Replace = Annotated[bool, param("Whether to replace your own preset of that name.", example=False)]


@method(
    "preset.list",
    osc="/ace/preset/list",
    right=Right.OWNER,
    reads=True,
    columns=COLUMNS,
    answer="One row per preset.",
    command="preset list",
)
async def list_presets(context: MethodContext, request: Nothing) -> list[dict[str, Any]]:
    """Presets: built in, of plug-ins, and your own."""
    return list(context.core.presets.rows())


class WhichPreset(Request):
    """Which preset."""

    name: PresetName


@method(
    "preset.show",
    osc="/ace/preset/show",
    right=Right.OWNER,
    reads=True,
    positional=("name",),
    answer="The preset as its file has it.",
    command="preset show",
)
async def show(context: MethodContext, request: WhichPreset) -> dict[str, Any]:
    """What stands in a preset."""
    return dict(msgspec.to_builtins(context.core.presets.find(request.name)))


class SavePreset(Request):
    """What should be kept, under which name."""

    name: PresetName
    job: Annotated[str, param("Id of the job to make the preset from.", max_length=64, example="take-1")]
    title: Annotated[str, param("Name for people.", max_length=80, example="Rough, then clean")] = ""
    summary: Annotated[str, param("What it does, in a sentence.", max_length=200, example="A take and a polish.")] = ""
    replace: Replace = False


@method(
    "preset.save",
    osc="/ace/preset/save",
    right=Right.OWNER,
    positional=("name", "job"),
    columns=COLUMNS,
    answer="The row of the new preset.",
    command="preset save",
)
async def save(context: MethodContext, request: SavePreset) -> dict[str, Any]:
    """Keep what a job did as a preset, to be used at once."""
    view = await context.job(request.job, field="job")
    operation = context.operation(view.operation)
    if operation.target or not view.request:
        raise BadRequest(f"{view.operation} cannot become a preset; only jobs that make sound can", field="job")
    preset = preset_of(context.core.registry, request.name, view.request)
    preset = msgspec.structs.replace(preset, title=request.title, summary=request.summary)
    return dict(await context.core.presets.save(preset, replace=request.replace))


@method(
    "preset.delete",
    osc="/ace/preset/delete",
    right=Right.OWNER,
    positional=("name",),
    answer="Nothing.",
    command="preset delete",
)
async def delete(context: MethodContext, request: WhichPreset) -> dict[str, Any]:
    """Forget one of your own presets."""
    await context.core.presets.delete(request.name)
    return {}


class ImportPreset(Request):
    """A preset as it was exported."""

    text: Annotated[
        str,
        param(
            "The content of a preset file.",
            max_length=65_536,
            example='{"name":"rough-then-clean","stages":[{"type":"generate"}]}',
        ),
    ]
    name: Annotated[str, param("A new name; empty: its own.", max_length=40, example="")] = ""
    replace: Replace = False


@method(
    "preset.import",
    osc="/ace/preset/import",
    right=Right.OWNER,
    positional=("text", "name"),
    columns=COLUMNS,
    answer="The row of the new preset.",
    command="preset import",
)
async def import_preset(context: MethodContext, request: ImportPreset) -> dict[str, Any]:
    """Keep a preset that somebody exported, to be used at once."""
    preset = preset_from_text(request.text)
    if request.name:
        preset = msgspec.structs.replace(preset, name=request.name)
    return dict(await context.core.presets.save(preset, replace=request.replace))


@method(
    "preset.export",
    osc="/ace/preset/export",
    right=Right.OWNER,
    reads=True,
    positional=("name",),
    columns=("name", "text"),
    answer="Its name, and the text of its file.",
    command="preset export",
)
async def export_preset(context: MethodContext, request: WhichPreset) -> dict[str, Any]:
    """A preset as text, for a file or for somebody else."""
    return {"name": request.name, "text": text_of(context.core.presets.find(request.name))}
