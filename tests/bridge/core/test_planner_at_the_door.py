"""What the planner lacks is said before a job for it is accepted, about the field that the user filled in."""

from __future__ import annotations

import importlib.util

import pytest

from acestep.api.errors import BadRequest, ModelMissing, Unavailable, UnknownName
from acestep.planner.tiny import build_tiny

ASKING = [
    ("generate", {"length": 480_000, "thinking": True}, "planner_model"),
    ("plan", {"caption": "x"}, "model"),
    ("compose", {"query": "x"}, "model"),
    ("format", {"caption": "x"}, "model"),
    ("understand", {"audio_codes": [1]}, "model"),
    ("score", {"audio_codes": [1], "caption": "x"}, "model"),
]


@pytest.mark.parametrize(("operation", "params", "field"), ASKING, ids=[case[0] for case in ASKING])
async def test_no_language_model(desk, operation, params, field):
    """Refused at once, with the command that fetches one; nothing is stored, no worker is asked."""
    one = await desk()
    with pytest.raises(ModelMissing) as caught:
        await one.submit(operation=operation, **params)
    assert caught.value.field == field and "models download lm-0.6B" in caught.value.message
    assert await one.service.jobs() == []


@pytest.mark.parametrize(("operation", "params", "field"), ASKING, ids=[case[0] for case in ASKING])
async def test_a_missing_package(desk, monkeypatch, operation, params, field):
    """Refused before a gigabyte is loaded, by the name of the package."""
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "llguidance" else found(name, *more)
    )
    one = await desk()
    with pytest.raises(Unavailable, match="llguidance, which is not installed") as caught:
        await one.submit(operation=operation, **params)
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
