"""The lofi door on standard input and output: lines in, one write for each message out."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from acestep.api.errors import BadRequest, OutputUnwritable, ProtocolError
from bridge.client.aio import AsyncClient
from bridge.doors.jsonrpc import codec
from bridge.doors.jsonrpc.framing import LineSplitter
from bridge.doors.lofi.cache import TrackCache
from bridge.doors.lofi.contract import LofiError, backend_type
from bridge.doors.lofi.session import LofiSession

PIECE = 65_536

Heard = bytes | ProtocolError | None
"""A line, what is wrong with one, or the end of input."""

WAITING = 1_000
"""Messages that may wait for an editor that does not read; past it this process ends."""


class LineWriter:
    """Writes whole messages, each in one write, from a thread of its own: lofi.nvim loses a line that comes in two pieces."""

    def __init__(self, descriptor: int, give_up: Callable[[], object]) -> None:
        self._descriptor = descriptor
        self._give_up = give_up
        self._waiting: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def put(self, message: bytes) -> None:
        """Write a message soon."""
        try:
            self._waiting.put_nowait(message + b"\n")
        except queue.Full:
            self._give_up()

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, and end."""
        with contextlib.suppress(queue.Full):  # the thread ends with the process
            self._waiting.put(None, timeout=seconds)
            self._thread.join(seconds)

    def _write(self) -> None:
        broken = False
        while (message := self._waiting.get()) is not None:
            while message and not broken:
                try:
                    message = message[os.write(self._descriptor, message) :]
                except OSError:
                    broken = True  # nobody reads any more; the end of input will come, too


async def serve(client: AsyncClient, cache: TrackCache, defaults: Mapping[str, Any], idle_seconds: float = 0.0) -> None:
    """Answer until the input ends, the client asks for the end, or nothing was asked for ``idle_seconds`` (0: never mind).

    Raises `OutputUnwritable` for a cache that cannot be used, or when the client does not read its answers.
    """
    await asyncio.to_thread(cache.open)
    task = asyncio.current_task()
    assert task is not None
    output = LineWriter(1, give_up=task.cancel)
    session = LofiSession(client, cache, output.put, defaults)
    lines: asyncio.Queue[Heard] = asyncio.Queue(16)
    threading.Thread(target=_read, args=(0, lines, asyncio.get_running_loop()), daemon=True).start()
    try:
        while (line := await _next(lines, session, idle_seconds)) is not None:
            if isinstance(line, ProtocolError):
                output.put(codec.failure(None, line, codec.INVALID_REQUEST))
                break
            await session.hear(line)
            if session.ended.is_set():
                break
    except asyncio.CancelledError:
        raise OutputUnwritable("the editor does not read what is written to it") from None
    finally:
        await session.close()
        await client.close()
        await asyncio.to_thread(output.close)


async def _next(lines: asyncio.Queue[Heard], session: LofiSession, idle_seconds: float) -> Heard:
    """The next line; None at the end."""
    while True:
        try:
            async with asyncio.timeout(idle_seconds or None):
                return await lines.get()
        except TimeoutError:
            if not session.busy:
                return None


def _read(descriptor: int, lines: asyncio.Queue[Heard], loop: asyncio.AbstractEventLoop) -> None:
    """Hand over standard input line by line, as fast as the lines are taken."""

    def hand_over(line: Heard) -> None:
        with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):  # the loop has ended
            asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()

    splitter = LineSplitter()
    try:
        while piece := os.read(descriptor, PIECE):
            splitter.add(piece)
            while (line := splitter.next()) is not None:
                if line:
                    hand_over(line)
        hand_over(None)
    except ProtocolError as failure:
        hand_over(failure)
    except OSError:
        hand_over(None)


def defaults_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """What lofi.nvim's variables say about requests that do not. Raises `BadRequest` about one that cannot be."""
    found: dict[str, Any] = {}
    kinds = {
        "LOFI_BACKEND": ("backend", backend_type),
        "LOFI_ACE_STEP_STEPS": ("inference_steps", int),
        "LOFI_ACE_STEP_SCHEDULER": ("scheduler", str),
        "LOFI_ACE_STEP_GUIDANCE": ("guidance_scale", float),
    }
    for variable, (name, kind) in kinds.items():
        if text := environment.get(variable):
            try:
                found[name] = kind(text)  # type: ignore[operator]
            except (ValueError, LofiError):
                raise BadRequest(f"{variable}: {text!r} cannot be a {name}", field=name) from None
    return found


DEVICES = {"auto": "auto", "cpu": "cpu", "cuda": "cuda", "metal": "mps"}


def daemon_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """lofi.nvim's variables about the machine as ours, for a daemon that is started now."""
    found: dict[str, str] = {}
    if (device := environment.get("LOFI_DEVICE", "")) in DEVICES:
        found["ACESTEP_BRIDGE_DEVICE"] = DEVICES[device]
    if (threads := environment.get("LOFI_THREADS", "")).isdecimal():
        found["ACESTEP_BRIDGE_THREADS"] = threads
    if folder := environment.get("LOFI_ACE_STEP_MODEL_PATH", ""):
        found["ACESTEP_BRIDGE_CHECKPOINTS"] = folder
    return {name: value for name, value in found.items() if name not in environment}
