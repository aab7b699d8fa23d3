"""One client of a door with connections, whatever its bytes: its token, its requests under way, its events.

A door's own connection says how bytes become calls and calls bytes (`Language`), and where a message begins and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from acestep.api.errors import AceError, Busy, InternalError, ProtocolError, Unauthorized
from acestep.api.schema import convert
from bridge.core.access import OWNER, Access
from bridge.core.interface import SPARE, Event, EventKind
from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher, submits
from bridge.doors.following import Follower
from bridge.doors.methods.daemon import Hello
from bridge.doors.outbox import Outbox
from bridge.doors.streams import Stream, StreamGroup
from bridge.plain import plain

log = logging.getLogger(__name__)

GOODBYE_SECONDS = 2.0
"""Time a closing connection has to take its last message."""


class Terms(msgspec.Struct, frozen=True):
    """What a listener demands of its connections, and what it lets them do. ``token`` empty: none is asked for."""

    token: str = ""
    access: Access = OWNER


_ABANDONING: set[asyncio.Task[None]] = set()
"""Keeps the tasks that clean up behind clients from being collected."""


class Language(Protocol):
    """A door's way of writing down what the daemon says unasked, and of reading parameters."""

    def request(self, id: int, method: str, params: dict[str, Any]) -> bytes:
        """A request to the client."""

    def notification(self, method: str, params: dict[str, Any]) -> bytes:
        """A notification to the client."""

    def parameters(self, params: Any) -> dict[str, Any]:
        """The map of parameters that a call came with. Raises `BadRequest`."""


Reply = Callable[[AceError | None, Any, Callable[[], None]], None]
"""Sends an error or else a result, and then calls the function, which may send what must come behind the answer."""


def _nothing() -> None:
    """Nothing follows the answer."""


