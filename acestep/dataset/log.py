"""Logs of datasets and trainings: a file with one line of JSON per event. No torch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from acestep.api.errors import AceError, Suspended

log = logging.getLogger(__name__)


def add_line(path: Path, event: str, **facts: Any) -> None:
    """Add an event to a log. A log that cannot be written stops nothing."""
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **facts})
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError:
        log.warning("%s cannot be written", path)


@contextmanager
def telling_of_a_break(tell: Callable[[str], None]) -> Iterator[None]:
    """Tell why what runs inside broke off, unless it only made room for another job."""
    try:
        yield
    except Suspended:
        raise
    except AceError as failure:
        tell(failure.message)
        raise
    except Exception as failure:
        tell(f"an internal error ({type(failure).__name__})")
        raise
