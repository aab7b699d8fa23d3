"""The audition page: hear results of finished jobs, equally loud, and drag them out of the browser. Reads only.

For hosts whose scripts cannot play (Ardour, Ableton Live) and for people without a host. Files are named by job and number,
never by a path, so that nothing but results can be had here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from acestep.api.errors import UnknownJob
from bridge.core.interface import Core, JobState
from bridge.doors.http import AUDITION

ASSETS = {"": "page.html", "/page.css": "page.css", "/page.js": "page.js", "/sounds.js": "sounds.js"}
"""Address behind `AUDITION` -> file beside this module."""

MEDIA_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".aif": "audio/aiff",
               ".aiff": "audio/aiff"}  # fmt: skip
"""What is a sound, and how browsers call it."""

SOUND_INDEX = re.compile("[0-9]{1,4}")

NEWEST = 24
"""Jobs on the page."""

POLICY = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}


def routes(core: Core) -> list[Route]:
    """The page, what it is made of, its list and the sounds."""

    async def results(request: Request) -> Response:
        done = await core.jobs(states=frozenset({JobState.DONE}), limit=NEWEST)
        rows = [row for job in done if (row := summary(core, job.id))]
        return JSONResponse({"jobs": rows}, headers=POLICY)

    async def sound(request: Request) -> Response:
        index = request.path_params["index"]
        path = _sound(core, request.path_params["job"], int(index)) if SOUND_INDEX.fullmatch(index) else None
        if path is None:
            return JSONResponse({"error": "there is no such sound"}, status_code=404)
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix.lower()], headers=POLICY)

    def asset(name: str) -> Any:
        async def give(request: Request) -> Response:
            return FileResponse(Path(__file__).with_name(name), headers=POLICY)

        return give

    pages = [Route(AUDITION + address, asset(name)) for address, name in ASSETS.items()]
    return [
        *pages,
        Route(f"{AUDITION}/results", results),
        Route(f"{AUDITION}/sounds/{{job}}/{{index}}/{{name}}", sound),
    ]


def summary(core: Core, job: str) -> dict[str, Any] | None:
    """What the page says of a job; None when it has no sound. Paths stay relative to the page."""
    try:
        found = core.job(job)
    except UnknownJob:  # dropped since the list was made
        return None
    files = (found.result or {}).get("files", [])
    sounds = []
    for index, file in enumerate(files):
        path = Path(file["path"])
        if path.suffix.lower() in MEDIA_TYPES:
            facts = {
                "name": path.name,
                "type": MEDIA_TYPES[path.suffix.lower()],
                "seconds": file["length"] / file["rate"],
            }
            address = f"{AUDITION}/sounds/{job}/{index}/{quote(path.name)}"
            sounds.append({"address": address, **facts, "variant": file["variant"], "track": file["track"]})
    facts = {"id": job, "operation": found.operation, "caption": found.caption, "ended": found.ended}
    return {**facts, "notes": (found.result or {}).get("notes", []), "sounds": sounds} if sounds else None


def _sound(core: Core, job: str, index: int) -> Path | None:
    """The file of a result, if it is a sound and still there."""
    try:
        files = (core.job(job).result or {}).get("files", [])
    except UnknownJob:
        return None
    path = Path(files[index]["path"]) if index < len(files) else None
    return path if path and path.suffix.lower() in MEDIA_TYPES and path.is_file() else None
