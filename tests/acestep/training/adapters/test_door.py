"""What the door checks of trainings, and what a training's log tells, without a daemon."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from acestep.api.errors import ModelUnsuited
from acestep.api.registry import Registry
from acestep.api.schema import convert
from acestep.api.training import TrainOptions
from acestep.api.variants import ModelInfo
from acestep.training.adapters.door import LOG, Story, require_trainable, train_options


def test_a_request_without_settings_has_the_defaults() -> None:
    """One table: what `train` takes is what a training has."""
    schema = Registry.load().operation("train").schema
    options = train_options(convert({"dataset": "x"}, schema))
    assert options == TrainOptions()
    given = train_options(convert({"dataset": "x", "kind": "lokr", "rank": 8, "epochs": 3}, schema), device="cpu")
    assert (given.shape.kind, given.shape.rank, given.epochs, given.device) == ("lokr", 8, 3, "cpu")


def test_another_family_cannot_be_trained(tiny_info: ModelInfo) -> None:
    require_trainable(tiny_info)
    other = msgspec.structs.replace(tiny_info, name="old", family_title="Another", operations=("generate",))
    with pytest.raises(ModelUnsuited, match=r"old \(Another\) cannot be trained here"):
        require_trainable(other)


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
