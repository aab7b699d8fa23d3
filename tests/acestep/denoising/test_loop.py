"""The loop's rules hold for every sampler: resume, cancel, batches, injection, switch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from acestep.api.errors import BadRequest, Cancelled, NumericFailure
from acestep.api.sampling import Step
from acestep.api.times import custom_times, schedule_times, truncate
from acestep.denoising.denoising_run import Branch, Edit
from acestep.denoising.loop import denoise
from acestep.denoising.noise import SeededNoise
from plugins.guidance import GUIDANCE
from plugins.samplers import SAMPLERS
from plugins.schedules import SCHEDULES

FRAMES = 40


def draw(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def render(model, request):
    return denoise(model.transformer, model.null_condition, request)


@pytest.mark.parametrize("sampler", [spec.name for spec in SAMPLERS])
@pytest.mark.parametrize("guidance", ["none", "apg"])
@pytest.mark.parametrize("stored", [0, 3, 5])
def test_resumed_run_equals_the_unbroken_one(model, make_run, sampler, guidance, stored):
    """From the state after any step, every sampler goes on to bit-identical latents, with momentum, average, injection and
    condition switch in play."""
    extras = {
        "velocity_average": 0.2,
        "velocity_limit": 0.9,
        "edit": Edit(source=draw(5, 1, FRAMES, 64), region=(10, 30), injection=0.7, blend=4),
        "after": Branch(draw(6, 1, 7, 64), draw(7, 1, FRAMES, 128)),
        "strength": 0.5,
    }
    snapshots = []
    whole = render(model, make_run(sampler, guidance, on_step=snapshots.append, **extras))
    resumed = render(model, make_run(sampler, guidance, resume=snapshots[stored], **extras))
    assert torch.equal(whole, resumed)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "dpmpp_2m_sde"])
def test_a_step_stored_by_version_0_1_resumes_exactly(model, make_run, sampler):
    """Its sampler state has an index and no time of its own."""
    snapshots = []
    whole = render(model, make_run(sampler, on_step=snapshots.append))
    stored = snapshots[2]
    stored.sampler = {"index": 2, "x0": stored.sampler["x0"]}
    assert torch.equal(whole, render(model, make_run(sampler, resume=stored)))


@pytest.mark.parametrize("sampler", [spec.name for spec in SAMPLERS])
def test_same_seed_same_take(model, make_run, sampler):
    """A run repeats bit for bit; another seed is another take."""
    first, again, other = (render(model, make_run(sampler, seeds=(seed,))) for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("sampler", [spec.name for spec in SAMPLERS])
@pytest.mark.parametrize("guidance", [spec.name for spec in GUIDANCE])
def test_batch_equals_single_runs(model, make_run, sampler, guidance):
    """Items of a batch are the single runs' takes, to rounding: nothing leaks from one item to its neighbour."""
    together = render(model, make_run(sampler, guidance, seeds=(3, 4, 5)))
    for row, seed in enumerate((3, 4, 5)):
        alone = render(model, make_run(sampler, guidance, seeds=(seed,)))
        torch.testing.assert_close(together[row : row + 1], alone, atol=5e-4, rtol=1e-3)


@pytest.mark.parametrize("sampler", [spec.name for spec in SAMPLERS])
def test_cancel_stops_at_the_next_velocity_call(model, make_run, sampler):
    """What tick raises ends the run at once, in the middle of a step too."""
    calls = []

    def tick(done, expected):
        calls.append(done)
        if done == 4:
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        render(model, make_run(sampler, tick=tick))
    assert calls == [1, 2, 3, 4]


@pytest.mark.parametrize("sampler", [spec.name for spec in SAMPLERS])
def test_progress_never_exceeds_what_was_expected(model, make_run, sampler):
    """Every velocity call is counted, up to the announced number (one less where the last step is plain)."""
    seen = []
    spec = next(spec for spec in SAMPLERS if spec.name == sampler)
    render(model, make_run(sampler, tick=lambda done, expected: seen.append((done, expected))))
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert {expected for _, expected in seen} == {6 * spec.evaluations}
    assert len(seen) == 6 * spec.evaluations - (spec.evaluations - 1)


def test_injection_holds_the_outside(model, make_run):
    """While it lasts, everything outside the region is the source at the run's noise level; the region is the sampler's own."""
    source, steps = draw(5, 1, FRAMES, 64), []
    edit = Edit(source=source, region=(10, 30), injection=0.5)
    request = make_run(edit=edit, on_step=steps.append)
    render(model, request)
    noise = request.noise.initial()
    for step in steps[:3]:
        noised = step.t * noise + (1 - step.t) * source
        assert torch.equal(step.x[:, :10], noised[:, :10]) and torch.equal(step.x[:, 30:], noised[:, 30:])
        assert not torch.isclose(step.x[:, 10:30], noised[:, 10:30]).all(-1).any()
    assert not torch.isclose(steps[3].x[:, :10], (steps[3].t * noise + (1 - steps[3].t) * source)[:, :10]).all(-1).any()


@pytest.mark.parametrize(("region", "length"), [((10, 30), 6), ((2, 38), 6), ((0, 40), 6), ((0, 25), 3)])
def test_end_blend(model, make_run, region, length):
    """Outside the ramps the result is the source, bit for bit; inside the region it is the model's; the ramps rise evenly, and are
    shorter where the clip ends."""
    source = draw(5, 1, FRAMES, 64)
    edit = Edit(source=source, region=region)
    plain = render(model, make_run(edit=edit))
    blended = render(model, make_run(edit=Edit(source=source, region=region, blend=length)))
    start, end = region
    before, after = min(length, start), min(length, FRAMES - end)
    assert torch.equal(blended[:, start:end], plain[:, start:end])
    assert torch.equal(blended[:, : start - before], source[:, : start - before])
    assert torch.equal(blended[:, end + after :], source[:, end + after :])
    for k in range(before):
        share = (k + 1) / (before + 1)
        frame = start - before + k
        torch.testing.assert_close(blended[:, frame], share * plain[:, frame] + (1 - share) * source[:, frame])


