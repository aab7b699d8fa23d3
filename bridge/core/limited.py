"""Work that waits for a disk, in threads that nobody has to wait for: a network share that hangs holds up only its own requests.

A thread that hangs inside the system can neither be stopped nor, were it an ordinary one, be left behind at the end of the process;
these are daemon threads.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from acestep.api.errors import Busy, Unavailable

T = TypeVar("T")

WIDTH = 2
"""Checks at a time, as long as they are quick."""

QUICK = 0.5
"""Seconds after which a check no longer keeps others from theirs."""

SLOW = 32
"""Slow checks at a time, hanging ones included; each holds a thread."""

SLOW_PER_CLIENT = 8
"""Slow checks of one client."""


async def in_thread(work: Callable[..., T], *arguments: Any, seconds: float | None = None) -> T:
    """What ``work`` returns or raises, from a thread of its own. Raises `TimeoutError` after ``seconds``; the thread goes on."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, failure: BaseException | None) -> None:
        if answer.done():
            return
        if failure is not None:
            answer.set_exception(failure)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work(*arguments)
        except BaseException as error:  # handed to whoever waits
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:
            return  # the loop has ended; nobody waits

    threading.Thread(target=run, name="disk", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await asyncio.shield(answer)


class Admissions:
    """Runs the checks of requests, each for ``patience`` seconds at most."""

    def __init__(self, patience: float = 10.0) -> None:
        self.patience = patience
        self._free = asyncio.Semaphore(WIDTH)
        self._slow: Counter[str] = Counter()
        self._hanging: dict[object, float] = {}

    async def run(self, client: str, work: Callable[..., T], *arguments: Any) -> T:
        """The result of a check. Raises what it raises, `Unavailable` when it takes too long, `Busy` when too many do."""
        if self._slow[client] >= SLOW_PER_CLIENT or self._slow.total() >= SLOW:
            raise Busy("the disk or network share of earlier requests does not answer", field="source")
        async with self._free:
            began = time.monotonic()
            check = asyncio.ensure_future(in_thread(self._noted(work), *arguments))
            done, _ = await asyncio.wait([check], timeout=QUICK)
        if done:
            return check.result()
        self._slow[client] += 1
        try:
            done, _ = await asyncio.wait([check], timeout=max(0.0, self.patience - (time.monotonic() - began)))
            if done:
                return check.result()
            check.add_done_callback(lambda one: one.cancelled() or one.exception())  # seen, when it ends one day
            raise Unavailable(
                f"the request could not be checked within {self.patience:g} s; the disk or network share of its files "
                "does not answer"
            )
        finally:
            self._slow[client] -= 1
            self._slow += Counter()

    def _noted(self, work: Callable[..., T]) -> Callable[..., T]:
        mark = object()
        self._hanging[mark] = time.monotonic()

        def noted(*arguments: Any) -> T:
            try:
                return work(*arguments)
            finally:
                self._hanging.pop(mark, None)

        return noted

    @property
    def warning(self) -> str:
        """A sentence while checks hang, else nothing."""
        now = time.monotonic()
        ages = [now - began for began in list(self._hanging.values()) if now - began > self.patience]
        if not ages:
            return ""
        return (
            f"{len(ages)} checks of requests wait for a disk or network share that does not answer, the longest for "
            f"{max(ages):.0f} s"
        )
