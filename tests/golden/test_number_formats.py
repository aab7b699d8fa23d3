"""Every way to compute gives the original's numbers, each within its own tolerance."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch

from acestep.checkpoints import quantise
from acestep.networks.dit import Dit
from acestep.networks.layers import Linear
from acestep.networks.packed_linear import can_pack

TOLERANCES = {"bfloat16 weights, float32 arithmetic": 0.01, "bfloat16 arithmetic": 0.02, "int8": 0.04}
"""Largest error of a velocity, as a share of the recorded one's norm. The float32 path has its own test, to the last bits."""


def ways(dit: Dit) -> dict[str, Dit]:
    """The network in each way."""
    kept, light, packed = (copy.deepcopy(dit) for _ in range(3))
    for part in kept.modules():
        if isinstance(part, Linear):
            part.weight.data = part.weight.data.bfloat16()
    found = {"bfloat16 weights, float32 arithmetic": kept, "bfloat16 arithmetic": light.bfloat16()}
    if can_pack():
        quantise.quantise_int8(SimpleNamespace(transformer=packed, device=torch.device("cpu")))
        assert packed.quantised_to == quantise.INT8
        found["int8"] = packed
    return found


@pytest.mark.golden_cases("dit")
def test_velocity_in_every_way(golden, name, monkeypatch):
    """Rounded as much as the way rounds, and no more."""
    monkeypatch.setattr(quantise, "SMALLEST_MODEL", 0)
    case, inputs, model = golden.case(name)
    rows = slice(case["item"], case["item"] + 1) if "item" in case else slice(None)
    x, context, states = (inputs[key][rows] for key in ("x", "context", "encoder"))
    expected = golden.outputs(name)["v"]
    for way, dit in ways(model.transformer).items():
        condition = dit.condition(states)
        found = dit.velocity(x, torch.tensor(case["t"]), context, [condition], r=torch.tensor(case["r"]))[0]
        error = float((found - expected).norm() / expected.norm())
        assert found.dtype is torch.float32 and 0 < error < TOLERANCES[way], way
