"""The client for asyncio: many calls and subscriptions over one connection."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from acestep.api.errors import AceError, DaemonUnreachable, ProtocolError, error_from_wire
from bridge.client import conversations
from bridge.client.conversations import ANSWER_MOST, RETRIES, Call, Conversation, NoAnswer, advance
from bridge.client.daemon_address import DaemonAddress, find_daemon
from bridge.core.interface import TERMINAL
from bridge.doors.limits import CHUNK, HEARTBEAT_SECONDS
from bridge.doors.rpc import codec

SILENCE = 4 * HEARTBEAT_SECONDS
"""Seconds without even a heartbeat after which the connection counts as broken: the other machine is off or asleep."""


T = TypeVar("T")


class _Connection:
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

    async def ask(self, call: Call, timeout: float) -> Any:
        """Send a request and wait for its answer."""
        if self.broken:
            raise DaemonUnreachable("the daemon closed the connection")
        number = next(self._numbers) % 2**32
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(codec.request(number, *call))
            await self._writer.drain()
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise NoAnswer(call.method, timeout) from None
        except OSError as failure:
            raise DaemonUnreachable(f"the connection broke: {failure}") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self) -> None:
        splitter = codec.Splitter(ANSWER_MOST)
        reason = "the daemon closed the connection"
        try:
            while data := await self._next_data():
                for body in splitter.feed(data):
                    self._take(codec.decode(body))
        except TimeoutError:
            reason = f"nothing was heard from the daemon for {SILENCE:g} s"
        except (OSError, ProtocolError) as failure:
            reason = f"the connection broke: {failure}"
        finally:
            self._writer.close()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(DaemonUnreachable(reason))
            self._client.on_lost(self)

    async def _next_data(self) -> bytes:
        # not `wait_for`: before Python 3.12 it misses a cancel that comes together with what it waits for
        async with asyncio.timeout(SILENCE):
            return await self._reader.read(CHUNK)

    def _take(self, message: codec.Message) -> None:
        if isinstance(message, codec.Response):
            answer = self._waiting.get(message.id)
            if answer is not None and not answer.done():
                if message.error is None:
                    answer.set_result(message.result)
                else:
                    answer.set_exception(error_from_wire(message.error))
        elif isinstance(message, codec.Notification) and message.method == "event":
            self._client.on_event(codec.parameters(message.params))
        elif isinstance(message, codec.RpcRequest):
            self._writer.write(codec.response(message.id, None, {}))  # a heartbeat

    async def close(self) -> None:
        """Close it."""
        self._task.cancel()
        await asyncio.wait([self._task])


class AsyncClient:
    """Talks to a daemon from asyncio; the same arguments and errors as `bridge.client.sync.Client`.

    Use it as an async context manager. A lost connection is made again by the next call; event streams go on from the last
    seq they saw. ``local_socket=False`` connects by TCP also on this machine: the daemon then lets the client name files of its
    read roots only, and not every file of the user's. ``cancel_on_close``: jobs of this client end when it does, however it does.
    """

    def __init__(
        self,
        home: str = "",
        *,
        host: str = "",
        port: int = 0,
        token: str = "",
        name: str = "",
        timeout: float = 30.0,
        local_socket: bool = True,
        cancel_on_close: bool = False,
    ) -> None:
        self._cancel_on_close = cancel_on_close
        self._where = (home, host, port, token)
        self._local_socket = local_socket
        self._name = name or conversations.default_name()
        self._timeout = timeout
        self._connection: _Connection | None = None
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
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def on_event(self, event: dict[str, Any]) -> None:
        """An event has come (called by the connection)."""
        for stream in self._streams:
            stream.put_nowait(event)

    def on_lost(self, connection: _Connection) -> None:
        """The connection has ended (called by itself): streams subscribe again."""
        if self._connection is connection:
            self._connection = None
        for stream in self._streams:
            stream.put_nowait(None)

    # Calls

    async def call(self, method: str, params: dict[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """Ask the daemon and return its answer. Raises the error it answers with. Repeated when the connection breaks."""
        new = self._connection is None
        for pause in (*RETRIES, None):
            try:
                connection = await self._connected()
                call = Call(method, params or {})
                return await connection.ask(call, self._timeout if timeout is None else timeout)
            except DaemonUnreachable as failure:
                if pause is None or not conversations.is_worth_a_retry(failure, new=new):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last round returns or raises")

    async def _connected(self) -> _Connection:
        async with self._opening:
            if self._connection is None or self._connection.broken:
                self._connection = await self._open()
            return self._connection

    async def _open(self) -> _Connection:
        home, host, port, token = self._where
        address = find_daemon(home, host=host, port=port, token=token)
        if not self._local_socket:
            address = msgspec.structs.replace(address, socket="")
        connection = _Connection(*await _connect(address, self._timeout), self)
        try:
            hello = conversations.hello(
                address.token, self._name, heartbeat=True, cancel_on_close=self._cancel_on_close
            )
            await connection.ask(hello, self._timeout)
        except BaseException:  # also a cancelled caller: nobody else could close it
            await connection.close()
            raise
        return connection

    async def _hold(self, conversation: Conversation[T], *, blocks: bool = False) -> T:
        """Carry a conversation to its end; ``blocks``: it works on files, so its steps are taken in a thread."""
        step = await asyncio.to_thread(advance, conversation) if blocks else advance(conversation)
        while isinstance(step, Call):
            answer = await self.call(*step)
            step = await asyncio.to_thread(advance, conversation, answer) if blocks else advance(conversation, answer)
        return step.value

    # Jobs

    async def submit(
        self,
        operation: str,
        params: dict[str, Any] | None = None,
        *,
        id: str = "",
        priority: int = 0,
        device: str = "",
        planner_device: str = "",
    ) -> str:
        """Hand in a job and return its id. The id is made here if none is given, so that a repeat is harmless.

        ``device`` names the one to run on, where the daemon has several; empty: the next free one. ``planner_device`` names the
        one that makes the plan first; empty: the same one.
        """
        return await self._hold(conversations.submit(operation, params, id, priority, device, planner_device))

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
        return conversations.result_of(await self.wait(job))

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
        return await self._hold(conversations.job(job))

    async def jobs(self, **filters: Any) -> list[dict[str, Any]]:
        """Jobs, newest first; filters: states, search, limit, before."""
        return await self._hold(conversations.jobs(filters))

    async def cancel(self, job: str) -> dict[str, Any]:
        """Cancel a job; returns where it stands."""
        return await self._hold(conversations.cancel(job))

    # The daemon

    async def status(self) -> dict[str, Any]:
        """How the daemon is."""
        return await self._hold(conversations.status())

    async def describe(self, operation: str = "") -> list[dict[str, Any]]:
        """Operations with their fields."""
        return await self._hold(conversations.describe(operation))

    # Files

    async def upload(self, path: str | Path) -> str:
        """Send a file, resuming where an earlier attempt ended; returns the id to give as ``upload`` in a request."""
        return await self._hold(conversations.upload(Path(path)), blocks=True)

    async def download(self, job: str, path: str | Path, index: int = 0) -> Path:
        """Fetch a result file, resuming where an earlier attempt ended, and check its sum."""
        return await self._hold(conversations.download(job, Path(path), index), blocks=True)


async def _connect(address: DaemonAddress, timeout: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        async with asyncio.timeout(timeout):
            if address.socket:
                return await asyncio.open_unix_connection(address.socket)
            return await asyncio.open_connection(address.host, address.port)
    except (OSError, TimeoutError) as failure:
        raise DaemonUnreachable(f"no daemon answers at {address.name}: {failure or 'no answer'}") from None
