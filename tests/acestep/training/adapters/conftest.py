"""What adapter tests share: the tiny checkpoint, a few songs, and both prepared, once a session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from acestep.api.variants import ModelInfo
from acestep.checkpoints.info import read_info
from acestep.checkpoints.tiny import build_tiny
from acestep.dataset.edit import edit_dataset, edit_sample
from acestep.dataset.sample import Dataset
from acestep.dataset.scan import scan
from acestep.training.adapters.prepare import PrepareOptions, prepare
from acestep.training.adapters.store import PreparedFolder

RATE = 24_000


def write_songs(folder: Path, lengths: tuple[float, ...]) -> Path:
    """Songs of these lengths in seconds, each a tone of its own in noise of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, seconds in enumerate(lengths):
        time = np.arange(int(seconds * RATE)) / RATE
        noise = np.random.default_rng(index).standard_normal(len(time))
        tone = 0.3 * np.sin(2 * np.pi * 110 * (index + 2) * time) + 0.02 * noise
        soundfile.write(folder / f"song {chr(97 + index)}.wav", tone, RATE)
    return folder


def labelled(folder: Path) -> Dataset:
    """The songs of a folder with captions and a trigger."""
    dataset = edit_dataset(scan([folder]).dataset, {"custom_tag": "zap"})
    for index, sample in enumerate(dataset.samples):
        dataset = edit_sample(dataset, sample.id, {"caption": f"tone number {index}", "bpm": 90 + index})
    return dataset


@pytest.fixture(scope="session")
def tiny_info(tmp_path_factory: pytest.TempPathFactory) -> ModelInfo:
    """The tiny checkpoint: every network of a real one, random weights."""
    return read_info(build_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Five labelled songs of 1.2 to 3 s, odd numbers of frames among them."""
    return labelled(write_songs(tmp_path_factory.mktemp("songs"), (3.0, 1.2, 2.2, 1.24, 2.0)))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, dataset: Dataset, tiny_info: ModelInfo) -> PreparedFolder:
    """The songs prepared for the tiny checkpoint; one of them validates."""
    listening = edit_sample(dataset, dataset.samples[4].id, {"split": "validation"})
    return prepare(listening, tiny_info, tmp_path_factory.mktemp("prepared"), PrepareOptions(device="cpu"))
