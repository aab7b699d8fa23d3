"""Samplers against flows whose solution is known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from acestep.api.times import float32
from acestep.denoising.noise import SeededNoise
from plugins.samplers import SAMPLERS
from plugins.schedules import SCHEDULES, linear

MEAN, SPREAD = 0.7, 0.5
BY_NAME = {spec.name: spec for spec in SAMPLERS}


def gaussian_velocity(x, t, corrector=False):
    """E[noise - data | x_t] for data ~ N(MEAN, SPREAD^2): linear in x, with the exact flow x0 = MEAN + SPREAD * x1."""
    variance = (1 - t) ** 2 * SPREAD**2 + t**2
    return (t - (1 - t) * SPREAD**2) / variance * (x - (1 - t) * MEAN) - MEAN


def run(spec, steps, x, noise=None, velocity=gaussian_velocity, times=None):
    """x at time 0 and all the steps on the way."""
    times = linear(steps, 1.0) if times is None else times
    solver = spec.run(velocity, x, times, noise)
    taken, step = [], next(solver)
    while True:
        taken.append(step)
        try:
            step = solver.send(step.x)
        except StopIteration:
            return taken[-1].x, taken


@pytest.mark.parametrize("spec", [spec for spec in SAMPLERS if not spec.stochastic], ids=lambda spec: spec.name)
def test_order_of_convergence(spec):
    """Halving the step divides the error by two to the power of the declared order (dpmpp_2m and 3m: up to a logarithm, from the
    ends of the log-SNR axis)."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 9, 1)
    exact = MEAN + SPREAD * x
    errors = [(run(spec, steps, x)[0] - exact).abs().max().item() for steps in (256, 512, 1024)]
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(-0.25 < rate - spec.order < 0.3 for rate in rates), (rates, errors)


@pytest.mark.parametrize("name", ["dpmpp_3m", "stork4"])
def test_inside_a_run_the_order_is_three(name):
    """Away from both ends, and with two exact steps behind it, halving the step divides the error by eight."""
    spec = BY_NAME[name]
    noise_like = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 9, 1)

    def exact(t):
        return (1 - t) * MEAN + math.sqrt((1 - t) ** 2 * SPREAD**2 + t**2) * noise_like

    errors = []
    for steps in (64, 128, 256):
        times = [0.8 - 0.6 * k / steps for k in range(-2, steps + 1)]
        state = {}
        for place, t in ((1, times[1]), (2, times[0])):
            v = gaussian_velocity(exact(t), t)
            state |= {f"t{place}": t, f"value{place}": exact(t) - t * v if name == "dpmpp_3m" else v}
        solver = spec.run(gaussian_velocity, exact(times[2]), times[2:], None, state)
        step = next(solver)
        for _ in range(steps - 1):
            step = solver.send(step.x)
        errors.append((step.x - exact(times[-1])).abs().max().item())
    rates = [math.log2(a / b) for a, b in pairwise(errors)]
    assert all(abs(rate - 3) < 0.25 for rate in rates), (rates, errors)


