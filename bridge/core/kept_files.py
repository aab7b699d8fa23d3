"""What the user keeps by name, presets and sounds: small JSON files in the plug-in folder, offered as soon as they are saved."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from acestep.api.errors import BadRequest, NameClash, OutputUnwritable
from acestep.api.registry import NAME, Registry


class KeptFiles:
    """The kept files of one kind, which people call ``word``. ``changed`` is called when there are others than before."""

    word = ""
    most = 0
    """Bytes of a file."""

    def __init__(self, registry: Registry, folder: Path, changed: Callable[[], None]) -> None:
        self._registry = registry
        self._folder = folder
        self._changed = changed

    def _check_name(self, name: str) -> None:
        """Raises `BadRequest` for a name that is none."""
        if not NAME.fullmatch(name):
            raise BadRequest(
                f"the name of a {self.word} has up to 40 lower case letters, digits, - and _, and begins with a letter",
                field="name",
                limits={"max_length": 40},
            )

    def _refuse_clash(self, name: str) -> None:
        """Raises `NameClash` for a name that is taken, where nobody asked for a replacement."""
        raise NameClash(
            f"there is a {self.word} {name!r} already; ask for replace to put this one in its place", field="name"
        )

    async def _write(self, path: Path, value: msgspec.Struct, field: str) -> None:
        """Write a file as people can read it. Raises `BadRequest` about ``field`` for one that is too long, `OutputUnwritable`."""
        data = msgspec.json.format(msgspec.json.encode(value), indent=2)
        if len(data) > self.most:
            raise BadRequest(f"the {self.word} is too large", field=field, limits={"max": self.most})
        await asyncio.to_thread(write_atomically, path, data)

    async def _remove(self, path: Path) -> None:
        """Remove a file. Raises `OutputUnwritable`."""
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as failure:
            raise OutputUnwritable(f"{path.name} cannot be removed: {failure.strerror}", field="name") from None


def write_atomically(path: Path, data: bytes) -> None:
    """The whole file or nothing of it, on the disk when this returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as failure:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise OutputUnwritable(f"{path.parent} cannot be written: {failure.strerror}", field="name") from None
