"""Files as Gradio's clients name them. A name is opaque: it says which result or upload is meant, never where that lies. Pure."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, unquote

from acestep.api.errors import BadRequest
from bridge.doors.gradio.components import PREFIX
from bridge.doors.rest.results import read_sound_name, sound_name

SOUNDS, UPLOADS = "sounds/", "uploads/"

META = {"_type": "gradio.FileData"}

_UPLOAD = re.compile(r"uploads/(up-[0-9a-f]{16})/[^/\\]{1,200}")


def upload_name(upload: str, name: str) -> str:
    """What the client calls an upload from now on; the ending tells what it is."""
    return f"{UPLOADS}{upload}/{re.sub(r'[^A-Za-z0-9._ -]+', '_', name)[-100:] or 'file'}"


def result_data(job: str, index: int, path: str, root: str, size: int | None) -> dict[str, Any]:
    """A file of a result, as endpoints give it."""
    name = SOUNDS + sound_name(job, index, path)
    plain = PurePath(path.replace("\\", "/")).name
    return {
        "path": name,
        "url": f"{root}{PREFIX}/file={quote(name)}",
        "orig_name": plain,
        "size": size,
        "mime_type": media_type(plain),
        "is_stream": False,
        "meta": META,
    }


def media_type(name: str) -> str:
    """Media type of a sound, by its name."""
    known = {
        ".wav": "audio/wav",
        ".flac": "audio/flac",
        ".opus": "audio/ogg",
        ".ogg": "audio/ogg",
        ".mp3": "audio/mpeg",
    }
    return known.get(PurePath(name).suffix.lower()) or mimetypes.guess_type(name)[0] or "application/octet-stream"


def named_file(value: Any, field: str) -> str:
    """The name in a value that is a file: our own opaque name, or an absolute path of the client. Raises `BadRequest`."""
    if isinstance(value, str):
        name = value
    elif isinstance(value, Mapping):
        name = next((str(value[key]) for key in ("path", "url") if isinstance(value.get(key), str) and value[key]), "")
    else:
        name = ""
    marker = f"{PREFIX}/file="
    if marker in name:
        name = unquote(name.partition(marker)[2].partition("?")[0])
    if "://" in name:
        raise BadRequest("the daemon does not fetch files from other servers; upload the file", field=field)
    if not name:
        raise BadRequest("this is not a file, because it has no path", field=field)
    return name


def upload_of(name: str) -> str:
    """The upload that a name means; empty where it means none."""
    found = _UPLOAD.fullmatch(name)
    return found[1] if found else ""


def result_of_name(name: str) -> tuple[str, int] | None:
    """The job and index of a result's file; none where the name means none."""
    return read_sound_name(name.removeprefix(SOUNDS)) if name.startswith(SOUNDS) else None
