"""Calls under way, by the session of their client, and the messages that tell it how they go: Gradio's queue, protocol sse_v3."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from acestep.api.errors import AceError
from bridge.doors import limits

log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]
"""Tells how far a call is: the data of a progress event."""

Work = Callable[[Report], Awaitable[list[Any]]]
"""A call: reports on its way, returns the endpoint's values. Cancelling it ends what it has started."""


class GradioSession:
    """The calls of one client. Messages wait for its stream; of each call's progress only the newest does."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Task[None]] = {}
        self.streams = 0
        self.left_at = time.monotonic()
        """When its last stream went away, or it began."""
        self._waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._numbers = 0
        self._news = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether nobody listens, and nothing runs or waits to be heard."""
        return not (self.streams or self.running or self._waiting)

    def start(self, work: Work) -> str:
        """Begin a call; its event id."""
        event = uuid.uuid4().hex
        self._tell(event, "estimation", rank=0, queue_size=len(self.running) + 1, rank_eta=None)
        self.running[event] = asyncio.get_running_loop().create_task(self._run(event, work), name="gradio call")
        return event

    async def _run(self, event: str, work: Work) -> None:
        started = time.monotonic()
        output: dict[str, Any]
        try:
            self._tell(event, "process_starts", eta=None)
            values = await work(lambda data: self._progress(event, data))
            output, success = {"data": values, "is_generating": False}, True
        except asyncio.CancelledError:
            output, success = {"error": "the call was cancelled"}, False
        except AceError as failure:
            output, success = {"error": failure.message}, False
        except Exception:  # the client must hear of the end, whatever it was
            log.exception("a call over Gradio's protocol failed")
            output, success = {"error": "the call failed; the daemon's log says why"}, False
        finally:
            self.running.pop(event, None)
        duration = round(time.monotonic() - started, 3)
        if not success:
            output |= {"visible": True, "duration": 10, "title": "Error"}
        self._tell(
            event, "process_completed", output={**output, "duration": duration} if success else output, success=success
        )

    def _progress(self, event: str, data: dict[str, Any]) -> None:
        unit = {
            "index": data.get("step", 0),
            "length": data.get("steps") or None,
            "unit": "steps",
            "progress": data.get("fraction", 0.0),
            "desc": str(data.get("stage") or ""),
        }
        self._tell(event, "progress", key=f"progress {event}", progress_data=[unit])

    def _tell(self, event: str, kind: str, *, key: str = "", **facts: Any) -> None:
        self._numbers += 1
        self._waiting[key or str(self._numbers)] = {"msg": kind, "event_id": event, **facts}
        self._news.set()

    async def messages(self, *, until_quiet: bool = True) -> AsyncIterator[dict[str, Any]]:
        """What there is to tell, as it comes, with heartbeats; ends with ``close_stream`` when no call is left."""
        self.streams += 1
        try:
            while True:
                while self._waiting:
                    yield self._waiting.popitem(last=False)[1]
                if not self.running:
                    yield {"msg": "close_stream"}
                    return
                self._news.clear()
                try:
                    async with asyncio.timeout(limits.GRADIO_HEARTBEAT):
                        await self._news.wait()
                except TimeoutError:
                    yield {"msg": "heartbeat"}
        finally:
            self.streams -= 1
            self.left_at = time.monotonic()

    def cancel(self, event: str = "") -> bool:
        """Cancel a call, or all; whether there was one."""
        found = [self.running[event]] if event in self.running else [] if event else list(self.running.values())
        for task in found:
            task.cancel()
        return bool(found)


class GradioSessions:
    """All sessions, bounded. One that nobody has listened to for a while ends, and its calls with it."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, GradioSession] = OrderedDict()

    def join(self, name: str, work: Work) -> str | None:
        """Begin a call in a session; none where it or the whole has too many."""
        self._tidy()
        session = self._known.get(name)
        if session is None:
            if len(self._known) >= limits.GRADIO_SESSIONS:
                return None
            session = self._known[name] = GradioSession()
        if len(session.running) >= limits.GRADIO_CALLS:
            return None
        event = session.start(work)
        asyncio.get_running_loop().call_later(limits.GRADIO_SILENCE + 1.0, self._tidy)
        return event

    def find(self, name: str) -> GradioSession | None:
        """A session."""
        return self._known.get(name)

    def _tidy(self) -> None:
        now = time.monotonic()
        for name, session in list(self._known.items()):
            silent = not session.streams and now - session.left_at > limits.GRADIO_SILENCE
            if silent:
                session.cancel()
                del self._known[name]

    def leave(self, name: str) -> None:
        """A stream has ended: look soon whether its client has gone for good."""
        session = self._known.get(name)
        if session is not None and session.idle:
            del self._known[name]
            return
        asyncio.get_running_loop().call_later(limits.GRADIO_SILENCE + 1.0, self._tidy)


def event_line(message: dict[str, Any]) -> bytes:
    """A message as a line of the stream."""
    return b"data: " + json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"
