"""The planner and the memory of its device: a lack of it is one error, and what listens to audio is there when it does."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from acestep.api.errors import OutOfMemory
from acestep.api.registry import Registry
from acestep.engine import Engine
from acestep.planner.model import TransformersPlanner
from acestep.worker.backend import JobContext


def cpu_full(*arguments):
    """What a CPU without room does: a real allocation, larger than any address space."""
    torch.empty(2**50)


def mac_full(*arguments):
    """What a Mac without room says."""
    raise RuntimeError(
        "MPS backend out of memory (MPS allocated: 9.07 GB, max allowed: 9.07 GB). Tried to allocate 1 GB."
    )


def card_full(*arguments):
    """What CUDA raises."""
    raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("full", [cpu_full, mac_full, card_full])
def test_a_language_model_without_room_is_one_error(backend: TransformersPlanner, monkeypatch, full):
    """While it writes, and while it is brought to its device."""
    with pytest.raises(OutOfMemory, match="fewer variants"):
        backend._run(full)
    monkeypatch.setattr(backend._model, "to", full)
    with pytest.raises(OutOfMemory, match="does not fit into cpu"):
        _ = backend.decoder


def test_other_failures_of_the_language_model_are_told_as_they_are(backend: TransformersPlanner, monkeypatch):
    """They are no lack of memory."""

    def broken(*arguments):
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes"):
        backend._run(broken)
    monkeypatch.setattr(backend._model, "to", broken)
    with pytest.raises(RuntimeError, match="sizes"):
        _ = backend.decoder


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """A worker's engine on the tiny checkpoint."""
    settings = {"home": tmp_path, "library": tmp_path / "library", "uploads": tmp_path / "uploads", "model": "tiny"}
    return Engine({**settings, "device": "cpu", "dtype": "float32", "threads": 1})


def test_listening_brings_what_it_needs_to_the_device(engine: Engine, tmp_path: Path, monkeypatch):
    """A model whose networks wait in ordinary memory cannot be used where it lies: each operation says what it works with."""
    song, other = tmp_path / "song.wav", tmp_path / "other.wav"
    for seed, path in enumerate((song, other)):
        soundfile.write(path, np.random.default_rng(seed).uniform(-0.3, 0.3, (2 * 44_100, 2)), 44_100)
    work, original = [], engine.models.placement.on_device

    @contextmanager
    def on_device(model, kind):
        work.append(kind)
        with original(model, kind):
            yield

    monkeypatch.setattr(engine.models.placement, "on_device", on_device)
    registry = Registry.load()

    def run(operation: str, **params):
        work.clear()
        context = JobContext("job", tmp_path, registry, lambda *tick: None, backend=engine)
        return engine.run(operation, params, context), list(work)

    result, needed = run("codes", source=str(song))
    assert needed == ["codec", "words"]
    assert run("codes", audio_codes=result.data["audio_codes"])[1] == ["words", "codec"]
    assert run("lyrics-timing", source=str(other), lyrics="Oh my")[1] == ["codec", "listen"]
    assert run("lyrics-timing", source=str(song), lyrics="Oh my")[1] == ["listen"], (
        "what was heard once is not encoded again"
    )
