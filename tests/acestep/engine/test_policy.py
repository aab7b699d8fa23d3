"""How a worker computes follows from settings, environment and device, and can be seen."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from acestep.api.errors import BadRequest
from acestep.api.registry import Registry
from acestep.networks import compiled
from acestep.runtime import policy
from acestep.runtime.devices import Choice
from acestep.runtime.policy import ATTENTION, Policy
from acestep.runtime.tiers import Offload, tier_of
from acestep.worker import command_line as worker
from bridge.core.command import worker_command
from bridge.devices import named_devices
from bridge.paths import Paths
from bridge.settings import Settings, resolve, table

WISH = {"length": 20_000, "rate": 48_000, "seed": 3, "steps": 2, "format": "wav32f"}


@pytest.fixture
def card(monkeypatch):
    """A stand-in for a GPU of some size; nothing runs on it."""

    def make(gigabytes: float, kind: str = "xpu") -> None:
        choice = Choice(torch.device(kind), torch.bfloat16, gigabytes, tier_of(gigabytes))
        monkeypatch.setattr(policy, "choose", lambda device, dtype, **more: choice)

    return make


def test_settings_worker_and_engine_know_the_same_kernels():
    """Three processes, one list."""
    (field,) = [info for info in table() if info.name == "attention"]
    assert list(field.choices) == list(ATTENTION) == list(worker.ATTENTION)
    assert [info.name for info in table() if info.name in ("offload", "compile")] == ["offload", "compile"]


@pytest.mark.parametrize(("name", "value"), [("attention", "sparse"), ("compile", "maybe"), ("offload", "attic")])
def test_unknown_values_are_refused_at_the_door(name, value):
    """With the setting's name and what there is, before any process starts; the worker's own parser refuses them too."""
    with pytest.raises(BadRequest) as caught:
        resolve({name: value}, environment={})
    assert caught.value.field == name
    with pytest.raises(SystemExit):
        worker.parse_arguments(["--backend=torch", "--home=.", f"--{name}={value}"])


def test_a_kernel_of_no_known_name_is_refused_by_the_engine(card):
    """A backend may be built by other hands than the daemon's."""
    card(8)
    with pytest.raises(BadRequest, match="sparse"):
        Policy.of({"attention": "sparse"})
    with pytest.raises(BadRequest, match="attic"):
        Policy.of({"offload": "attic"})


@pytest.mark.parametrize("name", list(ATTENTION))
def test_the_chosen_kernel_is_preferred_while_a_job_runs(name):
    """Inside, torch may use the chosen kernels and no others; afterwards it is as it was."""
    switches = ("flash", "mem_efficient", "math")
    state = lambda: [getattr(torch.backends.cuda, f"{switch}_sdp_enabled")() for switch in switches]  # noqa: E731
    before = state()
    with Policy.of({"device": "cpu", "attention": name}).attending():
        during = state()
    expected = {"auto": before, "math": [False, False, True], "flash": [True, True, True]}
    expected |= {"efficient": [False, True, True], "cudnn": [False, True, True]}
    assert during == expected[name]
    assert state() == before


def test_every_kernel_renders_the_same_music(runner):
    """Within rounding, through a whole job; status shows which one it was."""
    takes = {}
    for name in ("auto", "math", "flash"):
        engine = runner.fresh_engine(attention=name)
        result, folder = runner.run("generate", engine, **WISH)
        takes[name] = soundfile.read(folder / result.files[0].name)[0]
        assert engine.info()["attention"] == name
    assert np.abs(takes["math"] - takes["auto"]).max() < 1e-4
    assert np.abs(takes["flash"] - takes["auto"]).max() < 1e-4


def test_a_job_says_when_its_model_could_not_be_compiled(runner, monkeypatch):
    """The take is the uncompiled one; result and status name the reason."""

    def broken(*arguments):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(compiled.torch, "compile", lambda function, dynamic: broken)
    engine = runner.fresh_engine(compile="on")
    assert engine.info()["compile"] == "on"
    result, _ = runner.run("generate", engine, **WISH)
    assert any("could not be compiled" in note and "no C++ compiler" in note for note in result.notes)
    assert engine.info()["compile"] == "failed: no C++ compiler"
    plain, _ = runner.run("generate", **WISH)
    assert result.files[0].sha256 == plain.files[0].sha256
    assert not any("compiled" in note for note in plain.notes)


def test_offloading_follows_setting_environment_and_device_in_this_order(card, monkeypatch):
    """The tier decides only where nobody else does; a CPU has nowhere to offload to."""
    card(40)
    assert Policy.of({}).offload is Offload.NONE
    monkeypatch.setenv("ACESTEP_OFFLOAD_TO_CPU", "true")
    assert Policy.of({}).offload is Offload.PARTS
    monkeypatch.setenv("ACESTEP_OFFLOAD_DIT_TO_CPU", "1")
    assert Policy.of({}).offload is Offload.ALL
    assert Policy.of({"offload": "none"}).offload is Offload.NONE
    monkeypatch.undo()
    assert Policy.of({"device": "cpu", "offload": "all"}).offload is Offload.NONE


def test_a_small_card_offloads_and_quantises_by_itself(card):
    """What the tier table says, seen in the facts for status and doctor."""
    card(6)
    facts = Policy.of({}).facts()
    assert (facts["tier"], facts["offload"], facts["memory_gb"]) == ("3", "all", 6)
    assert Policy.of({"int8": "off"}).int8 is False


def test_a_mac_neither_offloads_nor_quantises_by_itself(card, monkeypatch):
    """Its GPU works in the ordinary memory; who wishes it still gets it."""
    card(7, "mps")
    policy = Policy.of({})
    assert (policy.offload, policy.int8, policy.compiled) == (Offload.NONE, False, False)
    told = Policy.of({"offload": "parts", "int8": "on"})
    assert (told.offload, told.int8) == (Offload.PARTS, True)
    monkeypatch.setenv("ACESTEP_OFFLOAD_TO_CPU", "1")
    assert Policy.of({}).offload is Offload.PARTS


def test_the_facts_name_the_limits_of_the_tier(card):
    """Minutes and items at once, where there are any: a CPU has none."""
    card(7)
    assert (Policy.of({}).facts()["minutes"], Policy.of({}).facts()["items"]) == (10, 2)
    card(3, "mps")
    assert (Policy.of({}).facts()["minutes"], Policy.of({}).facts()["items"]) == (6, 1)


def test_a_cpu_has_no_limits_of_a_tier():
    """It swaps rather than fails."""
    facts = Policy.of({"device": "cpu"}).facts()
    assert (facts["minutes"], facts["items"]) == (None, None)


def test_flash_can_be_asked_for_by_the_originals_variable(card, monkeypatch):
    """A setting still stands above it."""
    card(40)
    monkeypatch.setenv("ACESTEP_USE_FLASH_ATTENTION", "true")
    assert Policy.of({}).attention == "flash"
    assert Policy.of({"attention": "math"}).attention == "math"


def test_the_daemon_hands_every_one_of_these_to_its_worker(tmp_path):
    """A setting that ends in the daemon would look accepted and do nothing."""
    wished = Settings(home=str(tmp_path), offload="all", attention="math", compile="on", int8="off", keep_latents=False)
    command = worker_command(wished, Paths.of(wished), Registry.load(), named_devices([], wished.device)[0])
    given = worker.parse_arguments(command[command.index("acestep.worker") + 1 :])
    for name in ("offload", "attention", "compile", "int8", "device", "dtype", "keep_latents"):
        assert given[name] == getattr(wished, name)
