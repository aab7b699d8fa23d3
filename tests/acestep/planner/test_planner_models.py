"""Which language model is found, taken and refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from acestep.api.errors import BadCheckpoint, ModelMissing, OutOfMemory
from acestep.planner.model import load_model
from acestep.planner.planner_models import (
    PlannerInfo,
    choose_planner,
    find_planners,
    longest_plan,
    named_planner,
    planner_folders,
    planner_problems,
)
from acestep.planner.tokenizer import load_tokenizer

GiB = 2**30


def info(name: str, gigabytes: float) -> PlannerInfo:
    """A planner of that many GB of two-byte weights."""
    return PlannerInfo(name=name, path=f"/{name}", size_bytes=int(gigabytes * 1e9), cache_bytes=112 * 1024)


ALL = [info("0.6B", 1.3), info("1.7B", 3.8), info("4B", 8.2)]


@pytest.mark.parametrize(
    ("gigabytes", "number_bytes", "taken"),
    [(6, 2, "0.6B"), (12, 2, "1.7B"), (24, 2, "4B"), (80, 2, "4B"), (24, 4, "1.7B"), (48, 4, "4B")],
)
def test_the_memory_tier_decides_the_size(gigabytes: int, number_bytes: int, taken: str) -> None:
    """Each tier has its recommended size; four-byte numbers need twice the memory."""
    assert choose_planner("auto", ALL, gigabytes * GiB, number_bytes).name == taken


def test_a_smaller_one_is_taken_where_the_recommended_one_is_not_there() -> None:
    """What is on the disk and fits beats what would be ideal; a fine-tune of any name is taken when nothing else is there."""
    assert choose_planner("auto", ALL[:1], 24 * GiB, 2).name == "0.6B"
    assert choose_planner("auto", [info("mine", 1.3)], 24 * GiB, 2).name == "mine"


def test_too_little_memory_is_told_with_numbers() -> None:
    """Neither auto nor a named size loads what does not fit; the error says what it needs and that generation works without."""
    for wanted, memory in (("auto", 4), ("4B", 6)):
        with pytest.raises(OutOfMemory) as caught:
            choose_planner(wanted, ALL, memory * GiB, 2)
        assert caught.value.limits["memory_bytes"] == memory * GiB
        assert "without" in caught.value.message and caught.value.field == "model"


def test_no_planner_at_all_is_told_with_a_way_out() -> None:
    """The error names the command that fetches the smallest, and that generating works without."""
    with pytest.raises(ModelMissing) as caught:
        choose_planner("auto", [], 24 * GiB, 2)
    assert "models download lm-0.6B" in caught.value.message and "without" in caught.value.message
    with pytest.raises(ModelMissing):
        choose_planner("4B", ALL[:1], 24 * GiB, 2)


def test_random_weights_are_never_taken_by_themselves(tiny_folder: Path) -> None:
    """The tiny model is found under its name, marked untrained, and auto passes over it."""
    found = find_planners([tiny_folder.parent])
    assert [(planner.name, planner.trained) for planner in found] == [("tiny", False)]
    with pytest.raises(ModelMissing):
        choose_planner("auto", found, 24 * GiB, 2)
    assert choose_planner("tiny", found, 24 * GiB, 2).name == "tiny"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize("data", [b"[" * 100_000, b"[1]", b"\xff"])
def test_a_damaged_folder_hides_no_other(tiny_folder: Path, tmp_path: Path, name: str, data: bytes) -> None:
    """Whatever stands in its files: it is not a language model, and the others are still found."""
    for folder in ("broken", "whole"):
        shutil.copytree(tiny_folder, tmp_path / folder)
    if name.startswith("model."):  # a list of shards counts where there is no single file
        (tmp_path / "broken" / "model.safetensors").unlink()
    (tmp_path / "broken" / name).write_bytes(data)
    assert [planner.name for planner in find_planners([tmp_path])] == ["whole"]


@pytest.mark.parametrize("text", ["acestep-5Hz-lm-1.7B", "/models/acestep-5Hz-lm-1.7B", " 1.7B "])
def test_auto_means_the_model_that_ace_steps_own_variable_names(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By folder or by path; a request that names one itself is not overruled, and an empty variable says nothing."""
    monkeypatch.setenv("ACESTEP_LM_MODEL_PATH", text)
    assert choose_planner(named_planner("auto"), ALL, 24 * GiB, 2).name == "1.7B"
    assert named_planner("0.6B") == "0.6B"
    monkeypatch.setenv("ACESTEP_LM_MODEL_PATH", "")
    assert named_planner("auto") == "auto"


