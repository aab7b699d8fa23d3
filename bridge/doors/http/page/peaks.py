"""Peaks of sounds, for waveforms: made by a process of its own, sent as they are made, and kept.

A request for the peaks of an hour of sound is answered at once with rate and length; the bins follow while the file is read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from acestep.api.errors import AceError
from bridge import children
from bridge.core.limited import in_thread
from bridge.doors.http import STUDIO
from bridge.doors.http.page.made_files import MadeFiles
from bridge.doors.http.page.policy import headers
from bridge.doors.http.page.results import HeardFiles, refusal
from bridge.doors.http.site import Site

MEDIA_TYPE = "application/x-peaks"

AT_ONCE = 2
"""Files that are read for their peaks at a time."""

MOST_BYTES = 128 * 1024 * 1024
"""Peaks that are kept; the ones used longest ago go first."""

PIECE = 1 << 16


class Peaks:
    """The folder of kept peaks."""

    def __init__(self, folder: Path) -> None:
        self.files = MadeFiles(folder, ".peaks", MOST_BYTES)
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def made(self, sound: Path, kept: Path) -> AsyncIterator[bytes]:
        """The peaks of a sound while they are made; whole, they are kept."""
        async with self._turn:
            command = children.python("-m", "bridge.doors.http.page.peaks_process", str(sound))
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL, env=children.environment()
            )
            draft = kept.with_suffix(f".{os.getpid()}-{process.pid}.part")
            try:
                await asyncio.to_thread(self.files.folder.mkdir, parents=True, exist_ok=True)
                assert process.stdout is not None
                with draft.open("wb") as file:
                    while piece := await process.stdout.read(PIECE):
                        file.write(piece)
                        yield piece
                if await process.wait() == 0:
                    draft.replace(kept)
                    await asyncio.to_thread(self.files.make_room)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                with contextlib.suppress(OSError):
                    draft.unlink()


def routes(site: Site, sounds: HeardFiles) -> list[BaseRoute]:
    """Addresses of peaks."""
    home = site.core.status().get("home") or "."
    peaks = Peaks(Path(home) / "peaks")

    async def answer(request: Request, sound: Path) -> Response:
        kept = peaks.files.place(sound)
        if await in_thread(peaks.files.has, kept):
            return FileResponse(kept, media_type=MEDIA_TYPE, headers=headers(request))
        return StreamingResponse(peaks.made(sound, kept), media_type=MEDIA_TYPE, headers=headers(request))

    async def of_job(request: Request) -> Response:
        try:
            return await answer(request, sounds.of_job(request.path_params["job"], request.path_params["index"]))
        except AceError as error:
            return refusal(error)

    async def of_upload(request: Request) -> Response:
        try:
            return await answer(request, sounds.of_upload(request.path_params["upload"]))
        except AceError as error:
            return refusal(error)

    return [Route(f"{STUDIO}/peaks/upload/{{upload}}", of_upload), Route(f"{STUDIO}/peaks/{{job}}/{{index}}", of_job)]
