"""A small machine for admission: two stage types, two models, sources that exist only as facts."""

from __future__ import annotations

import types
from typing import Annotated

import pytest

from acestep.api import (
    GuidanceSpec,
    Length,
    ModelInfo,
    Plan,
    Registry,
    SamplerSpec,
    ScheduleSpec,
    StageParams,
    StageType,
    hookimpl,
    param,
    require_region,
    require_task,
)
from acestep.api.errors import ModelMissing, NotFound
from acestep.api.source import AudioFacts


class Edit(StageType):
    name = "edit"
    summary = "Edits a region."

    class Params(StageParams):
        track: Annotated[str, param("Track.", choices="tracks")] = ""

    def plan(self, params, source, model):
        require_task("extract", model, operation=self.name)
        require_region(source, operation=self.name)
        return Plan(task="extract", instruction="Edit:", splice=True, returns=("patch", "span", "whole"))


class Make(StageType):
    name = "make"
    summary = "Makes something new."
    source = "none"

    def plan(self, params, source, model):
        return Plan(task="text2music", instruction="Make:", length=Length.REQUEST, returns=("part",))


def plugin(**hooks) -> types.ModuleType:
    """A plug-in module with these hook functions."""
    module = types.ModuleType("a_plugin")
    for name, entries in hooks.items():
        setattr(module, name, hookimpl(_registering(entries), specname=name))
    return module


def _registering(entries):
    def hook(register):
        for entry in entries:
            register(entry)

    return hook


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    euler = SamplerSpec(name="euler", run=lambda *a: iter(()), summary="Euler.", aliases=("ode",))
    linear = ScheduleSpec(name="linear", times=lambda steps, shift: [1.0, 0.0], summary="Even.", aliases=("karras",))
    zero = GuidanceSpec(name="cfg_zero_star", target="nowhere:Nothing", summary="Guided.", aliases=("cfg_zero",))
    methods = plugin(
        register_stages=[Edit(), Make()],
        register_samplers=[euler],
        register_schedules=[linear],
        register_guidance=[zero],
    )
    registry.add_plugin(methods, "builtin")
    return registry


class Host:
    """A machine with one file and two models."""

    def __init__(self) -> None:
        self.facts = AudioFacts(rate=44_100, channels=2, frames=44_100 * 60, format="WAV", subtype="PCM_16")

    def probe(self, source):
        if source.path == "/missing.wav":
            raise NotFound("there is no /missing.wav", field="source")
        return self.facts

    def model(self, name):
        if name not in ("", "turbo", "base"):
            raise ModelMissing(f"{name} is not here", field="model")
        tasks = ("text2music",) if name == "turbo" else ("text2music", "extract")
        return ModelInfo(name=name or "base", path="", variant=name or "base", task_types=tasks)


@pytest.fixture
def host() -> Host:
    return Host()
