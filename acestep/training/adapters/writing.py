"""Files that appear whole or not at all; a full disk leaves the old ones and is told as what it is."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from acestep.api.errors import AceError, DiskFull, OutputUnwritable
from acestep.training.errors import CheckpointUnwritable
from acestep.training.run import save_atomically

FULL = (errno.ENOSPC, errno.EDQUOT)
FULL_WORDS = ("no space left", "disk quota exceeded", "unexpected pos", "enforce fail", "failed writing")
"""How torch and safetensors word a full disk: with a text of their own in place of the system's number."""


def save_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file beside ``path``, sync it and put it there. Raises `DiskFull`, `OutputUnwritable`."""
    try:
        save_atomically(path, write)
    except CheckpointUnwritable as failure:
        raise _translated(path, failure.__cause__) from failure


def _translated(path: Path, cause: BaseException | None) -> AceError:
    words = str(cause).lower()
    if (isinstance(cause, OSError) and cause.errno in FULL) or any(text in words for text in FULL_WORDS):
        return DiskFull(f"the disk is full; {path} is as it was before", field="out")
    reason = getattr(cause, "strerror", None) or "the system refuses"
    return OutputUnwritable(f"{path} cannot be written: {reason}", field="out")