class Connection(Stream):
    """The `Caller` of everything that comes over one connection."""

    door = ""
    language: Language

    def __init__(self, dispatcher: Dispatcher, terms: Terms, number: int, group: StreamGroup) -> None:
        super().__init__(group)
        self.name = f"{self.door}:{number}"
        self.access = terms.access
        self._dispatcher = dispatcher
        self._terms = terms
        self._outbox = Outbox()
        self._follower = Follower(dispatcher.core, self.name, self._on_event)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._blocked = False
        self._parting = False
        self._known = not terms.token
        self._wrong_tokens = 0
        self._events = True
        self._abandons = False
        self._submitted: set[str] = set()
        """Jobs that end with the connection."""

    # The stream

    def _on_admitted(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=limits.CHUNK)
        if not self._known:
            self._later(limits.RPC_HELLO_SECONDS, self._demand_token)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        def due() -> None:
            self._timers.discard(timer)
            work()

        timer = asyncio.get_running_loop().call_later(seconds, due)
        self._timers.add(timer)

    def _on_malformed(self, failure: ProtocolError) -> None:
        self.close("bad_packet", failure.message)

    def _on_stalled(self) -> None:
        self.close("bad_packet", f"a message was not finished within {limits.FRAME_SECONDS:g} s")

    @property
    def idle_since(self) -> float | None:
        """When it was heard last, if nothing of it is under way."""
        return None if self._known and (self._tasks or self._follower.busy) else self._last_data_at

    def dismiss(self) -> None:
        """Make room for another connection."""
        self.close("idle", "too many connections; this one was idle longest")

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        while len(self._outbox) and not self._blocked:
            self._write(self._outbox.take())

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._parting and not self._transport.is_closing():
            self._transport.write(data)

    def _send(self, message: bytes, merge: str = "") -> None:
        framed = self._framed(message)
        if framed:
            self._pass_on(framed, merge)

    def _framed(self, message: bytes) -> bytes:
        """A message as it goes over this connection; empty when nothing more can be said."""
        return message

    def _pass_on(self, data: bytes, merge: str = "") -> None:
        if not self._blocked:
            self._write(data)
        elif not self._outbox.put(data, merge):
            self.close("slow_client", "the client does not read its answers")

    def close(self, reason: str, message: str = "") -> None:
        """Say why, and end the connection."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._parting:
            return
        self._parting = True
        self._abandons = (
            self._abandons and reason != "stopping"
        )  # what is queued when the daemon is stopping stays queued
        log.info("%s closed: %s %s", self.name, reason, message)
        self._outbox.clear()
        self._part(transport, reason, self.language.notification("closing", {"reason": reason, "message": message}))
        asyncio.get_running_loop().call_later(GOODBYE_SECONDS, transport.abort)

    def _part(self, transport: asyncio.Transport, reason: str, goodbye: bytes) -> None:
        """Send the last message."""
        transport.write(self._framed(goodbye))
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks:
            task.cancel()
        self._follower.close()
        if self._abandons:
            abandoned = asyncio.get_running_loop().create_task(self._abandon(self._submitted))
            _ABANDONING.add(abandoned)
            abandoned.add_done_callback(_ABANDONING.discard)

    async def _abandon(self, jobs: set[str]) -> None:
        """Cancel the jobs of a client that has gone."""
        for job in jobs:
            with contextlib.suppress(AceError):
                await self._dispatcher.core.cancel(job)

    # Requests

    def _take(self, method: str, params: Any, reply: Reply | None) -> None:
        """Begin what was asked for; without ``reply`` nobody waits for an answer."""
        if len(self._tasks) >= limits.RPC_IN_FLIGHT:
            self._refuse(reply, Busy(f"{limits.RPC_IN_FLIGHT} requests are under way on this connection"))
            return
        task = asyncio.get_running_loop().create_task(self._run(method, params, reply))
        self._tasks.add(task)
        task.add_done_callback(self._on_request_end)

    def _on_request_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)

    async def _run(self, method: str, params: Any, reply: Reply | None) -> None:
        try:
            arguments = self.language.parameters(params)
            self._admit(method, arguments)
            result = await self._dispatcher.call(method, arguments, self)
            follow = self._note_submitted(result) if submits(method) else _nothing
            follow() if reply is None else reply(None, result, follow)
        except AceError as failure:
            self._refuse(reply, failure)
        except Exception:  # a request must always get its answer, and this one client no more than that
            log.exception("%s from %s failed", method, self.name)
            self._refuse(reply, InternalError(f"{method} failed; the log says why"))

    def _refuse(self, reply: Reply | None, failure: AceError) -> None:
        if reply is not None:
            reply(failure, None, _nothing)
        else:
            log.debug("a notification from %s was refused: %s", self.name, failure.message)

    def _note_submitted(self, result: dict[str, Any]) -> Callable[[], None]:
        """Remember a new job; returns what sends its events, if they are wanted."""
        if self._abandons:
            self._submitted = {job for job in self._submitted if not self._has_ended(job)} | {result["id"]}
        return (lambda: self.follow(result["id"], result["seq"])) if self._events else _nothing

    def _has_ended(self, job: str) -> bool:
        try:
            return self._dispatcher.core.job(job).state.terminal
        except AceError:
            return True

    def _admit(self, method: str, arguments: dict[str, Any]) -> None:
        """Let a request through. A hello is looked at here, before anything else hears of it. Raises `Unauthorized`."""
        if method != "hello":
            if not self._known:
                raise Unauthorized("send hello with the token first", field="token")
            return
        hello = convert(arguments, Hello)
        if not self._known and not hmac.compare_digest(hello.token.encode(), self._terms.token.encode()):
            self._refuse_token()
            raise Unauthorized("the token is wrong", field="token")
        self._known = True
        self._events = hello.events
        self._abandons = hello.cancel_on_close
        if hello.client:
            self.name = f"{self.door}:{plain(hello.client)}"
        if hello.heartbeat:
            self._beat()

    def _refuse_token(self) -> None:
        self._wrong_tokens += 1
        if self._wrong_tokens >= limits.RPC_BAD_TOKENS:
            asyncio.get_running_loop().call_soon(self.close, "unauthorized", "too many wrong tokens")

    def _demand_token(self) -> None:
        if not self._known:
            self.close("unauthorized", "no token was sent")

    def _beat(self) -> None:
        if time.monotonic() - self._last_data_at > limits.HEARTBEAT_SECONDS * limits.HEARTBEAT_MISSES:
            self.close("silent", "no heartbeat was answered")
            return
        self._send(self.language.request(0, "ping", {"n": 0}), merge="heartbeat")
        self._later(limits.HEARTBEAT_SECONDS, self._beat)

    # Events

    def follow(self, job: str, after: int) -> None:
        """Send a job's events until it ends."""
        self._follower.follow(job, after)

    def follow_all(self, after: dict[str, int]) -> None:
        """Send the events of all jobs."""
        self._follower.follow_all(after)

    def unfollow(self, jobs: list[str]) -> None:
        """Send them no longer."""
        self._follower.unfollow(jobs)

    def _on_event(self, event: Event) -> None:
        self._send(self.language.notification("event", msgspec.to_builtins(event)), _merge_key(event))


def _merge_key(event: Event) -> str:
    """Under which name an event may be replaced or dropped while the client does not read; empty: never."""
    if event.kind not in SPARE:
        return ""
    return f"progress {event.job}" if event.kind is EventKind.PROGRESS else f"preview {event.job} {event.seq}"
