"""Drawing a token, against a slow version written down from the definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from acestep.api.planning import Sampling
from acestep.planner.sampling import candidates, guide, penalize, pick


def softmax(values: np.ndarray) -> np.ndarray:
    """Probabilities of finite logits."""
    exponent = np.exp(values - values.max())
    return exponent / exponent.sum()


def slow_distribution(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Probabilities by the definition: top-k, then the smallest set that holds top-p, then temperature."""
    kept = {int(i): float(value) for i, value in enumerate(logits) if np.isfinite(value)}
    if sampling.top_k:
        kept = dict(sorted(kept.items(), key=lambda item: -item[1])[: sampling.top_k])
    if sampling.top_p < 1:
        order = sorted(kept.items(), key=lambda item: -item[1])
        shares = softmax(np.array([value for _, value in order]))
        count = next(n for n in range(1, len(order) + 1) if shares[:n].sum() >= sampling.top_p - 1e-12)
        kept = dict(order[:count])
    probabilities = np.zeros(len(logits))
    probabilities[list(kept)] = softmax(np.array(list(kept.values())) / sampling.temperature)
    return probabilities


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 9999),
    top_k=st.sampled_from([0, 1, 3, 20]),
    top_p=st.sampled_from([1.0, 0.9, 0.5, 0.01]),
    temperature=st.sampled_from([0.3, 0.85, 1.7]),
)
def test_draws_follow_the_definition(seed: int, top_k: int, top_p: float, temperature: float) -> None:
    """Swept over the unit interval, the draw gives each token exactly its share, in the stated order of the filters."""
    logits = np.random.default_rng(seed).normal(0, 2, 40).astype(np.float32)
    logits[::7] = -np.inf
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    expected = slow_distribution(logits.astype(np.float64), sampling)
    grid = 1500
    counts = np.bincount([pick(logits, sampling, (i + 0.5) / grid) for i in range(grid)], minlength=40) / grid
    assert np.abs(counts - expected).max() <= 1.01 / grid
    assert set(candidates(logits, sampling)) == set(np.flatnonzero(expected))


def test_top_p_is_applied_before_temperature() -> None:
    """A hot temperature flattens what the nucleus kept; it does not let more tokens into it."""
    logits = np.log(np.array([0.6, 0.3, 0.1], dtype=np.float32))
    assert set(candidates(logits, Sampling(temperature=2.0, top_p=0.85))) == {0, 1}
    assert pick(logits, Sampling(temperature=100.0, top_p=0.85), 0.999) == 1


def test_top_k_is_applied_before_top_p() -> None:
    """The nucleus is measured among the tokens that top-k kept."""
    logits = np.log(np.array([0.3, 0.28, 0.22, 0.2], dtype=np.float32))
    assert set(candidates(logits, Sampling(top_k=2, top_p=0.5))) == {0}
    assert set(candidates(logits, Sampling(top_k=0, top_p=0.5))) == {0, 1}


def test_zero_temperature_takes_the_likeliest() -> None:
    """Without temperature there is nothing to draw."""
    logits = np.array([0.0, 3.0, 2.9], dtype=np.float32)
    assert all(pick(logits, Sampling(temperature=0.0), u) == 1 for u in (0.0, 0.5, 0.999999))


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1.0 - 2**-53])
def test_forbidden_tokens_are_never_drawn(uniform: float) -> None:
    """Not even at the ends of the interval."""
    logits = np.full(100, -np.inf, dtype=np.float32)
    logits[[3, 50]] = [1.0, 1.0]
    assert pick(logits, Sampling(top_p=1.0), uniform) in (3, 50)


def test_repetition_penalty_divides_positive_and_multiplies_negative_logits() -> None:
    """Used tokens get less likely on both sides of zero, once, however often they were used; others stay as they are."""
    logits = np.array([2.0, -2.0, 1.0, 0.0], dtype=np.float32)
    assert penalize(logits, np.array([0, 0, 1]), 2.0).tolist() == [1.0, -4.0, 1.0, 0.0]
    assert logits.tolist() == [2.0, -2.0, 1.0, 0.0]


def test_guidance_extrapolates_in_float32() -> None:
    """uncond + s (cond - uncond), computed in float32 even where the model is not; scale 1 is the conditional side."""
    cond, uncond = torch.tensor([[1.0, 2.0]], dtype=torch.bfloat16), torch.tensor([[0.0, 4.0]], dtype=torch.bfloat16)
    assert guide(cond, uncond, 2.5).dtype is torch.float32
    assert guide(cond, uncond, 2.5).tolist() == [[2.5, -1.0]]
    assert guide(cond, uncond, 1.0).tolist() == [[1.0, 2.0]]
