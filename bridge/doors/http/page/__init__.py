"""The studio page: create, edit, compare and look after results in a browser tab.

The page is one more client: it talks JSON-RPC over the WebSocket. What a WebSocket is wrong for goes over HTTP here: its own files,
sounds (with Range), peaks of waveforms, uploads, copies in another format, ZIP files. Sounds are named by job and number or by
upload, never by a path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from bridge.doors.http import AUDITION, STUDIO
from bridge.doors.http.page import copies, incoming, peaks, results, songs
from bridge.doors.http.page.policy import headers
from bridge.doors.http.site import Site

STATIC = Path(__file__).with_name("static")

MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
               ".svg": "image/svg+xml"}  # fmt: skip

TITLE = "The studio page"

# fmt: off
PAGES = (
    (STUDIO, "The page; `#edit`, `#library` and so on open a view.", "acestep-bridge studio"),
    (AUDITION, f"Leads to `{STUDIO}#library`.", "acestep-bridge audition"),
    (f"{STUDIO}/static", "What the page is made of.", ""),
    (f"{STUDIO}/sounds/JOB/INDEX/NAME", "One sound of a result, whole or by Range; NAME is free.",
     f"curl -O http://127.0.0.1:9702{STUDIO}/sounds/take-1/0/part.wav"),
    (f"{STUDIO}/sounds/upload/ID", "An upload, whole or by Range.", ""),
    (f"{STUDIO}/songs/DATASET/ID", "A song of a dataset, or the part of it that is learned from, whole or by Range.", ""),
    (f"{STUDIO}/peaks/JOB/INDEX", "The peaks of a sound, for a waveform; sent while they are made.", ""),
    (f"{STUDIO}/peaks/upload/ID", "The same of an upload.", ""),
    (f"{STUDIO}/copies/JOB/INDEX/FORMAT", "A sound as wav, flac, mp3 or ogg.", ""),
    (f"{STUDIO}/zip", "Several sounds (at most 200) with their recipes, as one ZIP file.",
     f"curl -O http://127.0.0.1:9702{STUDIO}/zip?take=take-1:0"),
    (f"{STUDIO}/uploads", "PUT: takes a sound file; a request names its id as `upload`.",
     f"curl -T song.wav http://127.0.0.1:9702{STUDIO}/uploads?name=song.wav"),
)
# fmt: on


def routes(site: Site) -> list[BaseRoute]:
    """All addresses of the page."""
    assets = _assets(STATIC)

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html", media_type="text/html", headers=headers(request))

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["name"])
        if found is None:
            return JSONResponse({"detail": "there is no such file"}, status_code=404)
        return FileResponse(found, media_type=MEDIA_TYPES[found.suffix], headers=headers(request))

    async def audition(request: Request) -> Response:
        return RedirectResponse(f"{STUDIO}#library", status_code=307, headers=headers(request))

    found: list[BaseRoute] = [
        Route(STUDIO, page),
        Route(f"{STUDIO}/static/{{name:path}}", asset),
        Route(AUDITION, audition),
    ]
    sounds = results.HeardFiles(site)
    return [
        *found,
        *results.routes(sounds),
        *peaks.routes(site, sounds),
        *copies.routes(sounds),
        *songs.routes(site, sounds),
        *incoming.routes(site),
    ]


def _assets(folder: Path) -> dict[str, Path]:
    """Address -> file; what is not in here cannot be asked for."""
    files: list[Any] = [path for path in sorted(folder.rglob("*")) if path.suffix in MEDIA_TYPES]
    return {path.relative_to(folder).as_posix(): path for path in files}
