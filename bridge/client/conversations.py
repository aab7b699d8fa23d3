"""What a client and the daemon say to one another, once for both clients.

A conversation is a generator: it yields the calls to make, gets each answer sent in, and returns what the client's method returns.
The clients differ in how a call travels and in how they wait for it, and in nothing else.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from acestep.api.errors import Cancelled, DaemonUnreachable, error_from_wire
from bridge.client import transfers
from bridge.core.interface import PROTOCOL, JobState
from bridge.doors.limits import RPC_MESSAGE

RETRIES = (0.25, 0.5, 1.0, 2.0)
"""Pauses (s) before a lost connection is tried again."""

ANSWER_MOST = 16 * RPC_MESSAGE
"""Bytes of the longest answer that is taken: long job lists with their errors."""

T = TypeVar("T")


class Call(NamedTuple):
    """A method to call, with its parameters."""

    method: str
    params: dict[str, Any]


Conversation = Generator[Call, Any, T]


@dataclass(frozen=True)
class Finished(Generic[T]):
    """A conversation has come to its end, with this value."""

    value: T


def advance(conversation: Conversation[T], answer: Any = None) -> Call | Finished[T]:
    """Hand an answer in (none at the beginning); returns the next call, or the end."""
    try:
        return conversation.send(answer)
    except StopIteration as end:
        return Finished(end.value)


class NoAnswer(DaemonUnreachable):
    """The daemon is connected and silent; asking again would only wait again."""

    def __init__(self, method: str, seconds: float) -> None:
        super().__init__(f"the daemon did not answer {method} within {seconds:g} s")


def is_worth_a_retry(failure: DaemonUnreachable, *, new: bool) -> bool:
    """Whether a call is made again after a failure; ``new``: no connection was open before, so none was lost."""
    return not new and not isinstance(failure, NoAnswer)


def hello(token: str, name: str, *, heartbeat: bool, cancel_on_close: bool = False) -> Call:
    """The first call of every connection. Events come only where they are asked for."""
    asked = {"events": False, "heartbeat": heartbeat, **({"cancel_on_close": True} if cancel_on_close else {})}
    return Call("hello", {"token": token, "client": name, "protocol": PROTOCOL, **asked})


def default_name() -> str:
    """What job lists call a client that has no name of its own."""
    return f"python-{os.getpid()}"


def submit(
    operation: str, params: dict[str, Any] | None, id: str, priority: int, device: str, planner_device: str = ""
) -> Conversation[str]:
    """Hand in a job. The id is made here if none is given, so that a repeat is harmless."""
    request = {"operation": operation, "params": params or {}, "id": id or uuid.uuid4().hex, "priority": priority}
    devices = {"device": device, "planner_device": planner_device}
    request |= {name: value for name, value in devices.items() if value}  # an older daemon does not know them
    accepted = yield Call("job.submit", request)
    return str(accepted["id"])


def job(job: str) -> Conversation[dict[str, Any]]:
    """A job with recipe and result."""
    view: dict[str, Any] = yield Call("job.result", {"id": job})
    return view


def jobs(filters: dict[str, Any]) -> Conversation[list[dict[str, Any]]]:
    """List jobs, newest first."""
    found: list[dict[str, Any]] = yield Call("job.list", filters)
    return found


def cancel(job: str) -> Conversation[dict[str, Any]]:
    """Cancel a job."""
    view: dict[str, Any] = yield Call("job.cancel", {"id": job})
    return view


def status() -> Conversation[dict[str, Any]]:
    """How the daemon is."""
    facts: dict[str, Any] = yield Call("status", {})
    return facts


def describe(operation: str) -> Conversation[list[dict[str, Any]]]:
    """Operations with their fields."""
    answer = yield Call("describe", {"operation": operation})
    found: list[dict[str, Any]] = answer["operations"]
    return found


def upload(path: Path) -> Conversation[str]:
    """Send a file, resuming where an earlier attempt ended. Reads the disk."""
    known = yield Call("upload.begin", transfers.announcement(path))
    while not known["complete"]:
        data = transfers.chunk_at(path, known["received"])
        known = yield Call("upload.chunk", {"id": known["id"], "offset": known["received"], "data": data})
    return str(known["id"])


def download(job: str, path: Path, index: int) -> Conversation[Path]:
    """Fetch a result file, resuming where an earlier attempt ended, and check its sum. Writes the disk."""
    facts = yield Call("download.begin", {"id": job, "index": index})
    here = transfers.arrived(path)
    offset = here if here <= facts["size"] else 0
    while offset < facts["size"]:
        chunk = yield Call("download.chunk", {"id": job, "index": index, "offset": offset})
        transfers.append(path, offset, chunk["data"])
        offset += len(chunk["data"])
    transfers.verify(path, facts)
    return path


def result_of(view: dict[str, Any]) -> dict[str, Any]:
    """The result of a job that was done. Raises what any other one ended with."""
    if view["state"] == JobState.DONE:
        found: dict[str, Any] = view["result"]
        return found
    if view["state"] == JobState.CANCELLED:
        raise Cancelled(f"{view['id']} was cancelled")
    error = view["error"] or {"code": view["state"], "message": f"{view['id']} ended as {view['state']}"}
    raise error_from_wire(error)
