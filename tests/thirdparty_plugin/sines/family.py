"""What the daemon is told of the family. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from acestep.api import LatentGrid, ModelFamily, ModelInfo, Request, Variant, describe, param
from acestep.api.errors import BadCheckpoint

FILE = "sines.json"
OPERATIONS = ("generate", "repaint")
REFUSES = ("lyrics", "lora", "guide", "reference", "thinking")


class SineOptions(Request):
    """Parameters of this family alone."""

    octave: Annotated[int, param("Octaves above the model's pitch.", ge=0, le=3)] = 0


class Sines(ModelFamily):
    """Folders with a ``sines.json``."""

    name = "sines"
    title = "Sines"
    Options = SineOptions
    refuses = REFUSES

    def recognise(self, path):
        """By the file's name."""
        return (path / FILE).is_file()

    def read_info(self, path, near):
        """The pitch must be one."""
        try:
            pitch = float(json.loads((path / FILE).read_text())["pitch"])
        except (ValueError, KeyError, TypeError):
            raise BadCheckpoint(f"{path.name} names no pitch", field="model") from None
        return ModelInfo(
            name=path.name,
            path=str(path),
            variant="sines",
            task_types=("text2music", "repaint"),
            latent_family="sines",
            license="CC0-1.0",
            family=self.name,
            family_title=self.title,
            grid=LatentGrid(rate=32_000, hop=320, channels=2, least=1, multiple=1),
            seconds=(0.1, 60.0),
            operations=OPERATIONS,
            refuses=REFUSES,
            options=tuple(describe(SineOptions)),
            weight_files=(str(path / FILE),),
            usual=Variant(
                name="sines", steps=2, shift=1.0, tasks=("text2music", "repaint"), sings=False, guide_bottleneck=False
            ),
            origin=f"{pitch:g} Hz",
        )

    def files(self, info):
        """One."""
        return list(map(Path, info.weight_files))

    def numbers(self, info):
        """Nothing worth counting."""
        return {}

    def able(self, operation):
        """Nothing of it is published."""
        return []
