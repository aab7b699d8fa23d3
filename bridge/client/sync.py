"""A plain blocking client: one connection, calls in turn, reconnecting by itself."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from acestep.api.errors import AceError, Cancelled, DaemonUnreachable, ProtocolError, error_from_wire
from bridge.client import files
from bridge.client.place import Place, connect, find
from bridge.core.interface import TERMINAL
from bridge.doors.limits import CHUNK, PROTOCOL, RPC_MESSAGE, WAIT_SECONDS
from bridge.doors.rpc import codec

RETRIES = (0.25, 0.5, 1.0, 2.0)
"""Pauses (s) before a lost connection is tried again."""

ANSWER_MOST = 16 * RPC_MESSAGE
"""Bytes of the longest answer that is taken: long job lists with their errors."""

POLL = 20.0
"""Seconds one question for events may take; the answer comes as soon as there is one."""


class NoAnswer(DaemonUnreachable):
    """The daemon is connected and silent; asking again would only wait again."""


class Client:
    """Talks to a daemon. Use it as a context manager, or `close` it. Calls from several threads take turns.

    Without arguments it finds the daemon of this user through its connection file; ``home`` names another one, ``host``
    and ``port`` one elsewhere. Every failure is an `AceError`: the daemon's own, or `DaemonUnreachable`.
    """

    def __init__(
        self, home: str = "", *, host: str = "", port: int = 0, token: str = "", name: str = "", timeout: float = 30.0
    ) -> None:
        self._where = (home, host, port, token)
        self._name = name or f"python-{os.getpid()}"
        self._timeout = timeout
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._socket: socket.socket | None = None
        self._splitter = codec.Splitter(ANSWER_MOST)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # Calls

    def call(self, method: str, params: dict[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """Ask the daemon and return its answer. Raises the error it answers with.

        A connection that breaks is made again and the call repeated: all methods may be (give a submit an id).
        """
        with self._lock:
            fresh = self._socket is None
            for pause in (*RETRIES, None):
                try:
                    return self._ask(method, params or {}, self._timeout if timeout is None else timeout)
                except DaemonUnreachable as failure:
                    self.close()
                    if fresh or pause is None or isinstance(failure, NoAnswer):
                        raise
                    time.sleep(pause)
            raise AssertionError("the last round returns or raises")

    def _ask(self, method: str, params: dict[str, Any], timeout: float) -> Any:
        try:
            if self._socket is None:
                self._socket = self._open()
            return self._exchange(self._socket, method, params, timeout)
        except AceError as failure:
            if isinstance(failure, (ProtocolError, DaemonUnreachable)):
                self.close()
            raise
        except BaseException:  # also Ctrl-C: half an answer may be under way, so this connection is of no use any more
            self.close()
            raise

    def _open(self) -> socket.socket:
        home, host, port, token = self._where
        place: Place = find(home, host=host, port=port, token=token)
        sock = connect(place, self._timeout)
        self._splitter = codec.Splitter(ANSWER_MOST)
        hello = {"token": place.token, "client": self._name, "protocol": PROTOCOL, "events": False}
        try:
            self._exchange(sock, "hello", hello, self._timeout)
        except BaseException:  # also Ctrl-C: nobody else could close it
            sock.close()
            raise
        return sock

    def _exchange(self, sock: socket.socket, method: str, params: dict[str, Any], timeout: float) -> Any:
        number = next(self._numbers) % 2**32
        deadline = time.monotonic() + timeout
        try:
            sock.settimeout(timeout)
            sock.sendall(codec.request(number, method, params))
            while True:
                sock.settimeout(max(0.001, deadline - time.monotonic()))
                data = sock.recv(CHUNK)
                if not data:
                    raise DaemonUnreachable("the daemon closed the connection")
                for body in self._splitter.feed(data):
                    message = codec.decode(body)
                    if isinstance(message, codec.Response) and message.id == number:
                        if message.error is not None:
                            raise error_from_wire(message.error)
                        return message.result
        except TimeoutError:
            raise NoAnswer(f"the daemon did not answer {method} within {timeout:g} s") from None
        except OSError as failure:
            raise DaemonUnreachable(f"the connection broke: {failure.strerror or failure}") from None

    # Jobs

    def submit(self, operation: str, params: dict[str, Any] | None = None, *, id: str = "", priority: int = 0) -> str:
        """Hand in a job and return its id. The id is made here if none is given, so that a repeat is harmless."""
        request = {"operation": operation, "params": params or {}, "id": id or uuid.uuid4().hex, "priority": priority}
        accepted: dict[str, Any] = self.call("job.submit", request)
        return str(accepted["id"])

    def events(self, job: str, after: int = -1) -> Iterator[dict[str, Any]]:
        """The job's events from the one behind ``after`` to its last; survives a restart of the daemon."""
        while True:
            answer = self.call("job.wait", {"id": job, "after": after, "timeout": POLL}, timeout=POLL + self._timeout)
            for event in answer["events"]:
                after = event["seq"]
                yield event
                if event["kind"] in TERMINAL:
                    return
            if answer["terminal"] and not answer["events"]:
                return

    def wait(
        self, job: str, *, timeout: float | None = None, progress: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Wait for the job's end and return it, whatever the end was; ``progress`` gets {stage, step, fraction, eta ...}.

        Raises `DaemonUnreachable` when the time (s) is up first; the job goes on.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        after, terminal = -1, False
        while not terminal:
            left = WAIT_SECONDS if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise DaemonUnreachable(f"{job} did not end within {timeout:g} s")
            pause = min(POLL, left)
            answer = self.call("job.wait", {"id": job, "after": after, "timeout": pause}, timeout=pause + self._timeout)
            for event in answer["events"]:
                after = event["seq"]
                terminal = terminal or event["kind"] in TERMINAL
                if progress is not None and event["kind"] == "progress":
                    progress(event["data"])
            terminal = terminal or (answer["terminal"] and not answer["events"])
        return self.job(job)

    def result(self, job: str, *, timeout: float | None = None) -> dict[str, Any]:
        """The result of a job that has ended or will: {files, seeds, notes, recipe ...}. Raises what the job failed with."""
        view = self.wait(job, timeout=timeout)
        raise_unless_done(view)
        found: dict[str, Any] = view["result"]
        return found

    def run(
        self, operation: str, params: dict[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Submit and return the result."""
        return self.result(self.submit(operation, params), timeout=timeout)

    def job(self, job: str) -> dict[str, Any]:
        """A job with recipe and result."""
        view: dict[str, Any] = self.call("job.result", {"id": job})
        return view

    def jobs(self, **filters: Any) -> list[dict[str, Any]]:
        """Jobs, newest first; filters: states, search, limit, before."""
        found: list[dict[str, Any]] = self.call("job.list", filters)
        return found

    def cancel(self, job: str) -> dict[str, Any]:
        """Cancel a job; returns where it stands."""
        view: dict[str, Any] = self.call("job.cancel", {"id": job})
        return view

    # The daemon

    def status(self) -> dict[str, Any]:
        """How the daemon is."""
        facts: dict[str, Any] = self.call("status")
        return facts

    def describe(self, operation: str = "") -> list[dict[str, Any]]:
        """Operations with their fields."""
        found: list[dict[str, Any]] = self.call("describe", {"operation": operation})["operations"]
        return found

    # Files

    def upload(self, path: str | Path) -> str:
        """Send a file, going on where an earlier attempt ended; returns the id to give as ``upload`` in a request."""
        path = Path(path)
        known: dict[str, Any] = self.call("upload.begin", files.announce(path))
        while not known["complete"]:
            data = files.piece(path, known["received"])
            known = self.call("upload.chunk", {"id": known["id"], "offset": known["received"], "data": data})
        return str(known["id"])

    def download(self, job: str, path: str | Path, index: int = 0) -> Path:
        """Fetch a result file, going on where an earlier attempt ended, and check its sum."""
        path = Path(path)
        facts = self.call("download.begin", {"id": job, "index": index})
        here = files.arrived(path)
        offset = here if here <= facts["size"] else 0
        while offset < facts["size"]:
            chunk = self.call("download.chunk", {"id": job, "index": index, "offset": offset})
            files.append(path, offset, chunk["data"])
            offset += len(chunk["data"])
        files.verify(path, facts)
        return path


def raise_unless_done(view: dict[str, Any]) -> None:
    """Raise what a job ended with, unless it was done."""
    if view["state"] == "done":
        return
    if view["state"] == "cancelled":
        raise Cancelled(f"{view['id']} was cancelled")
    error = view["error"] or {"code": view["state"], "message": f"{view['id']} ended as {view['state']}"}
    raise error_from_wire(error)
