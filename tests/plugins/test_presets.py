"""Presets: chains as files, each an operation of its own; what is not a chain is refused with a reason."""

from __future__ import annotations

import json

import pytest

from acestep.admission.render import admit_render
from acestep.api import ModelInfo, Registry
from acestep.api.errors import BadPreset, BadRequest
from acestep.api.preset import Preset, check_preset
from acestep.api.source import AudioFacts
from acestep.api.variants import VARIANTS

BUILT_IN = (
    "base-to-turbo-refine",
    "sft-to-turbo-polish",
    "three-stage-quality",
    "cover-and-polish",
    "generate-and-extract-vocals",
    "split-into-stems",
)


class Host:
    """A machine with every published model and one file."""

    def probe(self, source):
        return AudioFacts(rate=48_000, channels=2, frames=48_000 * 20)

    def model(self, name):
        variant = VARIANTS[name or "turbo"]
        return ModelInfo(name=variant.name, path="", variant=variant.name, task_types=variant.tasks)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_presets_can_be_run(registry, name):
    """Each is an operation, its stages fit their schemas, and its models can do what is asked of them."""
    operation = registry.operation(name)
    assert operation.summary and operation.group == "preset"
    params = {"source": "/a.wav"} if operation.preset.source else {"duration": 12.0}
    if not any("model" in stage for stage in operation.preset.stages):
        params["models"] = ["base"]
    admitted = admit_render(registry, name, {**params, "caption": "calm", "seed": 5}, Host())
    assert [stage.type for stage in admitted.render.stages] == [stage["type"] for stage in operation.preset.stages]
    assert admitted.render.conditioning.caption == "calm"
    assert all(stage.params.seed == 5 for stage in admitted.render.stages)


def test_models_of_a_preset_can_be_replaced(registry):
    """Whoever has other models names them in the order of the stages."""
    admitted = admit_render(registry, "base-to-turbo-refine", {"models": ["xl-base", "xl-turbo"]}, Host())
    assert [stage.params.model for stage in admitted.render.stages] == ["xl-base", "xl-turbo"]
    with pytest.raises(BadPreset):
        admit_render(registry, "base-to-turbo-refine", {"models": ["base"] * 3}, Host())


def test_requests_stand_above_the_preset(tmp_path):
    """What the request says holds; what it leaves open comes from the file."""
    write(
        tmp_path,
        stages=[{"type": "generate"}],
        conditioning={"bpm": 90.0, "key": "A minor"},
        output={"format": "flac16"},
    )
    registry = Registry.load(folder=tmp_path)
    render = admit_render(registry, "mine", {"bpm": 100.0}, Host()).render
    assert (render.conditioning.bpm, render.conditioning.key, render.output.format) == (100.0, "A minor", "flac16")
    with pytest.raises(BadRequest):
        admit_render(registry, "mine", {"depth": 1}, Host())


def write(folder, **fields) -> None:
    """A preset file."""
    (folder / "mine.preset.json").write_text(json.dumps({"name": "mine", **fields}))


def test_user_preset_is_an_operation(tmp_path):
    """A file in the plug-in folder is enough."""
    write(tmp_path, title="Mine", source=True, stages=[{"type": "refine", "t_start": 0.3}])
    registry = Registry.load(folder=tmp_path)
    assert (
        admit_render(registry, "mine", {"source": "/a.wav", "start": 0, "end": 100}, Host()).render.source.length == 100
    )
    report = next(plugin for plugin in registry.plugins if plugin.name == "mine")
    assert report.state.value == "enabled" and report.offers == ("operations:mine",)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"stages": []}, "0 stages"),
        ({"stages": [{"type": "generate"}] * 17}, "17 stages"),
        ({"stages": [{"type": "generate"}, {"type": "refine", "input": 1}]}, "not before"),
        ({"stages": [{"type": "generate", "input": 0}]}, "not before"),
        ({"stages": [{"t_start": 1}]}, "no type"),
        ({"stages": [{"type": "paint"}]}, "paint"),
        ({"stages": [{"type": "refine", "t_start": 7.0}]}, "t_start"),
        ({"stages": [{"type": "generate"}], "colour": "red"}, "colour"),
        ({"stages": [{"type": "generate"}], "version": 99}, "99"),
        ({"stages": [{"type": "generate"}], "name": "repaint"}, "repaint"),
        ({"stages": [{"type": "generate"}], "name": "Not A Name"}, "lower case"),
        ({}, "stages"),
    ],
    ids=range(12),
)
def test_bad_presets_are_reported(tmp_path, fields, reason):
    """No stages, too many, a cycle, unknown types, parameters or keys, a taken name: reported, and nothing else is lost."""
    write(tmp_path, **fields)
    registry = Registry.load(folder=tmp_path)
    report = next(plugin for plugin in registry.plugins if plugin.name == "mine")
    assert report.state.value == "load_error" and reason in report.reason
    assert "repaint" in registry.operations and "mine" not in registry.operations


def test_check_accepts_any_earlier_input():
    """An input may name every stage before its own."""
    stages = [{"type": "a"}, {"type": "b", "input": 0}, {"type": "c", "input": 0}]
    assert check_preset(Preset(name="x", stages=stages)).stages == stages
