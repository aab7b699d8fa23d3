"""Operations of the daemon that read or write for long: their work happens in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from acestep.api.daemon_context import DaemonContext
from acestep.api.errors import Cancelled

Outcome = TypeVar("Outcome")
Progress = Callable[[str, int, int], None]
"""``progress(stage, done, total)``; raises `Cancelled` once the job is cancelled."""


async def in_a_thread(daemon: DaemonContext, work: Callable[[Progress], Outcome]) -> Outcome:
    """What ``work`` returns or raises; its progress goes to the job, which may be cancelled at any time."""
    loop, stop = asyncio.get_running_loop(), threading.Event()
    outcome: asyncio.Future[Outcome] = loop.create_future()

    def progress(file: str, done: int, total: int) -> None:
        if stop.is_set():
            raise Cancelled("the job was cancelled")
        loop.call_soon_threadsafe(daemon.report, file, done, total, done / max(total, 1))

    def settle(value: Outcome | None, failure: BaseException | None) -> None:
        if outcome.done():
            return
        if failure is None:
            outcome.set_result(value)  # type: ignore[arg-type]
        else:
            outcome.set_exception(failure)

    def run() -> None:
        value, failure = None, None
        try:
            value = work(progress)
        except Exception as caught:  # whatever it is belongs to the one who waits
            failure = caught
        with contextlib.suppress(RuntimeError):  # the daemon has ended meanwhile
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name=f"job {daemon.job}", daemon=True).start()
    try:
        return await outcome
    finally:
        stop.set()
