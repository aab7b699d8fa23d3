"""Songs of datasets, to hear: whole files, or the part that a sample is of."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from acestep.api.errors import AceError, NotFound
from bridge.core.limited import in_thread
from bridge.doors.http import STUDIO
from bridge.doors.http.page.copies import SongParts
from bridge.doors.http.page.policy import headers
from bridge.doors.http.page.results import MEDIA_TYPES, HeardFiles, refusal
from bridge.doors.http.site import Site


def routes(site: Site, sounds: HeardFiles) -> list[BaseRoute]:
    """The address of a dataset's songs."""
    parts = SongParts(Path(site.core.status().get("home") or ".") / "parts")

    async def song(request: Request) -> Response:
        try:
            sound = await in_thread(sounds.of_sample, request.path_params["dataset"], request.path_params["sample"])
            heard = sound.path if sound.whole else await parts.of(sound)
            if heard is None:
                raise NotFound(f"{sound.path.name} cannot be read", field="sample")
        except AceError as error:
            return refusal(error)
        return FileResponse(heard, media_type=MEDIA_TYPES[heard.suffix.lower()], headers=headers(request))

    return [Route(f"{STUDIO}/songs/{{dataset}}/{{sample}}", song)]
