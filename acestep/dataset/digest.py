"""Fingerprints of sounds and datasets, by content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from acestep.api.errors import NotFound
from acestep.dataset.sample import Dataset

BLOCK = 2**20


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes. Raises `NotFound`."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as failure:
        raise NotFound(f"{path} cannot be read: {failure.strerror}", field="audio_path") from None
    return digest.hexdigest()


def content_key(facts: Mapping[str, object]) -> str:
    """A name for what follows from these facts alone."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


def dataset_digest(dataset: Dataset, prompts: Mapping[str, str], sounds: Mapping[str, str]) -> str:
    """What a training learned from: texts and sounds by sample id, whatever the files are called."""
    rows = sorted([prompts[sample.id], sounds[sample.id]] for sample in dataset.samples if sample.id in sounds)
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:32]
