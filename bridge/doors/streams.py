"""What every TCP door does with its streams: judge the first byte, bound the crowd, share the loop's time, end what stalls.

A page of the web can make a browser send bytes to any port of this machine, but they always begin with a word of HTTP (or with a
TLS record). A door that names its legal first bytes here, none of them a letter, is therefore closed to pages.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from acestep.api.errors import ProtocolError
from bridge.doors import limits

log = logging.getLogger(__name__)

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
        raise ProtocolError(f"a stream may not begin with the byte {data[0]:#04x}")


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
            try:
                more = work()
            except Exception:  # the work of any door: whatever it met, the other streams keep their turns
                log.exception("a connection's turn failed")
                continue
            if more:
                self._waiting.append(work)
        self._round = asyncio.get_running_loop().call_soon(self._take_round) if self._waiting else None

    def close(self) -> None:
        """Drop what waits."""
        self._waiting.clear()
        if self._round is not None:
            self._round.cancel()
            self._round = None


class StreamGroup(msgspec.Struct, frozen=True):
    """The connections of one listener: who is there, and whose turn it is."""

    crowd: Crowd
    turns: Turns


class Stream(asyncio.Protocol):
    """One TCP connection of a door. Its bytes are taken in turns, and a message that has begun gets its time and no more.

    A door's own stream says how its bytes are kept and taken (`_add`, `_step`, `_starved`, `_mark`), what becomes of a malformed or
    stalled one (`_on_malformed`, `_on_stalled`), and when it is idle.
    """

    def __init__(self, group: StreamGroup) -> None:
        self.spoke = False
        self._group = group
        self._transport: asyncio.Transport | None = None
        self._reading = False
        self._last_data_at = time.monotonic()
        self._deadline: asyncio.TimerHandle | None = None
        self._watched = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self._admits(transport) and self._group.crowd.enter(self):
            _keep_alive(transport)
            self._on_admitted(transport)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self._last_data_at = time.monotonic()
        self._add(data)
        if not self._reading:
            self._reading = True
            self._group.turns.ask(self._read)
        elif self._transport is not None:
            self._transport.pause_reading()  # more than one turn has come; the rest may wait in the network

    def _read(self) -> bool:
        """Take a message, or look at a part of one. Returns whether there is more to do."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        try:
            self._step()
        except ProtocolError as failure:
            self._on_malformed(failure)
            return False
        self._reading = not (self._starved or transport.is_closing())
        if not self._reading and not transport.is_closing():
            transport.resume_reading()
            self._watch(self._mark)
        return self._reading

    def _watch(self, mark: int) -> None:
        """Give a message that has begun its time. ``mark`` is 0 when none has, and changes as long as it moves on."""
        if self._deadline is not None and mark != self._watched:
            self._deadline.cancel()
            self._deadline = None
        if mark and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(limits.FRAME_SECONDS, self._on_stalled)
        self._watched = mark

    def connection_lost(self, exc: Exception | None) -> None:
        self._group.crowd.leave(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def _admits(self, transport: asyncio.Transport) -> bool:
        """Whether the other side may speak here at all."""
        return True

    def _on_admitted(self, transport: asyncio.Transport) -> None:
        """The connection has its place."""

    def _add(self, data: bytes) -> None:
        """Keep what has come."""
        raise NotImplementedError

    def _step(self) -> None:
        """Take a message, or look at a part of one. Raises `ProtocolError`."""
        raise NotImplementedError

    @property
    def _starved(self) -> bool:
        """Whether everything that has come has been looked at."""
        raise NotImplementedError

    @property
    def _mark(self) -> int:
        """How far the message under way is; 0 when there is none. See `_watch`."""
        raise NotImplementedError

    def _on_malformed(self, failure: ProtocolError) -> None:
        """Nothing that follows can be trusted."""
        raise NotImplementedError

    def _on_stalled(self) -> None:
        """A message was begun and not finished in time."""
        raise NotImplementedError

    @property
    def idle_since(self) -> float | None:
        """Since when (monotonic s) nothing has come and nothing is under way; None while something is."""
        raise NotImplementedError

    def dismiss(self) -> None:
        """Make room for another connection."""
        raise NotImplementedError


IDLE, INTERVAL, PROBES = 60, 15, 4
"""Seconds of silence before the first probe, between probes, and how many go unanswered: gone after two minutes."""


def _keep_alive(transport: asyncio.BaseTransport) -> None:
    """Let the system probe a TCP connection; a dead one then ends instead of holding a place for hours."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", INTERVAL), ("TCP_KEEPCNT", PROBES)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
