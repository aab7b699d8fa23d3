"""Verbs about presets."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.kept import preset_from_text, preset_of
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.presets import text_of
from bridge.doors import requests
from bridge.doors.desk import Caller, Desk
from bridge.doors.verb import ALL, Verb

ROW = ("name", "title", "own", "source", "stages", "summary")

PresetName = Annotated[str, param("Name of the preset.", max_length=40, example="rough-then-clean")]
Replace = Annotated[bool, param("Whether a preset of yours of that name may be replaced.", example=False)]


class NamePreset(Request):
    """Which preset."""

    name: PresetName


class SavePreset(Request):
    """What shall be kept, under which name."""

    name: PresetName
    job: Annotated[str, param("Id of the job to make more of.", max_length=64, example="take-1")]
    title: Annotated[str, param("Name for people.", max_length=80, example="Rough, then clean")] = ""
    summary: Annotated[str, param("What it does, in a sentence.", max_length=200, example="A take and a polish.")] = ""
    replace: Replace = False


class ImportPreset(Request):
    """A preset as it was exported."""

    text: Annotated[
        str,
        param(
            "The text of a preset's file.",
            max_length=65_536,
            example='{"name":"rough-then-clean","stages":[{"type":"generate"}]}',
        ),
    ]
    name: Annotated[str, param("Another name; empty: its own.", max_length=40, example="")] = ""
    replace: Replace = False


async def list_presets(desk: Desk, caller: Caller, request: requests.Nothing) -> list[dict[str, Any]]:
    """Every preset."""
    return list(desk.core.presets.rows())


async def show(desk: Desk, caller: Caller, request: NamePreset) -> dict[str, Any]:
    """What stands in a preset."""
    return dict(msgspec.to_builtins(desk.core.presets.find(request.name)))


async def save(desk: Desk, caller: Caller, request: SavePreset) -> dict[str, Any]:
    """Keep what a job did."""
    view = await desk.job(caller, request.job, field="job")
    operation = desk.operation(view.operation)
    if operation.target or not view.request:
        raise BadRequest(f"{view.operation} cannot become a preset; jobs that make sound can", field="job")
    preset = preset_of(desk.core.registry, request.name, view.request)
    preset = msgspec.structs.replace(preset, title=request.title, summary=request.summary)
    return dict(await desk.core.presets.save(preset, replace=request.replace))


async def delete(desk: Desk, caller: Caller, request: NamePreset) -> dict[str, Any]:
    """Forget a preset."""
    await desk.core.presets.delete(request.name)
    return {}


async def take_in(desk: Desk, caller: Caller, request: ImportPreset) -> dict[str, Any]:
    """Keep a preset that comes as text."""
    preset = preset_from_text(request.text)
    if request.name:
        preset = msgspec.structs.replace(preset, name=request.name)
    return dict(await desk.core.presets.save(preset, replace=request.replace))


async def export(desk: Desk, caller: Caller, request: NamePreset) -> dict[str, Any]:
    """A preset as text."""
    return {"name": request.name, "text": text_of(desk.core.presets.find(request.name))}


VERBS = (
    Verb(
        name="preset.list",
        summary="Presets: built in, of plug-ins, and your own.",
        request=requests.Nothing,
        right=Right.OWNER,
        call=list_presets,
        doors=ALL,
        osc="/ace/preset/list",
        columns=ROW,
        answer="A row for each preset.",
        command="preset list",
    ),
    Verb(
        name="preset.show",
        summary="What stands in a preset.",
        request=NamePreset,
        right=Right.OWNER,
        call=show,
        doors=ALL,
        osc="/ace/preset/show",
        positional=("name",),
        answer="The preset as its file has it.",
        command="preset show",
    ),
    Verb(
        name="preset.save",
        summary="Keep what a job did as a preset, to be used at once.",
        request=SavePreset,
        right=Right.OWNER,
        call=save,
        doors=ALL,
        osc="/ace/preset/save",
        positional=("name", "job"),
        columns=ROW,
        answer="The row of the new preset.",
        command="preset save",
    ),
    Verb(
        name="preset.delete",
        summary="Forget one of your own presets.",
        request=NamePreset,
        right=Right.OWNER,
        call=delete,
        doors=ALL,
        osc="/ace/preset/delete",
        positional=("name",),
        answer="Nothing.",
        command="preset delete",
    ),
    Verb(
        name="preset.import",
        summary="Keep a preset that somebody exported, to be used at once.",
        request=ImportPreset,
        right=Right.OWNER,
        call=take_in,
        doors=ALL,
        osc="/ace/preset/import",
        positional=("text", "name"),
        columns=ROW,
        answer="The row of the new preset.",
        command="preset import",
    ),
    Verb(
        name="preset.export",
        summary="A preset as text, for a file or for somebody else.",
        request=NamePreset,
        right=Right.OWNER,
        call=export,
        doors=ALL,
        osc="/ace/preset/export",
        positional=("name",),
        columns=("name", "text"),
        answer="Its name, and the text of its file.",
        command="preset export",
    ),
)
