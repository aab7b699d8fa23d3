"""Guidance methods keep their identities."""

from __future__ import annotations

import pytest
import torch

from acestep.denoising.guidance import guidance_settings
from plugins.guidance import GUIDANCE

METHODS = {spec.name: spec for spec in GUIDANCE}
GUIDED = [name for name, spec in METHODS.items() if spec.needs_uncond]


def tensors(seed=0, frames=20):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, frames, 64, generator=generator) for _ in range(3)]


@pytest.mark.parametrize("name", METHODS)
def test_scale_one_is_no_guidance(name):
    """At scale 1 the unconditional branch is not even computed."""
    assert guidance_settings(METHODS[name], 1.0).make is None


@pytest.mark.parametrize("name", ["cfg", "cfg_zero_star", "apg"])
def test_scale_one_is_the_conditional_velocity(name):
    """The formulas themselves reduce to the conditional velocity at scale 1."""
    cond, uncond, x = tensors()
    method = type(guidance_settings(METHODS[name], 2.0).make())(1.0)
    torch.testing.assert_close(method.combine(cond, uncond, x, 0.5, False), cond)


@pytest.mark.parametrize("name", GUIDED)
def test_equal_branches_stay_as_they_are(name):
    """Where both branches agree there is nothing to guide."""
    cond, _, x = tensors()
    method = guidance_settings(METHODS[name], 7.0).make()
    torch.testing.assert_close(method.combine(cond, cond.clone(), x, 0.5, False), cond, atol=2e-3, rtol=1e-3)


def test_cfg_is_the_extrapolation():
    """CFG: ``u + g (c - u)``."""
    cond, uncond, x = tensors()
    method = guidance_settings(METHODS["cfg"], 3.0).make()
    torch.testing.assert_close(method.combine(cond, uncond, x, 0.5, False), uncond + 3 * (cond - uncond))


def test_zero_star_ignores_the_scale_of_the_unconditional_branch():
    """CFG-Zero* fits the unconditional velocity first, so its length does not matter."""
    cond, uncond, x = tensors()
    make = guidance_settings(METHODS["cfg_zero_star"], 4.0).make
    found = [make().combine(cond, factor * uncond, x, 0.5, False) for factor in (1.0, 7.5)]
    torch.testing.assert_close(*found)


def test_apg_moves_only_across_the_conditional_velocity():
    """The change is orthogonal to the conditional velocity, per channel over time, and limited in length."""
    cond, uncond, x = tensors(frames=200)
    scale = 7.0
    change = guidance_settings(METHODS["apg"], scale).make().combine(cond, uncond, x, 0.5, False) - cond
    torch.testing.assert_close((change * cond).sum(1), torch.zeros(1, 64), atol=2e-3, rtol=0)
    assert (change.norm(dim=1) <= (scale - 1) * 2.5 + 1e-3).all()


def test_apg_momentum_is_per_step_and_restorable():
    """The buffer advances once per step, not in a corrector evaluation, and a kept state goes on as the original."""
    cond, uncond, x = tensors()
    make = guidance_settings(METHODS["apg"], 7.0).make
    first, corrected = make(), make()
    for method in (first, corrected):
        method.combine(cond, uncond, x, 0.9, False)
    corrected.combine(uncond, cond, x, 0.8, True)
    resumed = make()
    resumed.restore(first.state())
    found = [method.combine(cond, uncond, x, 0.7, False) for method in (first, corrected, resumed)]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    assert not torch.equal(found[0], make().combine(cond, uncond, x, 0.7, False))


@pytest.mark.parametrize("name", ["adg", "adg_w_norm", "adg_wo_clip"])
def test_adg_at_time_zero_is_cfg(name):
    """At t = 0 there is no angle between the clean estimates."""
    cond, uncond, x = tensors()
    method = guidance_settings(METHODS[name], 3.0).make()
    torch.testing.assert_close(method.combine(cond, uncond, x, 0.0, True), uncond + 3 * (cond - uncond))


def test_adg_turns_by_at_most_its_limit():
    """The guided clean estimate lies at most 30 degrees from the conditional one, in every frame."""
    cond, uncond, x = tensors()
    t = 0.6
    guided = guidance_settings(METHODS["adg"], 15.0).make().combine(cond, uncond, x, t, False)
    cosine = torch.nn.functional.cosine_similarity(x - t * guided, x - t * cond, dim=-1)
    assert (cosine.acos() <= 3.14 / 6 + 1e-3).all()
