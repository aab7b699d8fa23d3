"""What the planner lacks is said before a job for it is accepted, about the field that the user filled in."""

from __future__ import annotations

import importlib.util

import pytest

from acestep.api.errors import BadRequest, FeatureDisabled, ModelMissing, Unavailable, UnknownName
from acestep.planner.tiny import build_tiny

WRITING = [
    ("generate", {"length": 480_000, "thinking": True}, "planner_model"),
    ("song", {"query": "x"}, "planner_model"),
    ("plan", {"caption": "x"}, "model"),
    ("compose", {"query": "x"}, "model"),
    ("format", {"caption": "x"}, "model"),
]
"""What rules can do where no language model is here."""

LISTENING = [
    ("understand", {"audio_codes": [1]}, "model"),
    ("score", {"audio_codes": [1], "caption": "x"}, "model"),
]


@pytest.mark.parametrize(("operation", "params", "field"), LISTENING, ids=[case[0] for case in LISTENING])
async def test_no_language_model_to_listen(desk, operation, params, field):
    """Refused at once, with the command that fetches one; nothing is stored, no worker is asked."""
    one = await desk()
    with pytest.raises(ModelMissing) as caught:
        await one.submit(operation=operation, **params)
    assert caught.value.field == field and "models download lm-0.6B" in caught.value.message
    assert await one.service.jobs() == []


@pytest.mark.parametrize(("operation", "params", "field"), WRITING, ids=[case[0] for case in WRITING])
async def test_rules_plan_where_no_language_model_is(desk, operation, params, field):
    """The job is accepted; one that names a model, or rules and a model, is refused about the right field."""
    one = await desk()
    await one.submit(operation=operation, **params)
    with pytest.raises(ModelMissing, match=r"models download lm-4B") as caught:
        await one.submit(operation=operation, **params, **{field: "4B"})
    assert caught.value.field == field
    with pytest.raises(BadRequest, match="plans without a language model") as caught:
        await one.submit(operation=operation, **params, **{field: "4B", field.replace("model", "backend"): "rules"})
    assert caught.value.field == field


async def test_the_nano_planner_needs_its_flag(desk):
    """Asked for by name while it is off: refused with the command that switches it on, which works at once."""
    one = await desk()
    with pytest.raises(FeatureDisabled, match="features set nano_planner") as caught:
        await one.submit(operation="compose", query="jazz", backend="nano")
    assert caught.value.field == "backend"
    one.service.set_feature("nano_planner", True)
    await one.submit(operation="compose", query="jazz", backend="nano")


async def test_codes_alone_need_a_language_model(desk):
    """A thought that is given leaves only codes to write."""
    one = await desk()
    thought = "<think>\nbpm: 120\nduration: 20\n</think>"
    with pytest.raises(ModelMissing, match="rules cannot write codes"):
        await one.submit(operation="plan", caption="x", cot_text=thought)
    await one.submit(operation="plan", caption="x", cot_text=thought, codes=False)


@pytest.mark.parametrize(
    ("operation", "params", "field"), [*WRITING, *LISTENING], ids=[case[0] for case in (*WRITING, *LISTENING)]
)
async def test_a_missing_package(desk, tmp_path, monkeypatch, operation, params, field):
    """Refused before a gigabyte is loaded, by the name of the package."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "llguidance" else found(name, *more)
    )
    build_tiny(tmp_path / "checkpoints" / "acestep-5Hz-lm-mine")
    one = await desk(checkpoints=[str(tmp_path / "checkpoints")])
    with pytest.raises(Unavailable, match="llguidance, which is not installed") as caught:
        await one.submit(operation=operation, **params, **{field: "mine"})
    assert caught.value.field == field


async def test_an_unknown_language_model_lists_what_is_here(desk, tmp_path):
    """The sentence names the user's word and those that would do; every form of a name that is here does."""
    build_tiny(tmp_path / "checkpoints" / "acestep-5Hz-lm-mine")
    one = await desk(checkpoints=[str(tmp_path / "checkpoints")])
    with pytest.raises(ModelMissing, match="'9B' is not on this machine; here are: mine") as caught:
        await one.submit(length=480_000, thinking=True, planner_model="9B")
    assert caught.value.field == "planner_model" and caught.value.limits == {"choices": ["mine"]}
    for name in ("mine", "lm-mine", "acestep-5Hz-lm-mine", "tiny"):
        await one.submit(length=480_000, thinking=True, planner_model=name)
    with pytest.raises(UnknownName) as unknown:
        await one.submit(length=480_000, thinking=True, planner_model="mine", planner_backend="abacus")
    assert {"transformers", "vllm"} <= set(unknown.value.limits["choices"]) and unknown.value.field == "planner_backend"


async def test_a_job_that_does_not_think_needs_nothing(desk):
    """Codes that are given, and thinking that is off, ask for no language model."""
    one = await desk()
    await one.submit(length=480_000, thinking=True, audio_codes=[1, 2])
    await one.submit(length=480_000)
    with pytest.raises(BadRequest):
        await one.submit(length=480_000, thinking=True, planner_top_k=-1)
