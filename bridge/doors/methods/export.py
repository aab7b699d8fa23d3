"""The method that writes a finished job as a project of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from acestep.api.errors import NotFound
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.interface import JobView
from bridge.core.limited import in_thread
from bridge.core.records import folder_name
from bridge.core.uploads import Uploads
from bridge.doors.method import method
from bridge.doors.method_context import MethodContext
from bridge.doors.methods.jobs import JobName

if TYPE_CHECKING:
    from bridge.core.arrangement import Arrangement


class ExportJob(Request):
    """Which job to write as a project, and in which form."""

    id: JobName
    format: Annotated[
        Literal["dawproject"], param("Format of the project: DAWproject 1.0 (.dawproject).", example="dawproject")
    ] = "dawproject"


@method(
    "job.export",
    osc="/ace/job/export",
    right=Right.OWNER,
    positional=("id", "format"),
    columns=("path",),
    answer="Path of the file, which lies beside the result's files; names of the tracks; notes.",
    command="export",
)
async def export(context: MethodContext, request: ExportJob) -> dict[str, Any]:
    """Write a finished job as a project for other programs: its sounds on tracks, its tempo, its regions.

    Whoever exports it again replaces the file.
    """
    view = await context.job(request.id)
    path, arrangement = await in_thread(_export, view, context.uploads_of_daemon)
    tracks = [track.name for track in arrangement.tracks]
    return {"path": str(path), "tracks": tracks, "notes": list(arrangement.notes)}


def _export(view: JobView, uploads: Uploads | None) -> tuple[Path, Arrangement]:
    from bridge.core.arrangement import arrange  # what writes XML is seldom needed, so no start imports it
    from bridge.core.dawproject import SUFFIX, write_dawproject

    arrangement = arrange(view, _song(view.request, uploads))
    folder = Path((view.result or {})["folder"])
    return write_dawproject(arrangement, folder / f"{folder_name(view.id)}{SUFFIX}"), arrangement


def _song(request: dict[str, Any], uploads: Uploads | None) -> Path | None:
    """The song that a job was made from, an upload too while it is kept."""
    from bridge.core.arrangement import song_path

    upload = (request.get("source") or {}).get("upload")
    if not upload or uploads is None:
        return song_path(request)
    try:
        return uploads.path(upload)
    except NotFound:
        return None
