"""The calls of the chat form."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from acestep.api.errors import AceError
from bridge.core.interface import JobState, JobView
from bridge.doors import limits
from bridge.doors.chat.answers import Head, as_list, as_object, codes_of, describe, filled, sounds
from bridge.doors.chat.messages import SOURCES_FIRST, MessageSound, read_request, wanted_object
from bridge.doors.http.body import declared_length, read_body
from bridge.doors.http.site import HttpCaller, Site
from bridge.doors.rest import facts
from bridge.doors.rest.bodies import BodyReader, parse_json
from bridge.doors.rest.door import Handler
from bridge.doors.rest.envelope import hard
from bridge.doors.rest.results import error_of
from bridge.doors.rest.tasks import WORDS, Tasks
from bridge.doors.rest.translate import Translation, translate

log = logging.getLogger(__name__)

PREFIX = "acestep/"
"""Before a model's name in its id."""

HEARTBEAT_SECONDS = 2.0
"""Pause between two signs of life of a streamed answer."""

ANSWER_SECONDS = 600.0
"""Longest time to an answer, as in the original."""

STATES = {JobState.CANCELLED: 503, JobState.INTERRUPTED: 503}
"""HTTP status of a job that ended without music; a failed one is 500."""


class ChatDoor:
    """Everything that the calls share."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tasks = Tasks(site.dispatcher)
        settings = site.settings
        self._uploads = BodyReader(site.dispatcher.uploads, settings.upload_bytes, settings.upload_quota)
        self._large = asyncio.Lock()

    async def models(self, request: Request) -> Response:
        """The models of this machine."""
        rows = facts.checkpoints(self._site.choices.models(self._site.core))
        return JSONResponse({"object": "list", "data": [_model(row) for row in rows]})

    async def completions(self, request: Request) -> Response:
        """Make the music that the last message asks for, and answer with it."""
        caller = HttpCaller.of(request, "chat")
        if declared_length(request) > limits.HTTP_BODY or "content-length" not in request.headers:
            async with self._large:  # sounds as base64: one at a time, so that a crowd of them does not fill the memory
                body, translation = await self._translated(request, caller)
        else:
            body, translation = await self._translated(request, caller)
        task, _ = await self._tasks.release(translation, caller)
        head = Head(f"chatcmpl-{task.replace('-', '')[:16]}", _text(body.get("model")) or self._default())
        if body.get("stream") is True:
            pieces = self._stream(task, head, wanted_object(body))
            return StreamingResponse(pieces, media_type="text/event-stream")
        view = await self._ended(task)
        if view.state is not JobState.DONE:
            raise HTTPException(STATES.get(view.state, 500), error_of(view))
        return StreamingResponse(self._whole(view, head, wanted_object(body)), media_type="application/json")

    async def _translated(self, request: Request, caller: HttpCaller) -> tuple[Mapping[str, Any], Translation]:
        body = parse_json(await read_body(request, limits.CHAT_BODY))
        values, given = await asyncio.to_thread(read_request, body)
        audio = body.get("audio")
        if isinstance(audio, Mapping) and audio.get("format"):
            values["audio_format"] = audio["format"]
        files = await self._keep(given, _text(values.get("task_type")).strip().lower(), caller)
        await self._site.choices.ready(self._site.core)
        return body, translate(values, files, self._site.choices.standing(self._site.core, caller))

    async def _keep(self, given: list[MessageSound], task: str, caller: HttpCaller) -> dict[str, str]:
        """The sounds as uploads, by what they are for."""
        roles = ("source", "reference") if task in SOURCES_FIRST else ("reference",)
        files: dict[str, str] = {}
        for role, sound in zip(roles, given, strict=False):
            name = f"message.{sound.format}"
            files[role] = await self._uploads.keep(io.BytesIO(sound.data), len(sound.data), name, caller.name)
        return files

    def _default(self) -> str:
        rows = facts.checkpoints(self._site.choices.models(self._site.core))
        return PREFIX + str(rows[0]["name"]) if rows else PREFIX

    async def _ended(self, task: str) -> JobView:
        """The task's last job once it has ended. Raises `HTTPException` 504 when that takes too long, and 500."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._last(task)
        except TimeoutError:
            await self._tasks.cancel(task)
            raise HTTPException(504, f"the music was not ready within {ANSWER_SECONDS:g} s") from None
        except asyncio.CancelledError:
            await self._tasks.cancel(task)
            raise

    async def _last(self, task: str) -> JobView:
        """The job of the music, after that of its words."""
        while True:
            view = self._tasks.view(task)
            if view is None:
                raise HTTPException(500, "the task is gone")
            view = await self._tasks.ended(view.id)
            if not view.id.endswith(WORDS) or view.state is not JobState.DONE:
                return view
            if trouble := self._tasks.trouble(task):
                raise HTTPException(500, trouble)
            await asyncio.sleep(0.02)  # the music is just being handed in

    async def _whole(self, view: JobView, head: Head, plain: bool) -> AsyncIterator[bytes]:
        text, codes = describe(view, self._tasks.words(view.id)), codes_of(view)
        audio, files = as_object(view.id, text, sounds(view)) if plain else as_list(sounds(view))
        message = {"role": "assistant", "content": text, "audio": audio, "audio_codes": codes}
        async for piece in filled(head.whole(message), files):
            yield piece

    async def _stream(self, task: str, head: Head, plain: bool) -> AsyncIterator[bytes]:
        """The parts of a streamed answer; a client that leaves takes its task with it."""
        ended = asyncio.create_task(self._ended(task), name=f"chat {task}")
        try:
            yield _event(head.chunk({"role": "assistant", "content": ""}))
            while not (await asyncio.wait([ended], timeout=HEARTBEAT_SECONDS))[0]:
                yield _event(head.chunk({"content": "."}))
            async for piece in self._told(ended, head, plain):
                yield piece
            yield b"data: [DONE]\n\n"
        finally:
            if not ended.done():
                ended.cancel()
                await self._tasks.cancel(task)

    async def _told(self, ended: asyncio.Task[JobView], head: Head, plain: bool) -> AsyncIterator[bytes]:
        """What is said once the music is there, or why there is none."""
        try:
            view = ended.result()
            trouble = error_of(view)
        except HTTPException as failure:
            trouble = failure.detail
        except AceError as failure:
            trouble = failure.message
        if trouble:
            yield _event(head.chunk({"content": f"\n\n{trouble}"}, "error"))
            return
        text = describe(view, self._tasks.words(view.id))
        yield _event(head.chunk({"content": f"\n\n{text}"}))
        audio, files = as_object(view.id, text, sounds(view)) if plain else as_list(sounds(view))
        yield b"data: "
        async for piece in filled(head.chunk({"audio": audio}), files):
            yield piece
        yield b"\n\n"
        if codes := codes_of(view):
            yield _event(head.chunk({"content": f"\n\n[audio_codes]{codes}[/audio_codes]"}))
        yield _event(head.chunk({}, "stop"))


def guarded(handler: Handler) -> Handler:
    """A call whose errors are told as the original does, as ``detail``, and as OpenAI's clients read them, as ``error``."""

    async def call(request: Request) -> Response:
        try:
            return await handler(request)
        except AceError as failure:
            refusal = hard(failure)
        except HTTPException as failure:
            refusal = failure
        error = {"message": refusal.detail, "type": "api_error", "code": None, "param": None}
        told = {"detail": refusal.detail, "error": error}
        return JSONResponse(told, status_code=refusal.status_code, headers=refusal.headers)

    return call


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _model(row: Mapping[str, Any]) -> dict[str, Any]:
    name = str(row["name"])
    return {
        "id": PREFIX + name,
        "name": f"ACE-Step {name}",
        "object": "model",
        "owned_by": "acestep-bridge",
        "created": int(time.time()),
        "input_modalities": ["text", "audio"],
        "output_modalities": ["audio", "text"],
        "context_length": 4096,
        "max_output_length": 300,
        "pricing": {"prompt": "0", "completion": "0", "request": "0", "image": "0"},
        "description": f"Music from words and sounds, by the model {name} on this machine",
        "architecture": None,
    }