def test_condition_switch(model, make_run):
    """Before step int(steps * strength) the run is that of the main condition, from there on that of the other."""
    after = Branch(draw(6, 1, 7, 64), draw(7, 1, FRAMES, 128))
    main_only, switched = [], []
    render(model, make_run(on_step=main_only.append))
    render(model, make_run(after=after, strength=0.5, on_step=switched.append))
    same = [torch.equal(a.x, b.x) for a, b in zip(main_only, switched, strict=True)]
    assert same == [True] * 3 + [False] * 3
    other_only = render(model, make_run(main=after))
    assert torch.equal(render(model, make_run(after=after, strength=0.0)), other_only)


def test_start_from_source(model, make_run):
    """A run that begins at t from a clean latent begins at that latent's noised form, and takes only the rest of the steps."""
    clean, calls = draw(8, 1, FRAMES, 64), []
    times = truncate(schedule_times(SCHEDULES[0], 6, 3.0), 0.4)

    def sampler(velocity, x, times, noise, state=None):
        calls.append(x)
        yield from SAMPLERS[0].run(velocity, x, times, noise, state)

    request = replace(make_run(times=times, start=clean), sampler=sampler)
    render(model, request)
    assert times[0] == pytest.approx(0.4)
    torch.testing.assert_close(calls[0], times[0] * request.noise.initial() + (1 - times[0]) * clean)


def test_guidance_interval(model, make_run):
    """Outside the interval on t the conditional velocity stands alone: the unconditional branch is not evaluated."""
    seen = []
    dit = model.transformer
    original = dit.velocity

    def velocity(x, t, context, conditions, **more):
        seen.append((round(t, 3), len(conditions)))
        return original(x, t, context, conditions, **more)

    settings = make_run(guidance="apg").guidance
    interval = replace(settings, low=0.5, high=0.9)
    dit.velocity = velocity
    try:
        render(model, replace(make_run(), guidance=interval))
    finally:
        del dit.velocity
    assert all((branches == 2) == (0.5 <= t <= 0.9) for t, branches in seen) and len({b for _, b in seen}) == 2


def test_not_a_number_is_an_error(model, make_run):
    """NaN, infinite and all-zero results are errors, never silence."""

    def broken(value):
        def sampler(velocity, x, times, noise, state=None):
            velocity(x, times[0])
            yield Step(x=torch.full_like(x, value), x0=x)

        return sampler

    for value in (float("nan"), float("inf"), 0.0):
        with pytest.raises(NumericFailure):
            render(model, replace(make_run(), sampler=broken(value)))


def test_corrections_are_off_by_default_and_change_the_run(model, make_run):
    """Wavelet correction acts only when it is asked for, and with amounts of zero it is the identity."""
    plain = render(model, make_run())
    assert torch.allclose(render(model, make_run(corrections={"low": 0.0, "high": 0.0})), plain)
    for name in ("low", "high", "pix"):
        assert not torch.allclose(render(model, make_run(corrections={name: 0.1})), plain)


def test_noise_of_a_longer_clip_begins_with_the_shorter(model):
    """Making a clip longer keeps the noise of its beginning; every step's noise is its own."""
    short, long = SeededNoise([7], 20), SeededNoise([7], 50)
    assert torch.equal(short.initial(), long.initial()[:, :20])
    assert not torch.equal(short.step(0), short.step(1)) and not torch.equal(short.step(0), short.initial())


def test_retake_keeps_the_variance():
    """A variation mix has unit variance, is the seed's own noise at 0 and the other seed's at 1."""
    own, other = SeededNoise([7], 400).initial(), SeededNoise([8], 400).initial()
    assert torch.equal(SeededNoise([7], 400, variation=0.0, variation_seed=8).initial(), own)
    torch.testing.assert_close(
        SeededNoise([7], 400, variation=1.0, variation_seed=8).initial(), other, atol=1e-6, rtol=1e-6
    )
    assert SeededNoise([7], 400, variation=0.4, variation_seed=8).initial().std().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    "timesteps", [[], [0.5, 0.5], [0.2, 0.6], [1.5, 0.3], [0.5, -0.1], [float("nan")], [1.0] * 300]
)
def test_impossible_timesteps(timesteps):
    """Timesteps that do not fall inside (0, 1] are refused at the door."""
    with pytest.raises(BadRequest):
        custom_times(timesteps)


def test_custom_timesteps_end_at_zero():
    """A closing 0 may be given or left out."""
    assert custom_times([1.0, 0.5]) == custom_times([1.0, 0.5, 0.0]) == [1.0, 0.5, 0.0]


def test_truncate():
    """A run begins exactly at t_start, or at the nearest trained time where only those are known; 1 leaves it whole."""
    times = [1.0, 0.8, 0.6, 0.4, 0.0]
    assert truncate(times, 1.0) == times
    assert truncate(times, 0.5) == [0.5, 0.4, 0.0]
    assert truncate(times, 0.6) == pytest.approx([0.6, 0.4, 0.0])
    assert truncate(times, 0.1) == pytest.approx([0.1, 0.0])
    assert truncate(times, 0.69, nearest=True) == [0.6, 0.4, 0.0]
    with pytest.raises(BadRequest):
        truncate(times, 0.0)
