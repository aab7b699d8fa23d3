"""The user's own presets: kept as files in the plug-in folder, and offered as operations from the moment they are saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from acestep.admission.names import check_names
from acestep.admission.parse import parse
from acestep.api.errors import NameClash, NotAllowed, ReservedName, UnknownName
from acestep.api.operation import RENDER, Operation
from acestep.api.preset import MAX_BYTES, SUFFIX, Preset
from acestep.api.registry import RESERVED
from bridge.core.kept_files import KeptFiles


class Presets(KeptFiles):
    """Presets of one daemon; each is an operation."""

    word = "preset"
    most = MAX_BYTES

    def rows(self) -> list[dict[str, Any]]:
        """Every preset: what it is called, whether it is the user's, whether it works on audio, the types of its stages."""
        return [self._row(operation) for name, operation in sorted(self._operations().items())]

    def _row(self, operation: Operation) -> dict[str, Any]:
        preset = operation.preset
        assert preset is not None
        return {
            "name": operation.name,
            "title": preset.title or operation.name,
            "own": self._path(operation.name).is_file(),
            "source": preset.source,
            "stages": [str(stage.get("type")) for stage in preset.stages],
            "summary": operation.summary,
        }

    def find(self, name: str) -> Preset:
        """A preset by name. Raises `UnknownName` with those there are."""
        operation = self._operations().get(name)
        if operation is None or operation.preset is None:
            choices = sorted(self._operations())
            raise UnknownName(f"there is no preset {name!r}", field="name", limits={"choices": choices})
        return operation.preset

    def _operations(self) -> dict[str, Operation]:
        return {name: found for name, found in self._registry.visible().items() if found.preset is not None}

    def _path(self, name: str) -> Path:
        """The file of a preset of the user's, whatever that file is called; for a new one the file that will be made."""
        offer = f"operations:{name}"
        files = (one.origin for one in self._registry.plugins if one.origin.endswith(SUFFIX) and offer in one.offers)
        return Path(next(files, self._folder / f"{name}{SUFFIX}"))

    async def save(self, preset: Preset, *, replace: bool = False) -> dict[str, Any]:
        """Keep a preset and offer it at once; one of the user's own is replaced only where that is asked for.

        Raises `BadRequest`, `BadPreset`, `NameClash`, `ReservedName`, `OutputUnwritable`; nothing is changed then.
        """
        self._check_free(preset.name, replace)
        check_names(self._registry, parse(self._registry, self._registry.operation(RENDER), _as_request(preset)))
        path = self._path(preset.name)
        await self._write(path, preset, "stages")
        self._registry.drop_preset(preset.name)
        self._registry.add_preset(preset, path)
        self._changed()
        return self._row(self._registry.operation(preset.name))

    def _check_free(self, name: str, replace: bool) -> None:
        self._check_name(name)
        if name in RESERVED:
            raise ReservedName(f"{name!r} is a word of acestep-bridge itself; use another name", field="name")
        taken = self._registry.operations.get(name)
        if taken is None:
            return
        if not self._path(name).is_file():
            raise NameClash(f"{name!r} is an operation already; use another name", field="name")
        if not replace:
            self._refuse_clash(name)

    async def delete(self, name: str) -> None:
        """Forget one of the user's presets. Raises `UnknownName`, and `NotAllowed` for one that came with a program."""
        self.find(name)
        path = self._path(name)
        if not path.is_file():
            raise NotAllowed(f"{name} is built in; you can delete only your own presets", field="name")
        await self._remove(path)
        self._registry.drop_preset(name)
        self._changed()


def _as_request(preset: Preset) -> dict[str, Any]:
    """The chain of a preset as a request, to be checked like any other."""
    return {"stages": preset.stages, "conditioning": preset.conditioning, "output": preset.output}


def text_of(preset: Preset) -> str:
    """A preset as the text of its file, in one line."""
    return msgspec.json.encode(preset).decode()
