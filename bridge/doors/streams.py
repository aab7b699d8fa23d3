"""What every TCP door does with its streams: judge the first byte, bound the crowd, and share the loop's time.

A page of the web can make a browser send bytes to any port of this machine, but they always begin with a word of HTTP (or with a
TLS record). A door that names its legal first bytes here, none of them a letter, is therefore closed to pages.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from acestep.api.errors import ProtocolError
from bridge.doors import limits

WORDS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") | {0x16}
"""First bytes of HTTP requests, of similar old protocols, and of TLS."""


class Opening:
    """The first bytes that a door's streams may begin with. Raises `ValueError` for one that a browser could send."""

    def __init__(self, legal: bytes) -> None:
        if WORDS & frozenset(legal):
            raise ValueError("a stream that may begin with a letter could be a web page's")
        self._legal = frozenset(legal)

    def check(self, data: bytes) -> None:
        """Judge the beginning of a stream. Raises `ProtocolError`."""
        if data[0] in self._legal:
            return
        if data[0] in WORDS:
            raise ProtocolError("this port does not speak HTTP; the status page is on the HTTP port")
        raise ProtocolError(f"a stream does not begin with the byte {data[0]:#04x}")


class Guest(Protocol):
    """A connection as the crowd of its door sees it."""

    @property
    def idle_since(self) -> float | None:
        """Since when (monotonic s) nothing has come and nothing is under way; None while something is."""

    @property
    def spoke(self) -> bool:
        """Whether it has ever sent a whole message."""

    def dismiss(self) -> None:
        """Close it, because another one needs its place."""


class Crowd:
    """The connections of one listener. When it is full, the one that never spoke, or else was idle longest, makes room."""

    def __init__(self, most: int | None = None) -> None:
        self.refused = 0
        self.dismissed = 0
        self._most = most
        self._guests: dict[Guest, None] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def __iter__(self) -> Iterator[Guest]:
        return iter(list(self._guests))

    def enter(self, guest: Guest) -> bool:
        """Let a connection in. False when the place is full of connections that are at work."""
        if len(self._guests) >= (limits.CONNECTIONS if self._most is None else self._most):
            idle = [(one.spoke, one.idle_since, one) for one in self._guests if one.idle_since is not None]
            if not idle:
                self.refused += 1
                return False
            *_, oldest = min(idle, key=lambda row: row[:2])
            self.dismissed += 1
            self.leave(oldest)
            oldest.dismiss()
        self._guests[guest] = None
        return True

    def leave(self, guest: Guest) -> None:
        """A connection has ended."""
        self._guests.pop(guest, None)


class Turns:
    """Shares the loop's time among streams that have sent more than can be taken at once.

    ``work`` does a small piece and returns whether there is more; all of them together get `limits.TURN_SECONDS` and
    `limits.TURN_PIECES` of each round of the loop, so that a flood on one connection holds up nobody else.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], bool]] = deque()
        self._round: asyncio.Handle | None = None

    def ask(self, work: Callable[[], bool]) -> None:
        """Do ``work`` soon."""
        self._waiting.append(work)
        if self._round is None:
            self._round = asyncio.get_running_loop().call_soon(self._take_round)

    def _take_round(self) -> None:
        ends = time.monotonic() + limits.TURN_SECONDS
        for _ in range(limits.TURN_PIECES):
            if not self._waiting or time.monotonic() > ends:
                break
            work = self._waiting.popleft()
            if work():
                self._waiting.append(work)
        self._round = asyncio.get_running_loop().call_soon(self._take_round) if self._waiting else None

    def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._round is not None:
            self._round.cancel()
            self._round = None
