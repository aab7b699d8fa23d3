"""A client that speaks nothing but OSC over UDP: packets built with python-osc, retries that are harmless by job id.

It shows what any other OSC program has to do, and the demo is made with it.
"""

from __future__ import annotations

import contextlib
import socket
import time
import uuid
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from acestep.api.errors import DaemonUnreachable, ProtocolError, error_from_wire
from bridge.core.interface import JobState
from bridge.doors.osc.codec import Bundle, Message, decode
from bridge.doors.osc.messages import encode

RETRIES = (0.25, 0.5, 1.0, 2.0)
"""Seconds to wait for an answer before the request is sent again."""

ENDINGS = tuple(f"/ace/{state}" for state in JobState if state.terminal)
"""Addresses of which one ends every job."""

RECEIVE_BUFFER = 4 * 1024 * 1024


class OscClient:
    """Sends requests to the OSC door and reads its answers. Not for several threads at once."""

    def __init__(self, host: str = "127.0.0.1", port: int = 9700) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.connect((host, port))
        self._unread: deque[Message] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, address: str, *arguments: Any) -> None:
        """Send one message."""
        with contextlib.suppress(ConnectionRefusedError):  # an earlier one found nobody there; the retry will tell
            self._socket.send(encode(address, list(arguments)))

    def receive(self, timeout: float) -> Message | None:
        """The next message; None when the time (s) is up."""
        if self._unread:
            return self._unread.popleft()
        return self._read(timeout)

    def _read(self, timeout: float) -> Message | None:
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                packet = decode(self._socket.recv(65_535))
            except TimeoutError:
                return None
            except (ConnectionRefusedError, ProtocolError):
                time.sleep(min(0.05, max(0.0, deadline - time.monotonic())))
                continue
            if isinstance(packet, Bundle):
                self._unread.extend(element for element in packet.elements if isinstance(element, Message))
                return self._unread.popleft() if self._unread else None
            return packet
        return None

    def ask(self, address: str, *arguments: Any, answers: tuple[str, ...], key: Any = None) -> Message:
        """Send a request until one of the answer addresses comes, and return that message.

        ``key`` must be the answer's first argument. Other messages are kept for `receive`. Raises the error the daemon answers
        with, or `DaemonUnreachable` after the last retry.
        """
        for patience in RETRIES:
            self.send(address, *arguments)
            deadline = time.monotonic() + patience
            while (left := deadline - time.monotonic()) > 0:
                message = self._read(left)
                if message is None:
                    break
                if _refuses(message, address, key):
                    words = message.arguments
                    raise error_from_wire({"code": words[1], "field": words[2] or None, "message": words[3]})
                if message.address in answers and (key is None or message.arguments[:1] == (key,)):
                    return message
                self._unread.append(message)
        raise DaemonUnreachable(f"no answer to {address} after {len(RETRIES)} tries")

    def submit(self, operation: str, params: dict[str, Any] | None = None, *, id: str = "") -> str:
        """Hand in a job and return its id. Raises what it is rejected with."""
        job = id or uuid.uuid4().hex
        pairs = [part for pair in (params or {}).items() for part in pair]
        self.ask(f"/ace/op/{operation}", job, *pairs, answers=("/ace/accepted",), key=job)
        return job

    def events(self, job: str, silence: float = 30.0) -> Iterator[Message]:
        """The job's messages (progress, result ...) up to its last; asks where it stands when nothing has come for a while.

        Raises `DaemonUnreachable` when the daemon has not answered for ``silence`` seconds.
        """
        last = time.monotonic()
        asked = last
        while True:
            message = self.receive(1.0)
            now = time.monotonic()
            if message is not None and message.arguments[:1] == (job,):
                last = asked = now
                if message.address != "/ace/job/status":
                    yield message
                if message.address in ENDINGS:
                    return
            elif now - last > silence:
                raise DaemonUnreachable(f"nothing was heard of {job} for {silence:g} s")
            elif now - asked > 2.0:
                asked = now
                self.send("/ace/job/result", job)  # repeats the last word if that was lost

    def cancel(self, job: str) -> str:
        """Cancel a job; returns the state it is in."""
        answer = self.ask("/ace/job/cancel", job, answers=("/ace/job/cancel",), key=job)
        return str(answer.arguments[2])

    def sync(self, n: int = 1) -> None:
        """Return when every earlier request is stored."""
        self.ask("/ace/sync", n, answers=("/ace/synced",), key=n)

    def status(self) -> dict[str, Any]:
        """How the daemon is, keys joined by dots."""
        return self._collect(self.ask("/ace/status", answers=("/ace/status",)))

    def version(self) -> dict[str, Any]:
        """Program, version, protocol level."""
        return self._collect(self.ask("/ace/version", answers=("/ace/version",)))

    def _collect(self, first: Message) -> dict[str, Any]:
        """The rest of a numbered answer."""
        found = {first.arguments[2]: first.arguments[3]} if first.arguments[1] else {}
        while len(found) < first.arguments[1]:
            message = self._read(RETRIES[-1])
            if message is None:
                raise DaemonUnreachable(f"a part of the answer to {first.address} was lost")
            if message.address == first.address:
                found[message.arguments[2]] = message.arguments[3]
            else:
                self._unread.append(message)
        return found


def _refuses(message: Message, address: str, key: Any) -> bool:
    if message.address == "/ace/rejected":
        return key is not None and message.arguments[:1] == (key,)
    return message.address == "/ace/error" and message.arguments[:1] == (address,)
