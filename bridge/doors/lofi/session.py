"""One editor's conversation: lofi.nvim's calls in, jobs at the daemon, its notifications out.

An answer is always written before anything that follows from it: the plug-in learns of a track by the answer, and drops what it
hears about one that it does not know.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from acestep import __version__
from acestep.api.errors import AceError, ProtocolError, TooLarge
from bridge.client.aio import AsyncClient
from bridge.doors.jsonrpc import codec
from bridge.doors.lofi import contract, studio
from bridge.doors.lofi.cache import TrackCache
from bridge.doors.lofi.contract import LofiError, TrackOrder

log = logging.getLogger(__name__)

PENDING = 10
"""Tracks that may wait or be made at a time."""

STEP = 5
"""Per cent between two notifications of progress."""

Then = Callable[[], None]
"""What is done once an answer is written."""


def _nothing() -> None:
    """Nothing follows."""


class Making:
    """A track that is being made."""

    def __init__(self, order: TrackOrder, job: str) -> None:
        self.order = order
        self.job = job
        self.percent = -STEP
        self.step = 0
        self.steps = 0
        self.may_tell_of_cancel = asyncio.Event()
        self.may_tell_of_cancel.set()
        self.task: asyncio.Task[None] | None = None


class LofiSession:
    """Answers lofi.nvim. ``write`` takes whole messages as bytes; ``ended`` is set when the client asked for the end."""

    def __init__(
        self, client: AsyncClient, cache: TrackCache, write: Callable[[bytes], None], defaults: Mapping[str, Any]
    ) -> None:
        self.ended = asyncio.Event()
        self._client = client
        self._cache = cache
        self._write = write
        self._defaults = defaults
        self._making: dict[str, Making] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._methods: dict[str, Callable[[dict[str, Any]], Awaitable[tuple[Any, Then]]]] = {
            "generate": self._generate,
            "cancel": self._cancel,
            "get_backends": self._get_backends,
            "download_backend": self._download_backend,
            "ping": self._ping,
            "shutdown": self._shutdown,
        }

    @property
    def busy(self) -> bool:
        """Whether a track is being made."""
        return bool(self._making)

    # Messages

    async def hear(self, line: bytes) -> None:
        """Take one line."""
        try:
            heard = codec.decode(line)
        except (ProtocolError, TooLarge) as failure:
            self._write(codec.failure(None, failure, codec.PARSE_ERROR))
            return
        entries = heard if isinstance(heard, list) else [heard]
        answered = [await self._answer(entry) for entry in entries]
        answers = [data for data, _ in answered if data]
        if answers:
            self._write(codec.batch(answers) if isinstance(heard, list) else answers[0])
        for _, then in answered:
            then()

    async def _answer(self, entry: codec.Entry) -> tuple[bytes, Then]:
        if isinstance(entry, codec.InvalidCall):
            return codec.failure(entry.id, entry.error, codec.INVALID_REQUEST), _nothing
        if isinstance(entry, codec.JsonAnswer):
            return b"", _nothing
        then: Then = _nothing
        try:
            method = self._methods.get(entry.method)
            if method is None:
                raise LofiError(
                    "METHOD_NOT_FOUND", f"there is no method {entry.method!r}", choices=sorted(self._methods)
                )
            result, then = await method(codec.parameters(entry.params))
            said = codec.response(entry.id, result)
        except LofiError as failure:
            said = codec.error_response(entry.id, failure.to_wire())
        except AceError as failure:
            said = codec.error_response(entry.id, contract.from_ours(failure).to_wire())
        except Exception:  # an answer must come, and the editor be told no more than that
            log.exception("%s failed", entry.method)
            error = LofiError("INTERNAL_ERROR", f"{entry.method} failed; the error output says why")
            said = codec.error_response(entry.id, error.to_wire())
        return (b"" if entry.is_notification else said), then

    def _notify(self, method: str, **params: Any) -> None:
        self._write(codec.notification(method, params))

    # Methods

    async def _generate(self, params: dict[str, Any]) -> tuple[Any, Then]:
        terms = await studio.look(self._client)
        params = {name: value for name, value in params.items() if value is not None}  # null is Lua's vim.NIL
        params = {"backend": self._default_backend(terms), **params}
        if params["backend"] == "ace_step":
            params = {**{name: value for name, value in self._defaults.items() if name != "backend"}, **params}
        order, priority = contract.parse_generate(params, terms, random.randrange(2**32))
        track = order.track_id
        facts = await asyncio.to_thread(self._cache.find, track)
        if facts is not None:
            answer = {
                "track_id": track,
                "status": "cached",
                "position": 0,
                "seed": order.seed,
                "backend": order.backend,
            }
            return answer, lambda: self._tell_complete(order, facts)
        making, position = self._making.get(track), 0
        if making is None:
            if len(self._making) >= PENDING:
                raise LofiError("QUEUE_FULL", f"{PENDING} tracks are waiting or being made", max=PENDING)
            making = Making(order, f"lofi-{track}-{secrets.token_hex(4)}")
            position = await self._submit(making, priority)
            self._making[track] = making
        status = "generating" if position == 0 else "queued"
        answer = {
            "track_id": track,
            "status": status,
            "position": position,
            "seed": order.seed,
            "backend": order.backend,
        }
        return answer, functools.partial(self._begin, making)

    async def _submit(self, making: Making, priority: int) -> int:
        """Hand in the job of a track; returns how many are made before it."""
        running = await self._client.jobs(states=["running"], limit=1)
        job = {**making.order.job(), "id": making.job, "priority": priority}
        place: int = (await self._client.call("op.generate", job))["position"]
        return max(0, place - 1) + len(running)

    def _begin(self, making: Making) -> None:
        """Follow a track, once; a second request for it hears of it too."""
        if making.task is None:
            making.task = asyncio.get_running_loop().create_task(self._follow(making))
            self._tasks.add(making.task)
            making.task.add_done_callback(self._tasks.discard)

    async def _cancel(self, params: dict[str, Any]) -> tuple[Any, Then]:
        track = params.get("track_id")
        if not isinstance(track, str) or set(params) != {"track_id"}:
            raise LofiError("INVALID_PARAMS", "cancel needs track_id, as text", field="track_id")
        making = self._making.get(track)
        if making is None:
            return {"cancelled": False, "was_generating": False}, _nothing
        making.may_tell_of_cancel.clear()
        try:
            view = await self._client.cancel(making.job)
        except BaseException:
            making.may_tell_of_cancel.set()
            raise
        answer = {"cancelled": view["state"] not in ("done", "failed"), "was_generating": making.percent >= 0}
        return answer, making.may_tell_of_cancel.set

    async def _get_backends(self, params: dict[str, Any]) -> tuple[Any, Then]:
        terms = await studio.look(self._client)
        rows = [one.to_wire() for one in terms.backends.values()]
        return {"backends": rows, "default_backend": self._default_backend(terms)}, _nothing

    def _default_backend(self, terms: contract.LofiTerms) -> str:
        """That of the editor's settings where it is installed."""
        wanted: str = self._defaults.get("backend", "ace_step")
        return wanted if terms.backends[wanted].model else "ace_step"

    async def _download_backend(self, params: dict[str, Any]) -> tuple[Any, Then]:
        type = contract.backend_type(params.get("backend"))
        backend = (await studio.look(self._client)).backends[type]
        if not backend.model:
            raise LofiError(
                "BACKEND_NOT_INSTALLED",
                f"{backend.name} cannot be fetched from here; `acestep-bridge models list` shows what can",
                backend=type,
            )
        return {"backend": type, "status": "already_installed", "files_downloaded": 0}, _nothing

    async def _ping(self, params: dict[str, Any]) -> tuple[Any, Then]:
        return {"status": "ok", "version": __version__}, _nothing

    async def _shutdown(self, params: dict[str, Any]) -> tuple[Any, Then]:
        return {"status": "shutting_down"}, self.ended.set

    # Tracks

    async def _follow(self, making: Making) -> None:
        """Tell what becomes of a track, from its beginning to its end."""
        try:
            async for event in self._client.events(making.job, after={making.job: -1}):
                if event["kind"] == "progress":
                    self._tell_progress(making, event["data"])
                elif event["kind"] in _ENDS:
                    del self._making[making.order.track_id]
                    await self._tell_end(making, event)
                    return
        except AceError as failure:
            self._tell_error(making, contract.from_ours(failure).word, failure.message)
        finally:
            self._making.pop(making.order.track_id, None)

    def _tell_progress(self, making: Making, data: Mapping[str, Any]) -> None:
        if data.get("stage") == "generate":
            making.step, making.steps = _steps(data, making.order.steps)
        percent = min(99, int(100 * float(data.get("fraction") or 0.0)))
        if percent < making.percent + STEP:
            return
        making.percent = percent
        self._notify(
            "generation_progress",
            track_id=making.order.track_id,
            percent=percent,
            current_step=making.step,
            total_steps=making.steps,
            eta_sec=round(data.get("eta") or 0),
            tokens_generated=0,
            tokens_estimated=0,
        )

    async def _tell_end(self, making: Making, event: Mapping[str, Any]) -> None:
        data = event["data"]
        if event["kind"] == "done":
            facts = await self._keep(making, float(data.get("seconds") or 0.0))
            self._tell_complete(making.order, facts)
        elif event["kind"] == "cancelled":
            await making.may_tell_of_cancel.wait()
            self._notify(
                "generation_cancelled", track_id=making.order.track_id, at_step=making.step, total_steps=making.steps
            )
        else:
            error = data.get("error") or {
                "message": data.get("reason") or "the daemon ended while this track was being made"
            }
            self._tell_error(making, contract.word_for_failed(error), str(error.get("message", "")))

    async def _keep(self, making: Making, seconds: float) -> dict[str, Any]:
        """Put the sound of a finished job into the cache. Raises an `AceError`."""
        track, order = making.order.track_id, making.order
        files = (await self._client.result(making.job))["files"]
        index = next((n for n, file in enumerate(files) if file["path"].lower().endswith(".wav")), 0)
        try:
            await self._client.download(making.job, self._cache.draft(track), index)
            facts = {
                "duration_sec": _integral(files[index]["length"] / files[index]["rate"]),
                "sample_rate": files[index]["rate"],
                "generation_time_sec": round(seconds, 3),
                "model_version": order.model,
                "prompt": order.prompt,
                "seed": order.seed,
            }
            return await asyncio.to_thread(self._cache.put, track, facts)
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._cache.drop_draft, track)

    def _tell_complete(self, order: TrackOrder, facts: Mapping[str, Any]) -> None:
        told = ("path", "duration_sec", "sample_rate", "generation_time_sec", "model_version")
        self._notify(
            "generation_complete",
            track_id=order.track_id,
            prompt=order.prompt,
            seed=order.seed,
            backend=order.backend,
            **{name: facts.get(name) for name in told},
        )

    def _tell_error(self, making: Making, word: str, message: str) -> None:
        self._notify("generation_error", track_id=making.order.track_id, code=word, message=message)

    # The end

    async def close(self) -> None:
        """Cancel what is being made. The connection's end would do it too, but the editor may wait for us."""
        for making in list(self._making.values()):
            with contextlib.suppress(AceError):
                await self._client.cancel(making.job)
        tasks = list(self._tasks)  # some may be putting a finished track into the cache
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


_ENDS = frozenset({"done", "failed", "cancelled", "interrupted"})


def _steps(data: Mapping[str, Any], asked: int | None) -> tuple[int, int]:
    """Steps done, and all of them, as the user counts: a sampler that looks at the model twice a step counts two."""
    step, steps = int(data.get("step") or 0), int(data.get("steps") or 0)
    return (step * asked // steps, asked) if asked and steps else (step, steps)


def _integral(seconds: float) -> int | float:
    """A whole number where it is one: Lua 5.3 and later print others only with a fraction."""
    return int(seconds) if seconds == int(seconds) else round(seconds, 3)
