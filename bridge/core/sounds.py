"""The user's named sounds: kept as files in the plug-in folder, and known to every operation from the moment they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from acestep.admission.names import check_names
from acestep.admission.parse import parse
from acestep.api.operation import RENDER
from acestep.api.sound import MAX_BYTES, SHARED, SUFFIX, Sound, check_sound
from bridge.core.kept_files import KeptFiles


class Sounds(KeptFiles):
    """Sounds of one daemon."""

    word = "sound"
    most = MAX_BYTES

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
        await self._write(self._path(sound.name), sound, "values")
        self._registry.sounds[sound.name] = sound
        self._changed()
        return _row(sound)

    def _check(self, sound: Sound, replace: bool) -> None:
        self._check_name(sound.name)
        check_sound(sound)
        shared = {name: value for name, value in sound.values.items() if name in SHARED}
        rest = {name: value for name, value in sound.values.items() if name not in SHARED}
        any_stage = next(iter(self._registry.stages.values())).name
        chain = {"stages": [{"type": any_stage, **rest}], "conditioning": shared}
        check_names(self._registry, parse(self._registry, self._registry.operation(RENDER), chain))
        if sound.name in self._registry.sounds and not replace:
            self._refuse_clash(sound.name)

    async def delete(self, name: str) -> None:
        """Forget a sound. Raises `UnknownName`, `OutputUnwritable`."""
        self.find(name)
        await self._remove(self._path(name))
        del self._registry.sounds[name]
        self._changed()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"


def _row(sound: Sound) -> dict[str, Any]:
    return {"name": sound.name, "title": sound.title or sound.name, "values": sorted(sound.values)}