def test_published_folders_are_recognised_and_half_ones_are_not(tmp_path: Path, tiny_folder: Path) -> None:
    """The published folder name tells the size; a folder without weights, tokenizer or shards is not a model."""
    bundle = tmp_path / "bundle"
    config = json.loads((tiny_folder / "config.json").read_text())
    config.pop("model_version")
    for name in ("acestep-5Hz-lm-1.7B", "acestep-5Hz-lm-4B", "acestep-5Hz-lm-0.6B", "Qwen3-Embedding-0.6B"):
        folder = bundle / name
        folder.mkdir(parents=True)
        changed = config if "5Hz" in name else {**config, "vocab_size": 151_669}
        (folder / "config.json").write_text(json.dumps(changed))
        (folder / "tokenizer.json").write_text("{}")
        (folder / "chat_template.jinja").write_text("x")
        (folder / "model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    (bundle / "acestep-5Hz-lm-4B" / "model.safetensors").unlink()
    (bundle / "acestep-5Hz-lm-4B" / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "model-1.safetensors"}}'
    )
    (bundle / "acestep-5Hz-lm-0.6B" / "tokenizer.json").unlink()
    assert [planner.name for planner in find_planners([tmp_path])] == ["1.7B"]


def test_a_folder_without_its_chat_template_is_told_with_the_way_to_mend_it(tmp_path: Path, tiny_folder: Path) -> None:
    """The published template is a file of its own: without it nothing can be planned, and one command brings it."""
    folder = shutil.copytree(tiny_folder, tmp_path / "acestep-5Hz-lm-0.6B")
    assert planner_problems([tmp_path]) == {} and [one.name for one in find_planners([tmp_path])] == ["0.6B"]
    (folder / "chat_template.jinja").unlink()
    assert find_planners([tmp_path]) == []
    sentence = planner_problems([tmp_path])[str(folder)]
    assert "chat_template.jinja" in sentence and "models download lm-0.6B" in sentence
    with pytest.raises(BadCheckpoint, match=r"models download lm-0\.6B"):
        load_tokenizer(folder)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": "{{ messages }}"}))
    assert load_tokenizer(folder).chat_template == "{{ messages }}", "older folders have it in the config"


def test_folders_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given folders, the home's, then those of ACE-Step's own variables; each once, only if it is there."""
    for name in ("own/checkpoints", "extra", "theirs"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("ACESTEP_CHECKPOINTS_DIR", str(tmp_path / "theirs"))
    monkeypatch.delenv("ACESTEP_PROJECT_ROOT", raising=False)
    assert planner_folders(tmp_path / "own", [tmp_path / "extra", tmp_path / "missing"]) == [
        tmp_path / "extra",
        tmp_path / "own" / "checkpoints",
        tmp_path / "theirs",
    ]


@pytest.mark.parametrize(("gigabytes", "seconds"), [(2, 240), (8, 480), (24, 600)])
def test_the_memory_tier_limits_the_length_of_plans(gigabytes: int, seconds: int) -> None:
    """Small machines plan shorter pieces."""
    assert longest_plan(gigabytes * GiB) == seconds


def test_damaged_folders_are_refused(tmp_path: Path) -> None:
    """A folder without readable weights or tokenizer is one clear error."""
    for load in (load_tokenizer, lambda folder: load_model(folder, __import__("torch").float32)):
        with pytest.raises(BadCheckpoint):
            load(tmp_path)
