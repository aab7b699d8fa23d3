"""Where the sound of a dataset's sample lies, for who wants to hear it. No torch."""

from __future__ import annotations

from pathlib import Path

from acestep.dataset.edit import find_sample
from acestep.dataset.sample import SampleWindow
from acestep.dataset.store import Datasets


def sample_sound(home: Path, dataset: str, sample: str) -> tuple[Path, SampleWindow]:
    """The file of a sample, whether or not it is still there, and the part of it that is meant.

    Raises `UnknownName`, `NotFound`, `BadRequest`.
    """
    found = find_sample(Datasets(home).open(dataset).dataset, sample)
    return found.path, found.own.window
