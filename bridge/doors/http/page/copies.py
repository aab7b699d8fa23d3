"""A sound in another format, to take away, or a part of one, to hear. Encoded by a process of its own.

A copy goes with the answer. A part is kept for a while, since a browser asks for it piece by piece.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from acestep.api.errors import AceError
from acestep.dataset.sounds import SampleSound
from bridge import children
from bridge.core.limited import in_thread
from bridge.doors.http import STUDIO
from bridge.doors.http.page.made_files import MadeFiles
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

MOST_PART_BYTES = 256 * 1024 * 1024
"""SongParts that are kept; the ones heard longest ago go first."""


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
            made = await _encoded(SampleSound(path), form)
        if made is None:
            return JSONResponse({"detail": f"{path.name} could not be written as {form}"}, status_code=500)
        forget = BackgroundTask(_forget, made)
        return FileResponse(made, media_type=MEDIA_TYPES[f".{form}"], headers=told, background=forget)

    return [Route(f"{STUDIO}/copies/{{job}}/{{index}}/{{format}}", copy)]


class SongParts:
    """The folder of kept parts."""

    def __init__(self, folder: Path) -> None:
        self._files = MadeFiles(folder, ".wav", MOST_PART_BYTES)
        self._turn = asyncio.Semaphore(1)

    async def of(self, sound: SampleSound) -> Path | None:
        """A WAV with a part of a file; None when it cannot be made."""
        kept = self._files.place(sound.path, sound.start, sound.length)
        async with self._turn:
            if await in_thread(self._files.has, kept):
                return kept
            made = await _encoded(sound, "wav")
            if made is not None:
                await in_thread(self._keep, made, kept)
        return kept if made is not None else None

    def _keep(self, made: Path, kept: Path) -> None:
        """Move a file in; half of one never has its name."""
        draft = kept.with_suffix(".part")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, draft)
        draft.replace(kept)
        self._files.make_room()


async def _encoded(sound: SampleSound, form: str) -> Path | None:
    """A temporary file with the sound in that format; None when it cannot be made."""
    with tempfile.NamedTemporaryFile(prefix="acestep-copy-", suffix=f".{form}", delete=False) as file:
        made = Path(file.name)
    what = (str(sound.path), str(made), form, str(sound.start), str(sound.length))
    command = children.python("-m", "bridge.doors.http.page.copies", *what)
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


def encode(sound: str, target: str, form: str, start: int, length: int) -> None:
    """Write a sound file in another format: from a sample on, so many samples (0: to the end)."""
    import soundfile

    container, coding = FORMATS[form]
    with (
        soundfile.SoundFile(sound) as source,
        soundfile.SoundFile(target, "w", source.samplerate, source.channels, coding, format=container) as copy,
    ):
        source.seek(min(start, source.frames))
        for block in source.blocks(BLOCK, frames=length or -1, dtype="float32", always_2d=True):
            copy.write(block.clip(-1.0, 1.0))


if __name__ == "__main__":
    source_path, target_path, name, first, count = sys.argv[1:6]
    encode(source_path, target_path, name, int(first), int(count))
