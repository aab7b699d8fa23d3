"""What the daemon says over OSC: events and answers in, addresses and arguments out, and packets of them.

Pure. Only the types ``i f s`` are used (``h`` where an int32 is too small), because every client has them; switches are 1
and 0, what is absent is an empty string.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pythonosc.osc_message_builder import OscMessageBuilder

from acestep.api.errors import AceError
from bridge.core.interface import Event, EventKind
from bridge.doors.method import Method
from bridge.doors.methods import ADDRESSES

Outgoing = tuple[str, list[Any]]
"""An address and its arguments."""

FILES = frozenset({"/ace/result", "/ace/preview"})
"""Addresses whose fifth argument is a path."""


def encode(address: str, arguments: list[Any], most: int | None = None) -> bytes:
    """A packet of at most ``most`` bytes: if need be the longest text is shortened until it fits."""
    arguments = [_argument(value) for value in arguments]
    packet = _build(address, arguments)
    while most is not None and len(packet) > most:
        longest = max(range(len(arguments)), key=lambda i: len(arguments[i]) if isinstance(arguments[i], str) else 0)
        arguments[longest] = _shorten(arguments[longest], len(packet) - most)
        packet = _build(address, arguments)
    return packet


def _shorten(text: str, excess: int) -> str:
    kept = text.encode("utf-8")[: -(excess + len("…".encode()))].decode("utf-8", "ignore")
    return kept + "…" if kept else ""


def _build(address: str, arguments: list[Any]) -> bytes:
    builder = OscMessageBuilder(address=address)
    for value in arguments:
        builder.add_arg(value, _tag(value))
    return builder.build().dgram


def _tag(value: Any) -> str:
    if isinstance(value, int):
        return "i" if -(2**31) <= value < 2**31 else "h"
    return "f" if isinstance(value, float) else "s"


def _argument(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if value is None:
        return ""
    if isinstance(value, float):
        return max(-3.4e38, min(3.4e38, value))
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    text = ",".join(str(item) for item in value) if isinstance(value, (list, tuple, frozenset)) else str(value)
    return text.replace("\0", " ")


def accepted(job: str, seq: int, position: int, notes: tuple[str, ...] | list[str] = ()) -> Outgoing:
    """``/ace/accepted id seq position [note ...]``."""
    return "/ace/accepted", [job, seq, position, *notes]


def rejected(job: str, error: AceError) -> Outgoing:
    """``/ace/rejected id code field message``."""
    return "/ace/rejected", [job, error.code, error.field, error.message]


def refused(address: str, error: AceError) -> Outgoing:
    """``/ace/error address code field message``, for what is not a submit."""
    return "/ace/error", [address, error.code, error.field, error.message]


def event(happened: Event) -> Outgoing:
    """The message that tells of an event."""
    data = happened.data
    head = [happened.job, happened.seq]
    if happened.kind is EventKind.ACCEPTED:
        return accepted(happened.job, happened.seq, data.get("position", 0))
    if happened.kind is EventKind.PROGRESS:
        step = [data.get("step", 0), data.get("steps", 0)]
        eta = data.get("eta")
        times = [float(data.get("fraction", 0.0)), -1.0 if eta is None else float(eta)]
        return "/ace/progress", [*head, data.get("stage", ""), *step, *times]
    if happened.kind in (EventKind.RESULT, EventKind.PREVIEW):
        return f"/ace/{happened.kind}", [*head, *_file(data, data.get("index", 0))]
    if happened.kind is EventKind.DONE:
        notes = list(data.get("notes", []))
        return "/ace/done", [*head, float(data.get("seconds", 0.0)), _count(data.get("files", 0)), *notes]
    if happened.kind is EventKind.FAILED:
        return failed(happened.job, happened.seq, data.get("error") or {})
    if happened.kind is EventKind.SUSPENDED:
        return "/ace/suspended", [*head, data.get("reason", ""), float(data.get("fraction", 0.0))]
    return f"/ace/{happened.kind}", [*head, data.get("reason", "")]


def failed(job: str, seq: int, error: dict[str, Any]) -> Outgoing:
    """``/ace/failed id seq code message field``."""
    return "/ace/failed", [job, seq, error.get("code", ""), error.get("message", ""), error.get("field")]


def _file(file: dict[str, Any], index: int) -> list[Any]:
    place = [file.get("start", 0), file.get("length", 0)]
    more = [file.get("rate", 0), file.get("channels", 0), file.get("variant", 0), file.get("track", "")]
    more.append(int(bool(file.get("preview"))))
    return [index, file.get("role", ""), file.get("path", ""), *place, *more]


def _count(files: Any) -> int:
    return files if isinstance(files, int) else len(files)


def result(job: dict[str, Any]) -> Iterator[Outgoing]:
    """A job's files and its last word again, as its events told them; of a job that has not ended, where it stands."""
    done = job.get("result") or {}
    for index, file in enumerate(done.get("files", [])):
        yield "/ace/result", [job["id"], job["seq"], *_file(file, index)]
    if job["state"] == EventKind.DONE:
        files = len(done.get("files", []))
        yield "/ace/done", [job["id"], job["seq"], float(done.get("seconds", 0.0)), files, *done.get("notes", [])]
    elif job["state"] == EventKind.FAILED:
        yield failed(job["id"], job["seq"], job.get("error") or {})
    elif job["state"] in (EventKind.CANCELLED, EventKind.INTERRUPTED):
        yield f"/ace/{job['state']}", [job["id"], job["seq"], (job.get("error") or {}).get("message", "")]
    else:
        yield "/ace/job/status", _row(job, ADDRESSES["/ace/job/status"].columns)


def answer(method: Method, data: Any) -> Iterator[Outgoing]:
    """The answer of a method on its own address; None is no answer at all.

    One row of columns is one message; a list is one message a row, each with its index and the number of rows before it; a map
    without columns is one such message for each key, nested keys joined by dots. A result is told as its events told it.
    """
    if method.name == "job.result":
        yield from result(data)
    elif isinstance(data, list):
        yield from _numbered(method.reply, [_row(row, method.columns) for row in data])
    elif method.columns:
        yield method.reply, _row(data, method.columns)
    elif method.name == "describe":
        yield from _numbered(method.reply, _described(data))
    elif data:
        yield from _numbered(method.reply, [[key, value] for key, value in _flat(data)])
    elif data is not None:
        yield method.reply, ["ok"]


def _numbered(address: str, rows: list[list[Any]]) -> Iterator[Outgoing]:
    if not rows:
        yield address, [0, 0]
    for index, row in enumerate(rows):
        yield address, [index, len(rows), *row]


def _row(data: dict[str, Any], columns: tuple[str, ...]) -> list[Any]:
    progress = data.get("progress") or {}
    return [float(progress.get("fraction", 0.0)) if name == "fraction" else data.get(name) for name in columns]


def _flat(data: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
            yield from _flat({str(index): item for index, item in enumerate(value)}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", "" if value == {} else value


def _described(data: dict[str, Any]) -> list[list[Any]]:
    """Operations as ``name summary``; of a single one its fields as ``name type unit default min max choices summary``."""
    operations = data["operations"]
    if "methods" in data or len(operations) != 1:
        return [[operation["name"], operation.get("summary", "")] for operation in operations]
    keys = ("name", "type", "unit", "default", "min", "max", "choices")
    return [
        [*map(field.get, keys), " ".join(filter(None, (field.get("summary"), field.get("hint"))))]
        for field in operations[0].get("fields", [])
    ]
