"""How the door reaches the daemon: as one of its clients, or from inside. Both give the same three things."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec

from acestep.api.errors import BadRequest, DaemonUnreachable, NotFound, ProtocolError, TooLarge
from bridge.client.aio import AsyncClient
from bridge.client.transfers import CHUNK
from bridge.core.access import OWNER, Access
from bridge.core.interface import Core
from bridge.doors import limits
from bridge.doors.dispatch import Dispatcher
from bridge.doors.mcp.tools import DOOR
from bridge.doors.rpc import codec


def require_sendable(method: str, params: dict[str, Any]) -> None:
    """Refuse what the daemon could not read, before it is sent: the connection carries other calls too. Raises `BadRequest`."""
    try:
        codec.Splitter().feed(codec.request(0, method, params))
    except ProtocolError as failure:
        raise BadRequest(f"the arguments are too large: {failure.message}", limits=failure.limits) from None
    except UnicodeEncodeError:
        raise BadRequest("the arguments contain half a character, which is not text") from None
    except (OverflowError, RecursionError):
        raise BadRequest("the arguments contain a number beyond 64 bits, or lists nested too deeply") from None


class DaemonLink(Protocol):
    """A daemon to ask."""

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        """The answer of a method. Raises an `AceError`."""

    def events(self, job: str) -> AsyncIterator[dict[str, Any]]:
        """What a job does, from its beginning to its end."""

    async def file(self, job: str, index: int) -> bytes:
        """A file of a result. Raises `TooLarge` past `limits.MCP_FILE`."""


class ClientLink:
    """A daemon in another process, over MessagePack-RPC.

    It goes through TCP, where the daemon lets clients name files in its read roots only; the local socket lets the user have
    every file read, which is not for an assistant to use. ``start`` starts a daemon; it is called where none answers.
    """

    def __init__(
        self,
        home: str = "",
        *,
        host: str = "",
        port: int = 0,
        token: str = "",
        start: Callable[[], object] | None = None,
    ) -> None:
        name = f"{DOOR}-{os.getpid()}"
        self._client = AsyncClient(home, host=host, port=port, token=token, name=name, local_socket=False)
        self._start = start
        self._starting = asyncio.Lock()

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        try:
            return await self._client.call(method, params)
        except DaemonUnreachable:
            if self._start is None:
                raise
        async with self._starting:
            with contextlib.suppress(DaemonUnreachable):  # another call has started it meanwhile
                return await self._client.call(method, params)
            await asyncio.to_thread(self._start)
        return await self._client.call(method, params)

    def events(self, job: str) -> AsyncIterator[dict[str, Any]]:
        return self._client.events(job, after={job: -1})

    async def file(self, job: str, index: int) -> bytes:
        facts = await self.call("download.begin", {"id": job, "index": index})
        _check_size(facts["name"], facts["size"])
        data = bytearray()
        while len(data) < facts["size"]:
            piece = await self.call("download.chunk", {"id": job, "index": index, "offset": len(data), "length": CHUNK})
            data += piece["data"]
        return bytes(data)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()


def _check_size(name: str, size: int) -> None:
    if size > limits.MCP_FILE:
        raise TooLarge(
            f"{name} has {size} bytes, too many for a resource; the job's result names its path",
            limits={"max": limits.MCP_FILE},
        )


class InsideLink:
    """The daemon that this process is."""

    door = DOOR

    def __init__(self, core: Core, dispatcher: Dispatcher, name: str, access: Access = OWNER) -> None:
        self.name = name
        self.access = access
        self._core = core
        self._dispatcher = dispatcher

    async def call(self, method: str, params: dict[str, Any]) -> Any:
        return msgspec.to_builtins(await self._dispatcher.call(method, params, self))

    async def events(self, job: str) -> AsyncIterator[dict[str, Any]]:
        stream: Any = self._core.subscribe(self.name, frozenset({job}), {job: -1}, self.access)
        try:
            async for event in stream:
                yield msgspec.to_builtins(event)
                if event.kind.terminal:
                    return
        finally:
            await stream.aclose()

    async def file(self, job: str, index: int) -> bytes:
        files = (self._core.job(job).result or {}).get("files", [])
        if index >= len(files):
            raise NotFound(
                f"the job {job} has {len(files)} result files", field="index", limits={"max": len(files) - 1}
            )
        return await asyncio.to_thread(_read, Path(files[index]["path"]))

    def follow(self, job: str, after: int) -> None:
        """Nothing: events are asked for job by job."""

    def follow_all(self, after: dict[str, int]) -> None:
        """Nothing."""

    def unfollow(self, jobs: list[str]) -> None:
        """Nothing."""


def _read(path: Path) -> bytes:
    try:
        _check_size(path.name, path.stat().st_size)
        return path.read_bytes()
    except OSError:
        raise NotFound(f"the file {path.name} is gone", field="name") from None
