"""Where the sound of a dataset's sample lies, for who wants to hear it. No torch."""

from __future__ import annotations

from pathlib import Path

from acestep.dataset.edit import find_sample
from acestep.dataset.store import Datasets


def sample_path(home: Path, dataset: str, sample: str) -> Path:
    """The file of a sample, whether or not it is still there. Raises `UnknownName`, `NotFound`, `BadRequest`."""
    return find_sample(Datasets(home).open(dataset).dataset, sample).path
