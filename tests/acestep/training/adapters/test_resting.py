"""A training that has stepped aside keeps its networks in memory, until a model needs the room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from acestep.api.errors import OutOfMemory, Unavailable
from acestep.api.training import AdapterShape, TrainOptions
from acestep.api.variants import ModelInfo
from acestep.engine import Engine, model_pool
from acestep.training.adapters import resting
from acestep.training.adapters.store import PreparedFolder

OPTIONS = TrainOptions(shape=AdapterShape(rank=2, alpha=2), device="cpu")


@pytest.fixture
def setup(prepared: PreparedFolder, tiny_info: ModelInfo) -> Any:
    yield resting.open_setup(prepared, tiny_info, OPTIONS)
    resting.forget()


def test_the_same_job_finds_it_again(setup: Any) -> None:
    resting.put("night", setup)
    assert resting.take("night") is setup
    assert resting.take("night") is None


def test_another_training_takes_its_place(setup: Any) -> None:
    resting.put("night", setup)
    assert resting.take("day") is None and not resting.forget()


def test_it_gives_way_to_a_model_that_does_not_fit(
    setup: Any, tiny_info: ModelInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool asks for room once; what rested is gone, and the model opens. Without anything at rest the refusal stands."""
    settings = {"home": tmp_path, "library": tmp_path, "uploads": tmp_path, "device": "cpu", "threads": 1}
    engine = Engine({**settings, "checkpoints": [Path(tiny_info.path).parent], "model": "tiny"})

    def check(*given: Any, **more: Any) -> None:
        if resting._resting or engine.settings.get("full"):
            raise OutOfMemory("it does not fit")

    monkeypatch.setattr(model_pool, "check_room", check)
    resting.put("night", setup)
    assert engine.models.open("", lambda: None).info.variant == "tiny"
    assert not resting.forget()
    engine.unload("")
    engine.settings["full"] = True
    with pytest.raises(OutOfMemory, match="does not fit"):
        engine.models.open("", lambda: None)


def test_a_worker_without_models_says_so() -> None:
    with pytest.raises(Unavailable, match="no models that could be trained"):
        resting.require_engine(object())
