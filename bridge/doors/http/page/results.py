"""Sounds of finished jobs and uploads, as files: to hear (with Range), and several of them as one ZIP."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from acestep.api.errors import AceError, NotFound, TooLarge, UnknownJob
from acestep.dataset.sounds import SampleSound, sample_sound
from bridge.core.access import OWNER
from bridge.doors.http import STUDIO
from bridge.doors.http.page.policy import headers
from bridge.doors.http.site import Site

MEDIA_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".opus": "audio/ogg",
               ".aif": "audio/aiff", ".aiff": "audio/aiff"}  # fmt: skip
"""What is a sound, and how browsers call it."""

_INDEX = re.compile("[0-9]{1,4}")
_TAKE = re.compile(r"([A-Za-z0-9._-]{1,64}):([0-9]{1,4})")

MOST_TAKES = 200
"""Sounds of one ZIP."""

PIECE = 1 << 18


class HeardFiles:
    """Finds the files of results, uploads and datasets."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def of_job(self, job: str, index: str) -> Path:
        """The file of a result. Raises `NotFound`."""
        try:
            files = (self._site.core.job(job).result or {}).get("files", [])
        except UnknownJob:
            files = []
        number = int(index) if _INDEX.fullmatch(index) else len(files)
        path = Path(files[number]["path"]) if number < len(files) else None
        if path is None or path.suffix.lower() not in MEDIA_TYPES or not path.is_file():
            raise NotFound("this sound no longer exists", field="index")
        return path

    def of_upload(self, upload: str) -> Path:
        """The file of an upload. Raises `NotFound`."""
        uploads = self._site.dispatcher.uploads
        if uploads is None:
            raise NotFound("this daemon does not accept uploads", field="upload")
        return uploads.path(upload)

    def of_sample(self, dataset: str, sample: str) -> SampleSound:
        """The sound of a dataset's sample, where it may still be read. Raises `AceError`."""
        home = Path(self._site.core.status()["home"])
        named = sample_sound(home, dataset, sample)
        path = self._site.core.readable(str(named.path), OWNER)
        if path.suffix.lower() not in MEDIA_TYPES:
            raise NotFound("this sound no longer exists", field="sample")
        return SampleSound(path, named.start, named.length)

    def recipe(self, job: str) -> dict[str, Any]:
        """The recipe of a job's result."""
        view = self._site.core.job(job)
        return dict((view.result or {}).get("recipe") or view.request)

    def type_of_upload(self, upload: str) -> str:
        """The media type of an upload, by the name it came with."""
        uploads = self._site.dispatcher.uploads
        name = uploads.find(upload).name if uploads is not None else ""
        return MEDIA_TYPES.get(Path(name).suffix.lower(), "application/octet-stream")


def refusal(error: AceError) -> Response:
    """An error as the page reads it."""
    status = {"not_found": 404, "unknown_job": 404, "unknown_name": 404, "too_large": 413, "busy": 503}.get(
        error.code, 400
    )
    return JSONResponse({"error": error.to_wire()}, status_code=status)


def routes(sounds: HeardFiles) -> list[BaseRoute]:
    """Addresses of sounds and ZIP files."""

    async def sound(request: Request) -> Response:
        try:
            path = sounds.of_job(request.path_params["job"], request.path_params["index"])
        except AceError as error:
            return refusal(error)
        return FileResponse(path, media_type=MEDIA_TYPES[path.suffix.lower()], headers=headers(request))

    async def upload(request: Request) -> Response:
        name = request.path_params["upload"]
        try:
            path, kind = sounds.of_upload(name), sounds.type_of_upload(name)
        except AceError as error:
            return refusal(error)
        return FileResponse(path, media_type=kind, headers=headers(request))

    async def bundle(request: Request) -> Response:
        try:
            takes = _takes(request.query_params.getlist("take"))
            chosen = [(job, index, sounds.of_job(job, index)) for job, index in takes]
            recipes = {job: sounds.recipe(job) for job, _ in takes}
        except AceError as error:
            return refusal(error)
        told = {**headers(request), "content-disposition": 'attachment; filename="takes.zip"'}
        return StreamingResponse(zipped(chosen, recipes), media_type="application/zip", headers=told)

    return [
        Route(f"{STUDIO}/sounds/upload/{{upload}}", upload),
        Route(f"{STUDIO}/sounds/{{job}}/{{index}}/{{name}}", sound),
        Route(f"{STUDIO}/zip", bundle),
    ]


class _Pipe:
    """What `zipfile` writes into: keeps no more than has not been sent."""

    def __init__(self) -> None:
        self._place = 0
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        self._place += len(data)
        return len(data)

    def tell(self) -> int:
        return self._place

    def flush(self) -> None:
        return

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _takes(asked: list[str]) -> list[tuple[str, str]]:
    """Job and index of every take, each once. Raises `NotFound`, `TooLarge`."""
    if len(asked) > MOST_TAKES:
        raise TooLarge(f"one ZIP file holds at most {MOST_TAKES} takes", field="take", limits={"max": MOST_TAKES})
    found = [_TAKE.fullmatch(one) for one in dict.fromkeys(asked)]
    if not found or None in found:
        raise NotFound("name the takes for the ZIP file as JOB:NUMBER", field="take")
    return [(take[1], take[2]) for take in found if take]


def zipped(takes: list[tuple[str, str, Path]], recipes: dict[str, dict[str, Any]]) -> Iterator[bytes]:
    """A ZIP file in pieces: every sound in the folder of its job, the job's recipe beside it. Nothing is held whole."""
    pipe = _Pipe()
    with zipfile.ZipFile(cast("IO[bytes]", pipe), "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for job, recipe in recipes.items():
            text = json.dumps(recipe, ensure_ascii=False, indent=1)
            archive.writestr(f"{job}/recipe.json", text, compress_type=zipfile.ZIP_DEFLATED)
        for job, _, path in takes:
            with archive.open(f"{job}/{path.name}", "w", force_zip64=True) as entry, path.open("rb") as file:
                while piece := file.read(PIECE):
                    entry.write(piece)
                    yield pipe.taken()
    yield pipe.taken()
