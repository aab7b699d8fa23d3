"""Hints: what suits a model, and what a device takes; by the door's table, for every client."""

from __future__ import annotations

import pytest

from acestep.api.ability import fields_for
from acestep.api.hints import DeviceLimits, narrowest, with_hints
from acestep.api.request import StageParams
from acestep.api.schema import describe
from acestep.api.variants import VARIANTS, ModelInfo
from acestep.runtime.tiers import TIERS, limit_facts, tier_of
from plugins.stages.generate import Generate


def hints(variant=None, device=None):
    """Field -> hint of `generate`'s stage."""
    model = None if variant is None else ModelInfo(name=variant, path="", variant=variant, task_types=())
    fields = describe(StageParams if device is None else flat())
    found = with_hints(fields if model is None else fields_for(model, fields), model, device)
    return {info.name: info.hint for info in found if info.hint}


def flat():
    """Everything that `generate` takes."""
    from acestep.api.registry import flat_schema

    return flat_schema(Generate())


def test_each_variant_tells_its_own():
    """SFT's guidance and interval, turbo's steps and shift, base's guidance by task; nothing of another one."""
    sft = hints("sft")
    assert "3 to 5" in sft["guidance_scale"] and "0.15" in sft["guidance_start"] and "0.85" in sft["guidance_end"]
    assert hints("xl-sft") == sft
    turbo = hints("turbo")
    assert (
        turbo["steps"].startswith("8 steps")
        and turbo["shift"].startswith("3 ")
        and "no effect" in turbo["guidance_scale"]
    )
    assert hints("turbo-shift1")["shift"].startswith("1 ") and "1 to 5" in hints("turbo-continuous")["shift"]
    assert hints("base")["guidance_scale"].startswith("7 ") and "lego" in hints("base")["guidance_scale"]
    assert "guidance_end" not in hints("base") and hints("tiny") == {}


def test_without_a_model_every_kind_is_told_by_name():
    """Once each, in the table's order."""
    said = hints()["guidance_scale"]
    assert [said.index(name) for name in ("Turbo:", "SFT:", "Base:", "Nano:")] == sorted(
        said.index(name) for name in ("Turbo:", "SFT:", "Base:", "Nano:")
    )


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda variant: variant.name)
def test_hints_speak_of_fields_that_there_are_in_whole_sentences(variant):
    """They are shown behind a summary; a hint about a field that was renamed would be shown nowhere."""
    assert set(variant.hints) <= {info.name for info in describe(StageParams)}
    assert all(hint.endswith(".") for hint in variant.hints.values())


@pytest.mark.parametrize(
    ("memory", "seconds", "planned", "at_once"),
    [
        (3.0, 360.0, 240.0, (1, 1)),
        (7.0, 600.0, 480.0, (2, 2)),
        (10.0, 600.0, 480.0, (4, 2)),
        (80.0, 600.0, 600.0, (8, 8)),
    ],
)
def test_a_device_tells_what_its_memory_takes(memory, seconds, planned, at_once):
    """The tier's figures, as the worker tells them; a sentence at the fields that they bound and nowhere else."""
    limits = DeviceLimits.of({"device": "cuda", **limit_facts(tier_of(memory), memory)})
    assert (limits.seconds, limits.seconds_with_planner) == (seconds, planned)
    assert (limits.at_once, limits.at_once_with_planner) == at_once
    said = hints("turbo", limits)
    assert f"up to {seconds:g} s" in said["duration"] and f"renders {at_once[0]} at a time" in said["variants"]
    assert (f"{planned:g} s where" in said["duration"]) == (planned != seconds)
    assert "device" not in said["steps"]


def test_nothing_bounds_a_cpu_and_of_several_devices_the_smallest_counts():
    """A CPU swaps where a GPU fails."""
    assert DeviceLimits.of({"device": "cpu", **limit_facts(TIERS[-1], None)}) is None
    large, small = (
        DeviceLimits.of({"device": name, **limit_facts(tier_of(memory), memory)})
        for name, memory in (("a", 80.0), ("b", 5.0))
    )
    assert narrowest([large, small]) == small and narrowest([]) is None