@pytest.mark.parametrize(("name", "steps"), [("dpmpp_3m", 128), ("stork4", 8)])
def test_third_order_steps_beat_second_order_ones(name, steps):
    """At the same number of evaluations the run ends nearer to the solution than with dpmpp_2m: stork4 at once, dpmpp_3m once the
    ends of the log-SNR axis weigh less."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 9, 1)
    error = {one: (run(BY_NAME[one], steps, x)[0] - MEAN - SPREAD * x).abs().max() for one in (name, "dpmpp_2m")}
    assert error[name] < error["dpmpp_2m"]


@pytest.mark.parametrize("spec", [spec for spec in SAMPLERS if not spec.stochastic], ids=lambda spec: spec.name)
def test_a_resumed_run_ends_where_the_whole_one_does(spec):
    """The state of a step holds all that the next one needs."""
    x, times = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 9, 1), linear(9, 2.0)
    whole, taken = run(spec, 9, x, times=times)
    solver = spec.run(gaussian_velocity, taken[3].x, times[4:], None, taken[3].state or None)
    step = next(solver)
    for _ in range(4):
        step = solver.send(step.x)
    assert torch.equal(step.x, whole)


def test_second_order_beats_first_at_equal_cost():
    """At the model evaluations of 16 euler steps, samplers of second order end nearer to the solution."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 9, 1)
    error = {spec.name: (run(spec, 16 // spec.evaluations, x)[0] - MEAN - SPREAD * x).abs().max() for spec in SAMPLERS
             if not spec.stochastic}  # fmt: skip
    assert error["heun"] < error["euler"] and error["dpmpp_2m"] < error["euler"]


@pytest.mark.parametrize("spec", SAMPLERS, ids=lambda spec: spec.name)
def test_straight_flow_is_solved_in_one_step(spec):
    """Where noise and data are joined by straight lines to one point, every sampler arrives there at once."""
    x = torch.randn(1, 5, 64, generator=torch.Generator().manual_seed(0))
    target = torch.ones(1, 5, 64)
    found, steps = run(spec, 1, x, SeededNoise([1], 5).step, velocity=lambda x, t, corrector=False: (x - target) / t)
    torch.testing.assert_close(found, target)
    assert len(steps) == 1 and steps[0].t is None  # the time it reached is the last of its times


def posterior_gain(t):
    """d E[data | x_t] / d x_t."""
    return (1 - t) * SPREAD**2 / ((1 - t) ** 2 * SPREAD**2 + t**2)


def recursion(times, update):
    """Variance at time 0 of a sampler that is linear in x, by carrying the variance through its own formula."""
    variance = 1.0
    for t, t_next in pairwise(times):
        variance = update(variance, t, t_next)
    return variance


@pytest.mark.parametrize("name", ["sde", "pingpong"])
def test_full_renoising_has_the_variance_of_its_formula(name):
    """Mean and variance of the result are those that ``t' eps + (1 - t') E[data | x]`` implies, over many items."""
    items, times = 400, linear(8, 1.0)
    noise = SeededNoise(range(items), 4)
    found, _ = run(BY_NAME[name], 8, noise.initial(), noise.step)
    expected = recursion(times, lambda v, t, s: s**2 + (1 - s) ** 2 * posterior_gain(t) ** 2 * v)
    assert found.mean().item() == pytest.approx(MEAN, abs=0.01)
    assert found.var().item() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("name", ["dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_solvers_with_noise_sample_the_data_distribution(name):
    """With small steps the result is distributed as the data: mean and spread."""
    noise = SeededNoise(range(150), 4)
    found, _ = run(BY_NAME[name], 60, noise.initial(), noise.step)
    assert found.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert found.std().item() == pytest.approx(SPREAD, rel=0.03)


@pytest.mark.parametrize("spec", SAMPLERS, ids=lambda spec: spec.name)
def test_changed_x_is_taken_over(spec):
    """What the loop sends back is what the sampler goes on with."""
    seen = []
    solver = spec.run(lambda x, t, corrector=False: seen.append(x) or torch.zeros_like(x), torch.ones(1, 1, 1),
                      [1.0, 0.5, 0.0], SeededNoise([0], 1).step)  # fmt: skip
    next(solver)
    seen.clear()
    solver.send(torch.full((1, 1, 1), 42.0))
    assert seen[0].item() == 42


@pytest.mark.parametrize("spec", SAMPLERS, ids=lambda spec: spec.name)
def test_evaluations_are_declared(spec):
    """The declared velocity calls per step are those that are made (the step to 0 may take fewer)."""
    calls = []

    def velocity(x, t, corrector=False):
        calls.append(corrector)
        return gaussian_velocity(x, t)

    run(spec, 6, torch.ones(1, 2, 64), SeededNoise([0], 2).step, velocity=velocity)
    assert 6 * spec.evaluations - (spec.evaluations - 1) == len(calls)
    assert calls.count(False) == 6


def test_aliases_are_unique():
    """No name means two samplers."""
    names = [name for spec in SAMPLERS for name in (spec.name, *spec.aliases)]
    assert len(names) == len(set(names))


COMFYUI_SAMPLERS = """
euler euler_cfg_pp euler_ancestral euler_ancestral_cfg_pp heun heunpp2 exp_heun_2_x0 exp_heun_2_x0_sde dpm_2 dpm_2_ancestral
lms dpm_fast dpm_adaptive dpmpp_2s_ancestral dpmpp_2s_ancestral_cfg_pp dpmpp_sde dpmpp_sde_gpu dpmpp_2m dpmpp_2m_cfg_pp
dpmpp_2m_sde dpmpp_2m_sde_gpu dpmpp_2m_sde_heun dpmpp_2m_sde_heun_gpu dpmpp_3m_sde dpmpp_3m_sde_gpu ddpm lcm ipndm ipndm_v deis
res_multistep res_multistep_cfg_pp res_multistep_ancestral res_multistep_ancestral_cfg_pp gradient_estimation
gradient_estimation_cfg_pp er_sde seeds_2 seeds_3 sa_solver sa_solver_pece ddim uni_pc uni_pc_bh2
""".split()
COMFYUI_SCHEDULES = "simple sgm_uniform karras exponential ddim_uniform beta normal linear_quadratic kl_optimal".split()
NOISY = ("ancestral", "sde", "ddpm", "lcm", "seeds", "sa_solver")
"""What the names of ComfyUI's samplers with fresh noise hold."""


@pytest.mark.parametrize("name", COMFYUI_SAMPLERS)
def test_every_sampler_of_comfyui_has_its_nearest(name):
    """Each name of its list leads to one of ours, to one with noise exactly when it has noise."""
    (spec,) = [spec for spec in SAMPLERS if name in (spec.name, *spec.aliases)]
    assert spec.stochastic == any(word in name for word in NOISY)


@pytest.mark.parametrize("name", COMFYUI_SCHEDULES)
def test_every_scheduler_of_comfyui_has_its_nearest(name):
    """Each name of its list leads to one of our schedules, and to one only."""
    assert len([spec for spec in SCHEDULES if name in (spec.name, *spec.aliases)]) == 1


def test_names_that_users_bring_along_have_their_nearest():
    """Of acestep.cpp and of ComfyUI's nodes for ACE-Step: the method itself where it is published, else the nearest kind."""
    names = {name: spec.name for spec in SAMPLERS for name in (spec.name, *spec.aliases)}
    asked = ("dpm3m", "stork4", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "jkass", "jkass_quality")
    assert [names[name] for name in asked] == ["dpmpp_3m", "stork4", "dpmpp_3m_sde", "dpmpp_3m_sde", "pingpong", "heun"]


def test_karras_is_even_in_the_seventh_root():
    """The grid of the paper between the shifted ends, then 0."""
    times = next(spec for spec in SCHEDULES if spec.name == "karras").times(7, 1 / 3)
    roots = [t ** (1 / 7) for t in times[:-1]]
    gaps = [a - b for a, b in pairwise(roots)]
    assert gaps == pytest.approx([gaps[0]] * 6, rel=1e-9)
    assert times[0] == 1 and times[-2] == pytest.approx(0.001 / 3 / (1 - 0.001 * 2 / 3), rel=1e-9)


def test_beta_lies_at_the_quantiles_of_its_distribution():
    """Shares of the density by plain summation lie below each of its times; it is symmetric and crowds both ends."""
    times = next(spec for spec in SCHEDULES if spec.name == "beta").times(10, 1.0)
    grid = (torch.arange(2_000_000, dtype=torch.float64) + 0.5) / 2_000_000
    density = (grid * (1 - grid)) ** -0.4
    share = torch.cumsum(density, 0) / density.sum()
    for k in range(1, 10):
        place = (times[k] - 0.001) / 0.999
        assert share[int(place * 2_000_000)].item() == pytest.approx(1 - k / 10, abs=1e-3)
    assert times[0] - times[1] < times[4] - times[5] > times[8] - times[9]


TABLE = {
    1: [1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125],
    2: [1.0, 0.933333, 0.857143, 0.769231, 0.666667, 0.545455, 0.4, 0.222222],
    3: [1.0, 0.954545, 0.9, 0.833333, 0.75, 0.642857, 0.5, 0.3],
}


@pytest.mark.parametrize(("shift", "table"), [(1.0, 1), (1.4, 1), (2.0, 2), (2.4, 2), (3.0, 3), (5.0, 3)])
def test_discrete_is_the_turbo_table_of_the_nearest_shift(shift, table):
    """Eight steps give the times turbo was distilled at."""
    times = next(spec for spec in SCHEDULES if spec.name == "discrete").times(8, shift)
    assert times == pytest.approx([*TABLE[table], 0.0], abs=1e-6)


@pytest.mark.parametrize("spec", SCHEDULES, ids=lambda spec: spec.name)
@pytest.mark.parametrize("steps", [1, 2, 8, 50, 200])
@pytest.mark.parametrize("shift", [0.5, 1.0, 3.0, 17.0])
def test_schedules_fall_from_one_to_zero(spec, steps, shift):
    """n + 1 strictly falling times, from exactly 1 to exactly 0."""
    times = [float32(t) for t in spec.times(steps, shift)]
    assert len(times) == steps + 1 and times[0] == 1 and times[-1] == 0
    assert all(a > b for a, b in pairwise(times))
