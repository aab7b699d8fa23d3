"""Room on a disk: seen to before anything is written, with the figures, and known again in an error that comes all the same."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from acestep.api.errors import AceError, DiskFull, OutputUnwritable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a disk without room, of a user's share without room, and of a file that may not grow."""


def free_space(place: Path) -> int:
    """Bytes that are free where a file or folder is to be; it need not exist yet."""
    standing = next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
    return shutil.disk_usage(standing).free


def require_space(
    what: str, need: int, place: Path, field: str | None = None, *, spare: int = 0, hint: str = ""
) -> None:
    """See that a place has room for ``need`` bytes and leaves ``spare`` free. Raises `DiskFull`: ``what`` is a clause ("the export
    takes"), ``hint`` follows the figures.
    """
    free = free_space(place)
    if need + spare > free:
        raise DiskFull(
            f"{what} {space(need)} and {space(free)} are free in {place}{hint}",
            field=field,
            limits={"need_bytes": need, "free_bytes": free},
        )


def unwritable(place: Path, failure: OSError, field: str | None = None) -> AceError:
    """What the system's error at writing somewhere means: no room, or no way to write there."""
    if failure.errno in FULL:
        return DiskFull(f"no space left in {place}", field=field)
    return OutputUnwritable(f"{place} cannot be written: {failure.strerror or failure}", field=field)


def space(count: int) -> str:
    """Bytes in words: ``1.2 GB``, ``35 MB``."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
