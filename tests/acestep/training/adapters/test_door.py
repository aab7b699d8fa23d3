"""What the door checks of trainings, and what a training's log tells, without a daemon."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from acestep.api.errors import ModelUnsuited
from acestep.api.registry import Registry
from acestep.api.schema import convert
from acestep.api.training import TrainOptions
from acestep.api.variants import ModelInfo
from acestep.dataset.sample import Dataset
from acestep.dataset.store import Datasets
from acestep.families.ace_step_v1 import tiny as ace_step_v1
from acestep.families.ace_step_v1.family import AceStepV1
from acestep.families.musicgen import tiny as musicgen
from acestep.families.musicgen.family import MusicGen
from acestep.training.adapters.door import (
    LOG,
    Story,
    check_merge,
    check_prepare,
    check_train,
    require_trainable,
    train_options,
)


def test_a_request_without_settings_has_the_defaults() -> None:
    """One table: what `train` takes is what a training has."""
    schema = Registry.load().operation("train").schema
    options = train_options(convert({"dataset": "x"}, schema))
    assert options == TrainOptions()
    given = train_options(convert({"dataset": "x", "kind": "lokr", "rank": 8, "epochs": 3}, schema), device="cpu")
    assert (given.shape.kind, given.shape.rank, given.epochs, given.device) == ("lokr", 8, 3, "cpu")


@pytest.mark.parametrize(
    ("build", "family"), [(ace_step_v1.build_tiny, AceStepV1), (musicgen.build_tiny, MusicGen)], ids=["v1", "musicgen"]
)
def test_another_family_cannot_be_trained(tiny_info: ModelInfo, tmp_path: Path, build: Any, family: Any) -> None:
    """At the door of every operation, before anything is read: named, with the family that can be."""
    require_trainable(tiny_info)
    other = family().read_info(build(tmp_path / "models"), [])
    host = SimpleNamespace(home=tmp_path, model=lambda name: other, require_adapters=lambda *given: None)
    Datasets(tmp_path).save("x", Dataset(name="x"))
    request = SimpleNamespace(dataset="x", tensors="", model=other.name, name="new", lora=["y"])
    named = f"{other.name} ({other.family_title}) cannot be trained here. One family can be: ACE-Step 1.5"
    for check in (check_prepare, check_train, check_merge):
        with pytest.raises(ModelUnsuited) as raised:
            check(request, host)
        assert raised.value.field == "model" and raised.value.message.startswith(named), raised.value.message


def test_a_log_with_a_crash_in_it(tmp_path: Path) -> None:
    """Steps that were repeated count once, a half-written last line does not count, a new beginning forgets the old one."""
    lines = [
        {"event": "begins", "steps": 4, "model": "old"},
        {"event": "step", "step": 1, "loss": 9.0},
        {"event": "begins", "steps": 4, "model": "tiny", "songs": 2, "settings": {"epochs": 2}},
        {"event": "step", "step": 1, "loss": 3.0},
        {"event": "step", "step": 2, "loss": 2.0},
        {"event": "epoch", "epoch": 1, "step": 2, "loss": 2.5},
        {"event": "step", "step": 3, "loss": 7.0},
        {"event": "continues", "step": 2},
        {"event": "step", "step": 3, "loss": 1.5},
        {"event": "sample", "job": "x.e1.1", "epoch": 1},
        {"event": "note", "text": "memory was short"},
    ]
    (tmp_path / LOG).write_text("\n".join(map(json.dumps, lines)) + '\n{"event": "ste')
    (tmp_path / "checkpoints" / "epoch_1").mkdir(parents=True)
    whole = Story(tmp_path).whole(10)
    assert whole["losses"] == [[1, 3.0], [2, 2.0], [3, 1.5]] and whole["history"] == [
        {"epoch": 1, "step": 2, "loss": 2.5}
    ]
    assert (whole["model"], whole["finished"], whole["step"], whole["steps"]) == ("tiny", False, 3, 4)
    assert whole["kept"] == [f"{tmp_path.name}@1"] and whole["notes"] == ["memory was short"]
    assert [row["job"] for row in whole["samples"]] == ["x.e1.1"]
    assert len(Story(tmp_path).whole(2)["losses"]) == 2
