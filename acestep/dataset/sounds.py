"""Where the sound of a dataset's sample lies, for who wants to hear it. No torch."""

from __future__ import annotations

from pathlib import Path

import msgspec


class SampleSound(msgspec.Struct, frozen=True):
    """A sound file and the part of it that is meant, in samples; a length of 0 reaches to the end."""

    path: Path
    start: int = 0
    length: int = 0

    @property
    def whole(self) -> bool:
        return not self.start and not self.length


def sample_sound(home: Path, dataset: str, sample: str) -> SampleSound:
    """What a sample sounds like, whether or not its file is still there.

    Raises `UnknownName`, `NotFound`, `BadRequest`.
    """
    from acestep.dataset.edit import find_sample  # the page's door imports this module, and few listen to a dataset
    from acestep.dataset.store import Datasets

    found = find_sample(Datasets(home).open(dataset).dataset, sample)
    return SampleSound(found.path, found.own.window.start, found.own.window.length)
