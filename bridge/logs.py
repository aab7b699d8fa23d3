"""Logs with job ids: to standard error for people or programs, and to a rotated file in the home."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import stat
import time
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, cast

from bridge.plain import escaped, plain, plain_lines
from bridge.settings import Settings

FILE = "daemon.log"


class TextFormat(logging.Formatter):
    """``2026-01-31 12:00:00.123 info core.job_tracker [job-1] done``"""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback after it when there is one."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        job = getattr(record, "job", "")
        mark = f" [{job}]" if job else ""
        name = record.name.removeprefix("bridge.")
        line = f"{stamp}.{int(record.msecs):03d} {record.levelname.lower()} {name}{mark} {plain(record.getMessage())}"
        return line if record.exc_info is None else f"{line}\n{plain_lines(self.formatException(record.exc_info))}"


class JsonFormat(logging.Formatter):
    """One JSON object a line: time, level, logger, job, message, error."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        row: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("job", "worker"):
            if hasattr(record, name):
                row[name] = getattr(record, name)
        if record.exc_info is not None:
            row["error"] = self.formatException(record.exc_info)
        return escaped(json.dumps(row, ensure_ascii=False))


def set_up(settings: Settings, folder: Path) -> None:
    """Send the records of the whole process to standard error and to ``folder``/daemon.log, rotated by size.

    A plain file as standard error gets warnings only: nobody rotates it, and the rotated file has everything.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    terminal = logging.StreamHandler()
    terminal.setFormatter(JsonFormat() if settings.log_format == "json" else TextFormat())
    if _is_plain_file(terminal.stream):
        terminal.setLevel(logging.WARNING)
    file = _OwnFile(
        folder / FILE, maxBytes=settings.log_bytes, backupCount=settings.log_files, encoding="utf-8", delay=True
    )
    file.setFormatter(JsonFormat())
    root.setLevel(settings.log_level.upper())
    for handler in (terminal, file):
        root.addHandler(handler)
    logging.raiseExceptions = False  # a full disk must not turn every line into a traceback


class _OwnFile(logging.handlers.RotatingFileHandler):
    """A rotated file that only its owner can read: captions and paths are nobody else's business."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if os.name == "posix":
            os.fchmod(descriptor, 0o600)  # one that an older version left
        return cast(TextIOWrapper, os.fdopen(descriptor, self.mode, encoding=self.encoding))


def _is_plain_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False
