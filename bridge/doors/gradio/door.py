"""The routes that Gradio's clients use."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse

from acestep.api.errors import AceError
from bridge.doors import limits
from bridge.doors.gradio import components, files
from bridge.doors.gradio.calls import ENDPOINTS, GradioCalls, sound_of
from bridge.doors.gradio.sessions import GradioSessions, Work, event_line
from bridge.doors.http.body import read_body
from bridge.doors.http.site import HttpCaller
from bridge.doors.rest.bodies import parse_json
from bridge.doors.rest.door import RestDoor
from bridge.doors.rest.envelope import hard

DOOR = "gradio"

STREAM = {"content-type": "text/event-stream", "cache-control": "no-store"}

_SIGNATURES = [signature for signature, _ in ENDPOINTS]
_NUMBERS = {signature.name: number for number, signature in enumerate(_SIGNATURES)}


class GradioDoor:
    """Gradio's protocol over what the REST interface does."""

    def __init__(self, rest: RestDoor) -> None:
        self._rest = rest
        self._sessions = GradioSessions()

    # What there is

    async def config(self, request: Request) -> Response:
        """The page's components and endpoints."""
        return JSONResponse(components.config(_SIGNATURES, _root(request)))

    async def info(self, request: Request) -> Response:
        """The endpoints for people and programs."""
        return JSONResponse(components.info(_SIGNATURES))

    # Calls

    async def join(self, request: Request) -> Response:
        """Begin a call in the client's session."""
        sent = parse_json(await read_body(request))
        number, name = sent.get("fn_index"), _session_name(sent)
        event = self._sessions.join(name, self._work(request, number, sent.get("data")))
        if event is None:
            return JSONResponse({"detail": "too many calls are running; try again"}, status_code=503)
        return JSONResponse({"event_id": event})

    def _work(self, request: Request, number: Any, data: Any) -> Work:
        """The call of an endpoint with its values. Raises `HTTPException`."""
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < len(ENDPOINTS):
            raise HTTPException(404, f"there is no endpoint {str(number)[:40]}; there are 0 to {len(ENDPOINTS) - 1}")
        values = [] if data is None else data
        if not isinstance(values, list):
            raise HTTPException(422, "data is a list of values")
        caller = HttpCaller.of(request, DOOR)
        return partial(ENDPOINTS[number][1], GradioCalls(self._rest, caller, _root(request)), values)

    async def stream(self, request: Request) -> Response:
        """How the calls of a session go."""
        name = request.query_params.get("session_hash", "")
        if self._sessions.find(name) is None:
            gone = {
                "msg": "unexpected_error",
                "message": "there is no such session",
                "success": False,
                "session_not_found": True,
            }
            return JSONResponse(gone, status_code=404)
        return StreamingResponse(self._told(name), headers=STREAM)

    async def _told(self, name: str) -> AsyncIterator[bytes]:
        session = self._sessions.find(name)
        if session is None:
            return
        try:
            async for message in session.messages():
                yield event_line(message)
        finally:
            self._sessions.leave(name)

    async def cancel(self, request: Request) -> Response:
        """Cancel a call, and the job that it waits for."""
        sent = parse_json(await read_body(request))
        session = self._sessions.find(_session_name(sent))
        event = sent.get("event_id")
        found = session is not None and session.cancel(event if isinstance(event, str) else "")
        return JSONResponse({"success": found})

    async def reset(self, request: Request) -> Response:
        """What older clients ask before they go; the end of their stream says the same."""
        await read_body(request)
        return JSONResponse({"success": True})

    async def heartbeat(self, request: Request) -> Response:
        """A sign of life that nobody needs: `config` says so, and some clients ask all the same."""
        return Response(b"data: ALIVE\n\n", headers=STREAM)

    # Calls by name, as with curl

    async def call(self, request: Request) -> Response:
        """Begin a call by its endpoint's name; `call_result` tells what comes of it."""
        number = _NUMBERS.get(request.path_params["name"])
        sent = parse_json(await read_body(request))
        name = uuid.uuid4().hex
        if self._sessions.join(name, self._work(request, number, sent.get("data"))) is None:
            return JSONResponse({"detail": "too many calls are running; try again"}, status_code=503)
        return JSONResponse({"event_id": name})

    async def call_result(self, request: Request) -> Response:
        """Heartbeats, and in the end the values or the error."""
        name = request.path_params["event"]
        if self._sessions.find(name) is None:
            raise HTTPException(404, "there is no such call")
        return StreamingResponse(self._outcome(name), headers=STREAM)

    async def _outcome(self, name: str) -> AsyncIterator[bytes]:
        session = self._sessions.find(name)
        if session is None:
            return
        try:
            async for message in session.messages():
                if message["msg"] == "heartbeat":
                    yield b"event: heartbeat\ndata: null\n\n"
                elif message["msg"] == "process_completed":
                    output = message["output"]
                    kind, value = ("complete", output["data"]) if message["success"] else ("error", output["error"])
                    yield (
                        f"event: {kind}\n".encode()
                        + b"data: "
                        + json.dumps(value, ensure_ascii=False).encode()
                        + b"\n\n"
                    )
        finally:
            self._sessions.leave(name)

    # Files

    async def upload(self, request: Request) -> Response:
        """Keep files; the names that they have from now on."""
        caller = HttpCaller.of(request, DOOR)

        async def kept(part: UploadFile) -> str:
            upload = await self._rest.bodies.keep(part.file, part.size or 0, part.filename or "", caller.name)
            return files.upload_name(upload, part.filename or "")

        async with self._rest.bodies.form(request, most_files=limits.GRADIO_FILES) as form:
            sent = [part for part in form.getlist("files") if isinstance(part, UploadFile)]
            if not sent:
                raise HTTPException(422, "send the files in parts named files")
            return JSONResponse([await kept(part) for part in sent])

    async def file(self, request: Request) -> Response:
        """A result or an upload, whole or by Range; by its opaque name, never by a path."""
        name = unquote(request.path_params["name"])
        path = self._place(name)
        return FileResponse(
            path, media_type=files.media_type(name), filename=Path(name).name, content_disposition_type="inline"
        )

    def _place(self, name: str) -> Path:
        """Where a file lies. Raises `HTTPException`."""
        uploads = self._rest.dispatcher.uploads
        try:
            if (found := files.result_of_name(name)) is not None:
                path = sound_of(self._rest, *found)
                if path.is_file() and files.result_data(*found, str(path), "", None)["path"] == name:
                    return path
            if (upload := files.upload_of(name)) and uploads is not None:
                return uploads.path(upload)
        except AceError as failure:
            raise HTTPException(404, failure.message) from None
        if name.startswith(("/", "\\")) or ".." in name:
            raise HTTPException(403, "name a file as a result names it, not by a path")
        raise HTTPException(404, "there is no such file")


def _session_name(sent: Mapping[str, Any]) -> str:
    """The session of a client's message. Raises `HTTPException`."""
    name = sent.get("session_hash")
    if not isinstance(name, str) or not 0 < len(name) <= 100:
        raise HTTPException(422, "session_hash must be text of 1 to 100 characters")
    return name


def _root(request: Request) -> str:
    """The server's address, as this client reaches it."""
    return str(request.base_url).rstrip("/")


def refusing(handler: Any) -> Any:
    """A route whose errors of ours are statuses with a sentence."""

    async def call(request: Request) -> Response:
        try:
            answered: Response = await handler(request)
            return answered
        except AceError as failure:
            raise hard(failure) from None

    return call
