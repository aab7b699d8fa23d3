"""The calls of ACE-Step's own REST interface."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from acestep.api.errors import AceError, UnknownJob
from bridge.core.interface import JobState
from bridge.doors.http.guard import token_matches, token_shown
from bridge.doors.http.site import HttpCaller, Site
from bridge.doors.rest import facts, results
from bridge.doors.rest.bodies import BodyReader, ParsedBody
from bridge.doors.rest.envelope import answer, hard, soft
from bridge.doors.rest.fields import as_object, read_boolean, read_number, read_text
from bridge.doors.rest.tasks import Tasks
from bridge.doors.rest.translate import translate
from bridge.doors.rest.words import format_request, sample_request, told_sample
from bridge.settings import http_token

DOOR = "rest"
"""Name of the door in the names of its callers."""

MEDIA_TYPES = {".mp3": "audio/mpeg", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".opus": "audio/ogg",
               ".aiff": "audio/aiff", ".aif": "audio/aiff"}  # fmt: skip

MOST_TASKS = 1_000
"""Tasks that one query may ask about."""

SLOTS = 3
"""Models that the original holds at once, which `/v1/init` numbers."""

ANSWER_SECONDS = 600.0
"""Longest time that a call which answers with the result itself may take, as in the original."""

Handler = Callable[[Request], Awaitable[Response]]


class RestDoor:
    """Everything that the calls share."""

    def __init__(self, site: Site) -> None:
        self.core = site.core
        self.dispatcher = site.dispatcher
        self.tasks = Tasks(site.dispatcher)
        self.choices = site.choices
        self.adapters = site.choices.adapters
        settings = site.settings
        self.bodies = BodyReader(site.dispatcher.uploads, settings.upload_bytes, settings.upload_quota)
        self._token = http_token(settings)

    async def body(self, request: Request, *, optional: bool = False) -> ParsedBody:
        """The body, if it or the header has shown the token; ``optional``: it may be empty. Raises `HTTPException`."""

        def admit(values: Mapping[str, Any]) -> None:
            shown = values.get("ai_token")
            if isinstance(shown, str) and shown and self._token:
                if not token_matches(shown, self._token):
                    raise HTTPException(401, "ai_token is wrong")
            elif not token_shown(request.scope):
                raise HTTPException(401, "a token is needed: ai_token, or the header Authorization")

        return await self.bodies.read(request, HttpCaller.of(request, DOOR).name, admit, optional=optional)

    # Tasks

    async def release_task(self, request: Request) -> Response:
        """Hand in a task."""
        caller = HttpCaller.of(request, DOOR)
        body = await self.body(request)
        await self.choices.ready(self.core)
        translation = translate(body.values, body.files, self.choices.standing(self.core, caller))
        task, accepted = await self.tasks.release(translation, caller)
        translation.told.notes += accepted.get("notes") or []
        place = {"task_id": task, "status": "queued", "queue_position": max(1, int(accepted.get("position") or 1))}
        return answer(place, translation.told.to_extra())

    async def query_result(self, request: Request) -> Response:
        """Where tasks stand, in the order asked."""
        body = await self.body(request)
        sent = body.values.get("task_id_list")
        if isinstance(sent, str):
            try:
                sent = json.loads(sent)
            except (ValueError, RecursionError):
                sent = []
        ids = [str(task)[:100] for task in sent[:MOST_TASKS]] if isinstance(sent, list) else []
        return answer([self.tasks.entry(task) for task in ids])

    async def cancel_task(self, request: Request) -> Response:
        """Cancel a task, which the original cannot; one that has ended stays as it is."""
        body = await self.body(request)
        task = body.values.get("task_id")
        if not isinstance(task, str) or not task:
            raise HTTPException(400, "cancel_task needs task_id")
        view = await self.tasks.cancel(task[:100])
        return answer({"task_id": task, "status": view.state.value})

    async def audio(self, request: Request) -> Response:
        """A result, whole or by Range; HEAD tells its size. ``path`` is the name that the result gave, never a path."""
        name = request.query_params.get("path")
        if name is None:
            raise HTTPException(422, "path must be the name of a result")
        found = results.read_sound_name(name)
        if found is None:
            is_path = "/" in name or "\\" in name
            status, why = (
                (403, "path must be the name of a result, not a path") if is_path else (404, "there is no such sound")
            )
            raise HTTPException(status, why)
        path = self._sound(*found)
        if path is None or results.sound_name(*found, str(path)) not in (name, name + path.suffix.lower()):
            raise HTTPException(404, "there is no such sound")
        kind = MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream")
        return FileResponse(path, media_type=kind, filename=path.name, content_disposition_type="inline")

    def _sound(self, job: str, index: int) -> Path | None:
        try:
            files = (self.core.job(job).result or {}).get("files") or []
        except UnknownJob:
            return None
        path = Path(files[index]["path"]) if index < len(files) else None
        return path if path and path.suffix.lower() in MEDIA_TYPES and path.is_file() else None

    # Facts and models

    async def stats(self, request: Request) -> Response:
        """Numbers of the queue."""
        return answer(await facts.stats(self.core))

    async def model_inventory(self, request: Request) -> Response:
        """Models of this machine, and what each can do."""
        return answer(facts.inventory(self.core, self.choices.model))

    async def init(self, request: Request) -> Response:
        """Name the model of tasks that name none. It is opened by the first of them."""
        values = (await self.body(request)).values
        slot = read_number(values.get("slot", 1))
        if slot is None or not 1 <= slot <= SLOTS:
            raise HTTPException(422, f"slot is 1 to {SLOTS}")
        rows = await self.choices.look(self.core)
        name = (read_text(values.get("model")) or "").strip()
        if name and name not in facts.names_of(rows):
            return soft(
                400, f"there is no model {name[:100]!r} on this machine; `acestep-bridge models download` fetches one"
            )
        if read_boolean(values.get("init_llm")) and not facts.language_models(rows):
            return soft(
                400, "there is no language model on this machine; `acestep-bridge models download lm-0.6B` fetches one"
            )
        self.choices.model = name or self.choices.model
        listed = facts.inventory(self.core, self.choices.model)
        kept = ("loaded_lm_model", "models", "lm_models", "llm_initialized")
        told = {"message": f"{listed['default_model']} is used from now on", "slot": int(slot)}
        return answer({**told, "loaded_model": listed["default_model"], **{key: listed[key] for key in kept}})

    async def reinitialize(self, request: Request) -> Response:
        """Free the models; they are opened anew by the next task."""
        await self.body(request, optional=True)
        held = facts.loaded_models(self.core.status())
        await self.core.unload()
        return answer({"message": "the models are opened again by the next task", "reloaded": held})

    # Words

    async def create_random_sample(self, request: Request) -> Response:
        """One of our own examples."""
        caller = HttpCaller.of(request, DOOR)
        body = await self.body(request, optional=True)
        found = await self.said("example", {}, caller)
        simple = read_text(body.values.get("sample_type")) != "custom_mode"
        return answer(told_sample(found, simple=simple))

    async def format_input(self, request: Request) -> Response:
        """A better caption and lyrics, by the language model or, where there is none, by rules, which ``extra`` tells."""
        caller = HttpCaller.of(request, DOOR)
        values = (await self.body(request)).values
        said, told = await self.planned("format", format_request(values, as_object(values.get("param_obj"))), caller)
        named = {"key_scale": said.get("key", ""), "time_signature": said.get("time_signature", "")}
        return answer({**_words(said), **named}, told)

    async def create_sample(self, request: Request) -> Response:
        """A song of one sentence, by the language model or by rules, as above."""
        caller = HttpCaller.of(request, DOOR)
        said, told = await self.planned("compose", sample_request((await self.body(request)).values), caller)
        named = {"keyscale": said.get("key", ""), "timesignature": said.get("time_signature", "")}
        return answer({**_words(said), **named}, told)

    async def said(self, operation: str, params: dict[str, Any], caller: HttpCaller) -> dict[str, Any]:
        """What an operation that makes no sound answers. Raises `HTTPException` where it fails."""
        return (await self.planned(operation, params, caller))[0]

    async def planned(
        self, operation: str, params: dict[str, Any], caller: HttpCaller
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The same, and the notes of the job for ``extra``."""
        accepted = await self.dispatcher.call(f"op.{operation}", params, caller)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                view = await self.tasks.ended(accepted["id"])
        except TimeoutError:
            await self.core.cancel(accepted["id"])
            raise HTTPException(504, f"the answer was not ready within {ANSWER_SECONDS:g} s") from None
        if view.state is not JobState.DONE:
            raise HTTPException(500, results.error_of(view))
        result = view.result or {}
        found: dict[str, Any] = result.get("data") or {key: value for key, value in result.items() if key != "files"}
        notes = list(result.get("notes") or [])
        return found, {"notes": notes} if notes else None

    # Adapters

    async def lora_load(self, request: Request) -> Response:
        """Use an adapter for the tasks that follow."""
        caller = HttpCaller.of(request, DOOR)
        values = (await self.body(request)).values
        path = read_text(values.get("lora_path"))
        if not path:
            raise HTTPException(422, "lora_path names the adapter")
        listed = await self.said("loras", {}, caller)
        known = {str(row["name"]): str(row.get("kind") or "") for row in listed.get("loras") or []}
        name = self.adapters.load(path[:4_096], (read_text(values.get("adapter_name")) or "")[:100], known)
        return answer(
            {"message": f"✅ the adapter {name} is used from now on", "lora_path": path, **self.adapters.status()}
        )

    async def lora_unload(self, request: Request) -> Response:
        """Use none any more."""
        await self.body(request, optional=True)
        had = bool(self.adapters.names)
        self.adapters.unload()
        return answer({"message": "✅ no adapter is in use now" if had else "⚠️ no adapter was loaded"})

    async def lora_toggle(self, request: Request) -> Response:
        """Use what is loaded, or not."""
        values = (await self.body(request)).values
        use = read_boolean(values.get("use_lora"))
        if use is None:
            raise HTTPException(422, "use_lora is true or false")
        if use and not self.adapters.names:
            return soft(400, "❌ no adapter is loaded")
        self.adapters.used = use
        return answer({"message": f"✅ adapters are {'used' if use else 'left out'}", "use_lora": use})

    async def lora_scale(self, request: Request) -> Response:
        """How strongly an adapter acts."""
        values = (await self.body(request)).values
        scale = read_number(values.get("scale"))
        if scale is None or not 0 <= scale <= 1:
            raise HTTPException(422, "scale is 0 to 1")
        try:
            name = self.adapters.scale(scale, read_text(values.get("adapter_name")) or "")
        except AceError as failure:
            return soft(400, f"❌ {failure.message}")
        return answer({"message": f"✅ {name} acts with {scale:g}", "scale": scale, "adapter_name": name})

    async def lora_status(self, request: Request) -> Response:
        """Which adapters are used."""
        return answer(self.adapters.status())


def _words(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "caption": said.get("caption", ""),
        "lyrics": said.get("lyrics", ""),
        "bpm": said.get("bpm"),
        "duration": said.get("duration"),
        "vocal_language": said.get("language") or "unknown",
    }


def guarded(handler: Handler) -> Handler:
    """A call whose errors of ours are answered as the original's hard ones."""

    async def call(request: Request) -> Response:
        try:
            return await handler(request)
        except AceError as failure:
            raise hard(failure) from None

    return call
