"""Our forward pass of the DiT equals diffusers' own on the same weights."""

from __future__ import annotations

import pytest
import torch
from diffusers import AceStepTransformer1DModel

from acestep.networks import attention
from acestep.networks.dit import Dit, Probe

SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
         "head_dim": 16, "sliding_window": 6, "encoder_hidden_size": 48}  # fmt: skip


@pytest.fixture(scope="module")
def dit() -> Dit:
    torch.manual_seed(0)
    return Dit(**SIZES).eval()


@pytest.fixture(scope="module")
def reference(dit) -> AceStepTransformer1DModel:
    model = AceStepTransformer1DModel(**SIZES).eval()
    model.load_state_dict(dit.state_dict())
    return model


def inputs(frames: int, batch: int = 1, tokens: int = 11) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(frames)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return {"x": draw(batch, frames, 64), "context": draw(batch, frames, 128), "states": draw(batch, tokens, 48)}


@torch.inference_mode()
def expected(reference, given, t, r=None):
    times = torch.full((given["x"].shape[0],), t)
    return reference(given["x"], times, times if r is None else r, given["states"], given["context"]).sample


@pytest.mark.parametrize("frames", [2, 13, 14, 15, 40, 201])
def test_equals_diffusers(dit, reference, frames):
    """Shorter than the window, odd, and many windows long: the same velocity as diffusers' forward."""
    given = inputs(frames, batch=2)
    found = dit.velocity(given["x"], 0.4, given["context"], [dit.condition(given["states"])])[0]
    torch.testing.assert_close(found, expected(reference, given, 0.4), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("frames", [60, 61, 203])
def test_banded_attention_equals_the_dense_mask(dit, reference, monkeypatch, batch, frames):
    """Cutting a long sequence into blocks changes nothing but memory and time."""
    monkeypatch.setattr(attention, "DENSE_LIMIT", 0)
    given = inputs(frames, batch)
    found = dit.velocity(given["x"], 0.7, given["context"], [dit.condition(given["states"])])[0]
    torch.testing.assert_close(found, expected(reference, given, 0.7), atol=2e-5, rtol=1e-5)


def test_null_condition_of_one_token_stands_for_any_length(dit, reference):
    """Attention over equal keys is their value: one null token gives what a sequence of them gives."""
    given = inputs(30)
    null = torch.randn(1, 1, 48, generator=torch.Generator().manual_seed(5))
    long = expected(reference, {**given, "states": null.expand(1, 25, 48)}, 0.5)
    found = dit.velocity(given["x"], 0.5, given["context"], [dit.condition(null)])[0]
    torch.testing.assert_close(found, long, atol=2e-5, rtol=1e-5)


def test_branches_in_one_call_equal_single_calls(dit):
    """Several conditions at once give each condition's own velocity."""
    given = inputs(33)
    conditions = [
        dit.condition(given["states"]),
        dit.condition(torch.ones(1, 1, 48)),
        dit.condition(given["states"][:, :4]),
    ]
    together = dit.velocity(given["x"], 0.5, given["context"], conditions)
    for one, condition in zip(together, conditions, strict=True):
        alone = dit.velocity(given["x"], 0.5, given["context"], [condition])[0]
        torch.testing.assert_close(one, alone, atol=1e-5, rtol=1e-5)


def test_times_per_item(dit, reference):
    """Items of a batch may stand at different times, with a mean-flow partner time each."""
    given, times, partners = inputs(20, batch=2), torch.tensor([0.9, 0.2]), torch.tensor([0.5, 0.0])
    with torch.inference_mode():
        wanted = reference(given["x"], times, partners, given["states"], given["context"]).sample
    found = dit.velocity(given["x"], times, given["context"], [dit.condition(given["states"])], r=partners)[0]
    torch.testing.assert_close(found, wanted, atol=2e-5, rtol=1e-5)


def test_keys_are_computed_once(dit, monkeypatch):
    """Evaluations after the condition was prepared never project its tokens again."""
    given = inputs(20)
    condition = dit.condition(given["states"])
    used = []
    for layer in dit.layers:
        monkeypatch.setattr(layer.cross_attn.to_k, "forward", lambda x: used.append(x))
    dit.velocity(given["x"], 0.5, given["context"], [condition])
    assert not used


def test_probe_gives_probabilities_of_the_asked_layers_only(dit):
    """Probabilities are taken where asked for, sum to one over the condition, and leave the velocity as it is."""
    given, probe = inputs(24), Probe(frozenset({1, 3}))
    condition = dit.condition(given["states"])
    probed = dit.velocity(given["x"], 0.5, given["context"], [condition], probe=probe)[0]
    plain = dit.velocity(given["x"], 0.5, given["context"], [condition])[0]
    assert torch.equal(probed, plain) and set(probe.weights) == {1, 3}
    assert probe.weights[1].shape == (1, 4, 12, 11)
    torch.testing.assert_close(probe.weights[3].sum(-1), torch.ones(1, 4, 12))


def test_half_precision_weights_give_float32_latents(dit):
    """A bfloat16 network takes and returns float32 latents, close to the float32 network's."""
    given = inputs(20)
    half = Dit(**SIZES).eval()
    half.load_state_dict(dit.state_dict())
    half = half.to(torch.bfloat16)
    full = dit.velocity(given["x"], 0.5, given["context"], [dit.condition(given["states"])])[0]
    found = half.velocity(given["x"], 0.5, given["context"], [half.condition(given["states"])])[0]
    assert found.dtype == torch.float32
    assert (found - full).norm() / full.norm() < 0.05
