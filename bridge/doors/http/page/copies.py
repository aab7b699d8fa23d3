"""A sound in another format, to take away. Encoded by a process of its own into a file that goes with the answer."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from acestep.api.errors import AceError
from bridge import children
from bridge.doors.http import STUDIO
from bridge.doors.http.page.policy import headers
from bridge.doors.http.page.results import MEDIA_TYPES, HeardFiles, refusal

FORMATS = {
    "wav": ("WAV", "PCM_24"),
    "flac": ("FLAC", "PCM_24"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ogg": ("OGG", "VORBIS"),
}
"""Ending -> container and coding, as libsndfile calls them."""

BLOCK = 1 << 14
"""Samples per call of an encoder: libsndfile's Vorbis encoder keeps a whole call on its stack."""

SECONDS = 300.0


def routes(sounds: HeardFiles) -> list[BaseRoute]:
    """The address of copies."""
    turn = asyncio.Semaphore(1)

    async def copy(request: Request) -> Response:
        form = request.path_params["format"]
        try:
            path = sounds.of_job(request.path_params["job"], request.path_params["index"])
        except AceError as error:
            return refusal(error)
        if form not in FORMATS:
            return JSONResponse({"detail": f"formats are {', '.join(FORMATS)}"}, status_code=404)
        name = f"{path.stem}.{form}"
        told = {**headers(request), "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
        if path.suffix.lower() == f".{form}":
            return FileResponse(path, media_type=MEDIA_TYPES[path.suffix.lower()], headers=told)
        async with turn:
            made = await _encoded(path, form)
        if made is None:
            return JSONResponse({"detail": f"{path.name} could not be written as {form}"}, status_code=500)
        forget = BackgroundTask(_forget, made)
        return FileResponse(made, media_type=MEDIA_TYPES[f".{form}"], headers=told, background=forget)

    return [Route(f"{STUDIO}/copies/{{job}}/{{index}}/{{format}}", copy)]


async def _encoded(sound: Path, form: str) -> Path | None:
    """A temporary file with the sound in that format; None when it cannot be made."""
    with tempfile.NamedTemporaryFile(prefix="acestep-copy-", suffix=f".{form}", delete=False) as file:
        made = Path(file.name)
    command = children.python("-m", "bridge.doors.http.page.copies", str(sound), str(made), form)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, env=children.environment()
    )
    try:
        async with asyncio.timeout(SECONDS):
            code = await process.wait()
    except BaseException:  # a client that left, too: neither process nor file stays
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        _forget(made)
        raise
    if code:
        _forget(made)
        return None
    return made


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def encode(sound: str, target: str, form: str) -> None:
    """Write a sound file in another format."""
    import soundfile

    container, coding = FORMATS[form]
    with (
        soundfile.SoundFile(sound) as source,
        soundfile.SoundFile(target, "w", source.samplerate, source.channels, coding, format=container) as copy,
    ):
        for block in source.blocks(BLOCK, dtype="float32", always_2d=True):
            copy.write(block.clip(-1.0, 1.0))


if __name__ == "__main__":
    encode(*sys.argv[1:4])
