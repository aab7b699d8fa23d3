"""Finished jobs as projects of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acestep.api.errors import NotFound
from bridge.core.arrangement import Arrangement, arrange, song_path
from bridge.core.dawproject import SUFFIX, write_dawproject
from bridge.core.interface import JobView
from bridge.core.limited import in_thread
from bridge.core.records import folder_name
from bridge.doors import requests
from bridge.doors.desk import Caller, Desk


async def job_export(desk: Desk, caller: Caller, request: requests.Export) -> dict[str, Any]:
    """Write a job as a project beside its files; whoever exports it again replaces it."""
    view = await desk.job(caller, request.id)
    path, arrangement = await in_thread(_export, view, desk.files)
    tracks = [track.name for track in arrangement.tracks]
    return {"path": str(path), "tracks": tracks, "notes": list(arrangement.notes)}


def _export(view: JobView, files: Any) -> tuple[Path, Arrangement]:
    arrangement = arrange(view, _song(view.request, files))
    folder = Path((view.result or {})["folder"])
    return write_dawproject(arrangement, folder / f"{folder_name(view.id)}{SUFFIX}"), arrangement


def _song(request: dict[str, Any], files: Any) -> Path | None:
    """The song that a job was made from, an upload too while it is kept."""
    upload = (request.get("source") or {}).get("upload")
    if not upload or files is None:
        return song_path(request)
    try:
        found: Path = files.path(upload)
        return found
    except NotFound:
        return None
