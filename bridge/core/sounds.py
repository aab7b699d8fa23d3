"""The user's named sounds: kept as files in the plug-in folder, and known to every operation from the moment they are saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from acestep.admission.names import check_names
from acestep.admission.parse import parse
from acestep.api.errors import BadRequest, NameClash, OutputUnwritable
from acestep.api.registry import NAME, Registry
from acestep.api.sound import MAX_BYTES, SHARED, SUFFIX, Sound, check_sound
from bridge.core.presets import CHAIN, write_whole


class Sounds:
    """Sounds of one daemon. ``changed`` is called when there are others than before."""

    def __init__(self, registry: Registry, folder: Path, changed: Callable[[], None]) -> None:
        self._registry = registry
        self._folder = folder
        self._changed = changed

    def rows(self) -> list[dict[str, Any]]:
        """Every sound: what it is called, and the names of the fields that it gives."""
        return [_row(sound) for _, sound in sorted(self._registry.sounds.items())]

    def find(self, name: str) -> Sound:
        """A sound by name. Raises `UnknownName` with those there are."""
        return self._registry.sound(name)

    async def save(self, sound: Sound, *, replace: bool = False) -> dict[str, Any]:
        """Keep a sound and offer it at once; one that is there is replaced only where that is asked for.

        Raises `BadRequest`, `UnknownName`, `NameClash`, `OutputUnwritable`; nothing is changed then.
        """
        self._check(sound, replace)
        data = msgspec.json.format(msgspec.json.encode(sound), indent=2)
        if len(data) > MAX_BYTES:
            raise BadRequest("a sound is a page of text, not more", field="values", limits={"max": MAX_BYTES})
        await asyncio.to_thread(write_whole, self._path(sound.name), data)
        self._registry.sounds[sound.name] = sound
        self._changed()
        return _row(sound)

    def _check(self, sound: Sound, replace: bool) -> None:
        if not NAME.fullmatch(sound.name):
            raise BadRequest(
                "the name of a sound has up to 40 lower case letters, digits, - and _, and begins with a letter",
                field="name",
                limits={"max_length": 40},
            )
        check_sound(sound)
        shared = {name: value for name, value in sound.values.items() if name in SHARED}
        rest = {name: value for name, value in sound.values.items() if name not in SHARED}
        any_stage = next(iter(self._registry.stages.values())).name
        chain = {"stages": [{"type": any_stage, **rest}], "conditioning": shared}
        check_names(self._registry, parse(self._registry, self._registry.operation(CHAIN), chain))
        if sound.name in self._registry.sounds and not replace:
            raise NameClash(
                f"there is a sound {sound.name!r} already; ask for replace to put this one in its place", field="name"
            )

    async def delete(self, name: str) -> None:
        """Forget a sound. Raises `UnknownName`, `OutputUnwritable`."""
        self.find(name)
        path = self._path(name)
        try:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        except OSError as failure:
            raise OutputUnwritable(f"{path.name} cannot be removed: {failure.strerror}", field="name") from None
        del self._registry.sounds[name]
        self._changed()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"


def _row(sound: Sound) -> dict[str, Any]:
    return {"name": sound.name, "title": sound.title or sound.name, "values": sorted(sound.values)}
