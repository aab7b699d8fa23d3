"""A UDP proxy that loses, doubles and reorders datagrams in both directions, the same way every time it is seeded alike."""

from __future__ import annotations

import random
import selectors
import socket
import threading
from types import TracebackType
from typing import Any, Self

import msgspec

BUFFER = 4 * 1024 * 1024


class Mischief(msgspec.Struct, frozen=True):
    """Shares (0 to 1) of datagrams that are lost, doubled, or sent behind the next one."""

    loss: float = 0.2
    double: float = 0.1
    reorder: float = 0.1


class LossyProxy:
    """Stands between one client and a UDP port. A context manager; the client talks to ``port``."""

    def __init__(self, target: tuple[str, int], mischief: Mischief | None = None, seed: int = 1) -> None:
        self._mischief = mischief or Mischief()
        self._chance = random.Random(seed)
        self._outside = _socket()
        self._outside.bind(("127.0.0.1", 0))
        self._inside = _socket()
        self._inside.connect(target)
        self._client: Any = None
        self._held: dict[bool, bytes | None] = {True: None, False: None}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port: int = self._outside.getsockname()[1]
        self.lost = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._outside.close()
        self._inside.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(self._outside, selectors.EVENT_READ, True)
            ready.register(self._inside, selectors.EVENT_READ, False)
            while not self._stop.is_set():
                for key, _ in ready.select(0.05):
                    self._pass(inward=key.data)

    def _pass(self, inward: bool) -> None:
        try:
            if inward:
                data, self._client = self._outside.recvfrom(65_535)
            else:
                data = self._inside.recv(65_535)
        except OSError:  # an ICMP error of an earlier send
            return
        for packet in self._mishandle(data, inward):
            if inward:
                self._inside.send(packet)
            elif self._client is not None:
                self._outside.sendto(packet, self._client)

    def _mishandle(self, data: bytes, inward: bool) -> list[bytes]:
        """What goes out now: nothing, this once or twice, and what was held back before."""
        mischief, dice = self._mischief, self._chance.random()
        held, self._held[inward] = self._held[inward], None
        before = [] if held is None else [held]
        if dice < mischief.loss:
            self.lost += 1
            return before
        dice -= mischief.loss
        if dice < mischief.double:
            return [data, *before, data]
        if dice - mischief.double < mischief.reorder:
            self._held[inward] = data
            return before
        return [data, *before]


def _socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    return sock
