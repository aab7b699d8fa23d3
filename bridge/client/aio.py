"""The client for asyncio: many calls and subscriptions over one connection."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from acestep.api.errors import AceError, DaemonUnreachable, ProtocolError, error_from_wire
from bridge.client import files
from bridge.client.place import Place, find
from bridge.client.sync import ANSWER_MOST, RETRIES, NoAnswer, raise_unless_done
from bridge.core.interface import TERMINAL
from bridge.doors.limits import CHUNK, HEARTBEAT_SECONDS, PROTOCOL
from bridge.doors.rpc import codec

SILENCE = 4 * HEARTBEAT_SECONDS
"""Seconds without even a heartbeat after which the connection counts as broken: the other machine is off or asleep."""


class _Line:
    """One open connection: answers go to whoever waits for them, events to the streams that want them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: AsyncClient) -> None:
        self._reader = reader
        self._writer = writer
        self._client = client
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._task = asyncio.get_running_loop().create_task(self._read())

    @property
    def broken(self) -> bool:
        """Whether it can be used no more."""
        return self._task.done()

    async def ask(self, method: str, params: dict[str, Any], timeout: float) -> Any:
        """Send a request and wait for its answer."""
        if self.broken:
            raise DaemonUnreachable("the daemon closed the connection")
        number = next(self._numbers) % 2**32
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(codec.request(number, method, params))
            await self._writer.drain()
            return await asyncio.wait_for(answer, timeout)
        except TimeoutError:
            raise NoAnswer(f"the daemon did not answer {method} within {timeout:g} s") from None
        except OSError as failure:
            raise DaemonUnreachable(f"the connection broke: {failure}") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self) -> None:
        splitter = codec.Splitter(ANSWER_MOST)
        reason = "the daemon closed the connection"
        try:
            while data := await asyncio.wait_for(self._reader.read(CHUNK), SILENCE):
                for body in splitter.feed(data):
                    self._take(codec.decode(body))
        except TimeoutError:
            reason = f"nothing was heard of the daemon for {SILENCE:g} s"
        except (OSError, ProtocolError) as failure:
            reason = f"the connection broke: {failure}"
        finally:
            self._writer.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(DaemonUnreachable(reason))
            self._client.lost(self)

    def _take(self, message: codec.Message) -> None:
        if isinstance(message, codec.Response):
            answer = self._waiting.get(message.id)
            if answer is not None and not answer.done():
                if message.error is None:
                    answer.set_result(message.result)
                else:
                    answer.set_exception(error_from_wire(message.error))
        elif isinstance(message, codec.Notification) and message.method == "event":
            self._client.heard(codec.parameters(message.params))
        elif isinstance(message, codec.Request):
            self._writer.write(codec.response(message.id, None, {}))  # a heartbeat

    async def close(self) -> None:
        """Close it."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


class AsyncClient:
    """Talks to a daemon from asyncio; the same arguments and errors as `bridge.client.sync.Client`.

    Use it as an async context manager. A lost connection is made again by the next call; event streams go on from the last
    seq they saw.
    """

    def __init__(
        self, home: str = "", *, host: str = "", port: int = 0, token: str = "", name: str = "", timeout: float = 30.0
    ) -> None:
        self._where = (home, host, port, token)
        self._name = name or f"python-{os.getpid()}"
        self._timeout = timeout
        self._line: _Line | None = None
        self._opening = asyncio.Lock()
        self._streams: set[asyncio.Queue[dict[str, Any] | None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    def heard(self, event: dict[str, Any]) -> None:
        """An event has come (called by the connection)."""
        for stream in self._streams:
            stream.put_nowait(event)

    def lost(self, line: _Line) -> None:
        """The connection has ended (called by itself): streams subscribe anew."""
        if self._line is line:
            self._line = None
        for stream in self._streams:
            stream.put_nowait(None)

    # Calls

    async def call(self, method: str, params: dict[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """Ask the daemon and return its answer. Raises the error it answers with. Repeated when the connection breaks."""
        fresh = self._line is None
        for pause in (*RETRIES, None):
            try:
                line = await self._connected()
                return await line.ask(method, params or {}, self._timeout if timeout is None else timeout)
            except DaemonUnreachable as failure:
                if fresh or pause is None or isinstance(failure, NoAnswer):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last round returns or raises")

    async def _connected(self) -> _Line:
        async with self._opening:
            if self._line is None or self._line.broken:
                self._line = await self._open()
            return self._line

    async def _open(self) -> _Line:
        home, host, port, token = self._where
        place = find(home, host=host, port=port, token=token)
        line = _Line(*await _connect(place, self._timeout), self)
        hello = {"token": place.token, "client": self._name, "protocol": PROTOCOL, "events": False, "heartbeat": True}
        try:
            await line.ask("hello", hello, self._timeout)
        except BaseException:  # also a cancelled caller: nobody else could close it
            await line.close()
            raise
        return line

    # Jobs

    async def submit(
        self, operation: str, params: dict[str, Any] | None = None, *, id: str = "", priority: int = 0
    ) -> str:
        """Hand in a job and return its id."""
        request = {"operation": operation, "params": params or {}, "id": id or uuid.uuid4().hex, "priority": priority}
        return str((await self.call("job.submit", request))["id"])

    async def events(self, *jobs: str, after: dict[str, int] | None = None) -> AsyncIterator[dict[str, Any]]:
        """The events of some jobs until all have ended, or of all jobs without end; each once and in order.

        A broken connection is made again and the stream goes on from the last seq seen.
        """
        seen = dict(after or {})
        stream: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        open_jobs = set(jobs)
        self._streams.add(stream)
        try:
            await self._subscribe(jobs, seen)
            while open_jobs or not jobs:
                event = await stream.get()
                if event is None:
                    await self._subscribe(sorted(open_jobs), seen)
                elif (not jobs or event["job"] in open_jobs) and event["seq"] > seen.get(event["job"], -1):
                    seen[event["job"]] = event["seq"]
                    if event["kind"] in TERMINAL:
                        open_jobs.discard(event["job"])
                    yield event
        finally:
            self._streams.discard(stream)

    async def _subscribe(self, jobs: Any, seen: dict[str, int]) -> None:
        for pause in (*RETRIES, None):
            try:
                await self.call("job.subscribe", {"ids": list(jobs), "after": seen})
                return
            except DaemonUnreachable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)

    async def wait(self, job: str) -> dict[str, Any]:
        """Wait for the job's end and return it, whatever the end was."""
        async for _ in self.events(job):
            pass
        return await self.job(job)

    async def result(self, job: str) -> dict[str, Any]:
        """The result of a job that has ended or will. Raises what the job failed with."""
        view = await self.wait(job)
        raise_unless_done(view)
        found: dict[str, Any] = view["result"]
        return found

    async def run(self, operation: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Submit and return the result; a cancelled caller cancels the job."""
        job = await self.submit(operation, params)
        try:
            return await self.result(job)
        except asyncio.CancelledError:
            with contextlib.suppress(AceError):
                await asyncio.shield(self.cancel(job))
            raise

    async def job(self, job: str) -> dict[str, Any]:
        """A job with recipe and result."""
        view: dict[str, Any] = await self.call("job.result", {"id": job})
        return view

    async def jobs(self, **filters: Any) -> list[dict[str, Any]]:
        """Jobs, newest first; filters: states, search, limit, before."""
        found: list[dict[str, Any]] = await self.call("job.list", filters)
        return found

    async def cancel(self, job: str) -> dict[str, Any]:
        """Cancel a job; returns where it stands."""
        view: dict[str, Any] = await self.call("job.cancel", {"id": job})
        return view

    async def status(self) -> dict[str, Any]:
        """How the daemon is."""
        facts: dict[str, Any] = await self.call("status")
        return facts

    async def describe(self, operation: str = "") -> list[dict[str, Any]]:
        """Operations with their fields."""
        found: list[dict[str, Any]] = (await self.call("describe", {"operation": operation}))["operations"]
        return found

    # Files

    async def upload(self, path: str | Path) -> str:
        """Send a file, going on where an earlier attempt ended; returns the id to give as ``upload`` in a request."""
        path = Path(path)
        known = await self.call("upload.begin", await asyncio.to_thread(files.announce, path))
        while not known["complete"]:
            data = await asyncio.to_thread(files.piece, path, known["received"])
            known = await self.call("upload.chunk", {"id": known["id"], "offset": known["received"], "data": data})
        return str(known["id"])

    async def download(self, job: str, path: str | Path, index: int = 0) -> Path:
        """Fetch a result file, going on where an earlier attempt ended, and check its sum."""
        path = Path(path)
        facts = await self.call("download.begin", {"id": job, "index": index})
        here = files.arrived(path)
        offset = here if here <= facts["size"] else 0
        while offset < facts["size"]:
            chunk = await self.call("download.chunk", {"id": job, "index": index, "offset": offset})
            await asyncio.to_thread(files.append, path, offset, chunk["data"])
            offset += len(chunk["data"])
        await asyncio.to_thread(files.verify, path, facts)
        return path


async def _connect(place: Place, timeout: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        if place.socket:
            return await asyncio.wait_for(asyncio.open_unix_connection(place.socket), timeout)
        return await asyncio.wait_for(asyncio.open_connection(place.host, place.port), timeout)
    except (OSError, TimeoutError) as failure:
        raise DaemonUnreachable(f"no daemon answers at {place.name}: {failure or 'no answer'}") from None
