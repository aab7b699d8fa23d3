"""A plain blocking client: one connection, calls in turn, reconnecting when it breaks."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from acestep.api.errors import AceError, DaemonUnreachable, ProtocolError, error_from_wire
from bridge.client import conversations
from bridge.client.conversations import ANSWER_MOST, RETRIES, Call, Conversation, NoAnswer, advance
from bridge.client.daemon_address import connect, find_daemon
from bridge.core.interface import TERMINAL, JobState
from bridge.doors.limits import CHUNK, WAIT_SECONDS
from bridge.doors.rpc import codec

POLL = 20.0
"""Seconds one question for events may take; the answer comes as soon as there is one."""

T = TypeVar("T")


class Client:
    """Talks to a daemon. Use it as a context manager, or `close` it. Calls from several threads take turns.

    Without arguments it finds the daemon of this user through its connection file; ``home`` names another one, ``host``
    and ``port`` one elsewhere. Every failure is an `AceError`: the daemon's own, or `DaemonUnreachable`.
    """

    def __init__(
        self, home: str = "", *, host: str = "", port: int = 0, token: str = "", name: str = "", timeout: float = 30.0
    ) -> None:
        self._where = (home, host, port, token)
        self._name = name or conversations.default_name()
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
            new = self._socket is None
            for pause in (*RETRIES, None):
                try:
                    return self._ask(Call(method, params or {}), self._timeout if timeout is None else timeout)
                except DaemonUnreachable as failure:
                    self.close()
                    if pause is None or not conversations.is_worth_a_retry(failure, new=new):
                        raise
                    time.sleep(pause)
            raise AssertionError("the last round returns or raises")

    def _hold(self, conversation: Conversation[T]) -> T:
        step = advance(conversation)
        while isinstance(step, Call):
            step = advance(conversation, self.call(*step))
        return step.value

    def _ask(self, call: Call, timeout: float) -> Any:
        try:
            if self._socket is None:
                self._socket = self._open()
            return self._exchange(self._socket, call, timeout)
        except AceError as failure:
            if isinstance(failure, (ProtocolError, DaemonUnreachable)):
                self.close()
            raise
        except BaseException:  # also Ctrl-C: half an answer may be under way, so this connection is of no use any more
            self.close()
            raise

    def _open(self) -> socket.socket:
        home, host, port, token = self._where
        address = find_daemon(home, host=host, port=port, token=token)
        sock = connect(address, self._timeout)
        self._splitter = codec.Splitter(ANSWER_MOST)
        try:
            self._exchange(sock, conversations.hello(address.token, self._name, heartbeat=False), self._timeout)
        except BaseException:  # also Ctrl-C: nobody else could close it
            sock.close()
            raise
        return sock

    def _exchange(self, sock: socket.socket, call: Call, timeout: float) -> Any:
        number = next(self._numbers) % 2**32
        deadline = time.monotonic() + timeout
        try:
            sock.settimeout(timeout)
            sock.sendall(codec.request(number, *call))
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
            raise NoAnswer(call.method, timeout) from None
        except OSError as failure:
            raise DaemonUnreachable(f"the connection broke: {failure.strerror or failure}") from None

    # Jobs

    def submit(
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
        return self._hold(conversations.submit(operation, params, id, priority, device, planner_device))

    def events(self, job: str, after: int = -1) -> Iterator[dict[str, Any]]:
        """The job's events from the one behind ``after`` to its last; survives a restart of the daemon."""
        for events in self._batches(job, after):
            yield from events

    def _batches(self, job: str, after: int = -1, deadline: float = float("inf")) -> Iterator[list[dict[str, Any]]]:
        """A job's events as they come, until it has ended or the time (monotonic s) is up."""
        while (left := min(deadline - time.monotonic(), WAIT_SECONDS)) > 0:
            pause = min(POLL, left)
            answer = self.call("job.wait", {"id": job, "after": after, "timeout": pause}, timeout=pause + self._timeout)
            events: list[dict[str, Any]] = answer["events"]
            yield events
            if any(event["kind"] in TERMINAL for event in events) or (answer["terminal"] and not events):
                return
            after = events[-1]["seq"] if events else after

    def wait(
        self, job: str, *, timeout: float | None = None, progress: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """Wait for the job's end and return it, whatever the end was; ``progress`` gets {stage, step, fraction, eta ...}.

        Raises `DaemonUnreachable` when the time (s) is up first; the job goes on.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        for events in self._batches(job, deadline=deadline):
            for event in events:
                if progress is not None and event["kind"] == "progress":
                    progress(event["data"])
        view = self.job(job)
        if not JobState(view["state"]).terminal:
            raise DaemonUnreachable(f"{job} did not end within {timeout:g} s")
        return view

    def result(self, job: str, *, timeout: float | None = None) -> dict[str, Any]:
        """The result of a job that has ended or will: {files, seeds, notes, recipe ...}. Raises what the job failed with."""
        return conversations.result_of(self.wait(job, timeout=timeout))

    def run(
        self, operation: str, params: dict[str, Any] | None = None, *, timeout: float | None = None
    ) -> dict[str, Any]:
        """Submit and return the result."""
        return self.result(self.submit(operation, params), timeout=timeout)

    def job(self, job: str) -> dict[str, Any]:
        """A job with recipe and result."""
        return self._hold(conversations.job(job))

    def jobs(self, **filters: Any) -> list[dict[str, Any]]:
        """Jobs, newest first; filters: states, search, limit, before."""
        return self._hold(conversations.jobs(filters))

    def cancel(self, job: str) -> dict[str, Any]:
        """Cancel a job; returns where it stands."""
        return self._hold(conversations.cancel(job))

    # The daemon

    def status(self) -> dict[str, Any]:
        """How the daemon is."""
        return self._hold(conversations.status())

    def describe(self, operation: str = "") -> list[dict[str, Any]]:
        """Operations with their fields."""
        return self._hold(conversations.describe(operation))

    # Files

    def upload(self, path: str | Path) -> str:
        """Send a file, resuming where an earlier attempt ended; returns the id to give as ``upload`` in a request."""
        return self._hold(conversations.upload(Path(path)))

    def download(self, job: str, path: str | Path, index: int = 0) -> Path:
        """Fetch a result file, resuming where an earlier attempt ended, and check its sum."""
        return self._hold(conversations.download(job, Path(path), index))
