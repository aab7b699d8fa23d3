"""Methods that look at the daemon and its machine: the end of the log, and the doctor."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from acestep.api.errors import Busy
from acestep.api.rights import Right
from acestep.api.schema import Request, param
from bridge.core.limited import in_thread
from bridge.doors.method import Nothing, method
from bridge.doors.method_context import MethodContext
from bridge.logs import FILE

TAIL_BYTES = 256 * 1024
"""How far back from its end the log is read."""

_examining = asyncio.Lock()


class LogTail(Request):
    """How much of the log."""

    lines: Annotated[int, param("How many lines at most.", unit="count", ge=1, le=1000, example=100)] = 100


@method("log.tail", right=Right.OWNER, answer="`lines`, oldest first: time, level, logger, message, job.")
async def log_tail(context: MethodContext, request: LogTail) -> dict[str, Any]:
    """The last lines of the daemon's log."""
    home = context.core.status().get("home")
    return {"lines": await in_thread(_tail, Path(home) / "logs" / FILE, request.lines) if home else []}


def _tail(path: Path, lines: int) -> list[dict[str, Any]]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines()[-lines:]:
        try:
            row = json.loads(line)
        except ValueError:  # the first one may be cut in two
            continue
        if isinstance(row, dict):
            row.pop("error", None)
            found.append(row)
    return found


@method(
    "doctor", right=Right.OWNER, fast=False, answer="`findings`: level, subject, text and what to do.", command="doctor"
)
async def doctor(context: MethodContext, request: Nothing) -> dict[str, Any]:
    """Look at this machine and say what is fine and what to do about the rest; takes some seconds."""
    from bridge.doctor import examine  # seldom asked, so no start imports it

    if _examining.locked():
        raise Busy("the doctor is already running; ask again when it has finished")
    async with _examining:
        findings = await in_thread(examine, str(context.core.status().get("home", "")))
    return {"findings": msgspec.to_builtins(findings)}
