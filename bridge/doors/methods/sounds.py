"""Methods about named sounds."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from acestep.api.errors import BadRequest
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from acestep.api.sound import Sound, sound_of
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext

COLUMNS = ("name", "title", "values")
"""What OSC says of a sound."""

SoundName = Annotated[str, param("Name of the sound.", max_length=40, example="velvet")]


@method(
    "sound.list",
    osc="/ace/sound/list",
    right=Right.OWNER,
    reads=True,
    columns=COLUMNS,
    answer="One row per sound.",
    command="sound list",
)
async def list_sounds(context: MethodContext, request: Nothing) -> list[dict[str, Any]]:
    """Your sounds, which any operation takes as `sound`."""
    return list(context.core.sounds.rows())


class WhichSound(Request):
    """Which sound."""

    name: SoundName


@method(
    "sound.show",
    osc="/ace/sound/show",
    right=Right.OWNER,
    reads=True,
    positional=("name",),
    answer="The sound as its file has it.",
    command="sound show",
)
async def show(context: MethodContext, request: WhichSound) -> dict[str, Any]:
    """What a sound gives."""
    return dict(msgspec.to_builtins(context.core.sounds.find(request.name)))


class SaveSound(Request):
    """What should be kept, under which name."""

    name: SoundName
    job: Annotated[
        str,
        param(
            "Id of the job from which to take caption, reference, model, adapters and seed.", max_length=64, example=""
        ),
    ] = ""
    values: Annotated[
        dict[str, Any],
        param(
            "Fields that the sound sets, instead of the job's or on top of them.",
            max_length=100,
            example={"lora": ["velvet=0.8"]},
        ),
    ] = {}
    title: Annotated[str, param("Name for people.", max_length=80, example="Velvet choir")] = ""
    replace: Annotated[bool, param("Whether to replace a sound of that name.", example=False)] = False


@method(
    "sound.save",
    osc="/ace/sound/save",
    right=Right.OWNER,
    positional=("name", "job"),
    columns=COLUMNS,
    answer="The row of the new sound.",
    command="sound save",
)
async def save(context: MethodContext, request: SaveSound) -> dict[str, Any]:
    """Keep how a job sounds, or some fields, as a sound that any operation takes."""
    values = request.values
    if request.job:
        view = await context.job(request.job, field="job")
        if context.operation(view.operation).target:
            raise BadRequest(f"{view.operation} makes no sound that could be saved", field="job")
        values = {**sound_of(request.name, view.request).values, **values}
    sound = Sound(name=request.name, title=request.title, values=values)
    return dict(await context.core.sounds.save(sound, replace=request.replace))


@method(
    "sound.delete",
    osc="/ace/sound/delete",
    right=Right.OWNER,
    positional=("name",),
    answer="Nothing.",
    command="sound delete",
)
async def delete(context: MethodContext, request: WhichSound) -> dict[str, Any]:
    """Forget a sound; what was made with it stays as it is."""
    await context.core.sounds.delete(request.name)
    return {}
