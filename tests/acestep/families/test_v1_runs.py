"""Runs of v1 as a job needs them: exact progress, cancel at every evaluation, sameness, and sources that stay as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from acestep.api.errors import BadRequest, RegionOutside
from acestep.api.targets import resolve_target
from acestep.audio.resample import resample
from acestep.families.ace_step_v1 import tasks
from acestep.families.ace_step_v1.codec import LATENT_TILES
from acestep.families.ace_step_v1.conditions import NO_SWITCHES, Prompt, Switches, words_for, words_for_edit
from acestep.families.ace_step_v1.edit import EditOptions, edit
from acestep.families.ace_step_v1.lyrics import LyricTokenizer
from acestep.families.ace_step_v1.noise import StepNoise, draw
from acestep.families.ace_step_v1.run import Guidance, Run
from acestep.families.ace_step_v1.schedule import levels, levels_near, picked_levels
from acestep.families.ace_step_v1.tasks import audio_to_audio, extend, repaint, text_to_music
from acestep.families.ace_step_v1.units import MAX_FRAMES, RATE, frames_covering, frames_within
from acestep.families.ace_step_v1.velocity import held_mean
from plugins.guidance import GUIDANCE
from plugins.samplers import SAMPLERS

FRAMES = 24
APG = resolve_target(next(spec.target for spec in GUIDANCE if spec.name == "apg"))
SOLVERS = {spec.name: spec for spec in SAMPLERS}


@pytest.fixture(scope="module")
def transformer(model_v1):
    return model_v1.transformer


@pytest.fixture(scope="module")
def prompt(model_v1):
    text, mask = model_v1.prompts.encode("soft piano")
    weak = model_v1.prompts.encode_weakly("soft piano")
    return Prompt(text, mask, torch.tensor([[3, 9, 2]]), torch.tensor([[1, 1, 1]]), weak)


@pytest.fixture(scope="module")
def run(transformer, prompt):
    return Run(
        words=words_for(transformer, prompt, Switches()),
        levels=levels(4),
        sampler=SOLVERS["euler"],
        noise=StepNoise(7, FRAMES),
        guidance=Guidance(make=APG),
    )


@pytest.fixture(scope="module")
def source():
    return draw(11, FRAMES)


class Stop(Exception):
    pass


@pytest.mark.parametrize("name", ["euler", "heun", "pingpong", "dpmpp_2m"])
@pytest.mark.parametrize(
    "guidance", [Guidance(make=APG), Guidance(make=APG, scale=1.0), Guidance(make=APG, interval=1.0)]
)
def test_progress_counts_every_evaluation(transformer, run, name, guidance):
    """The number that is expected at the beginning is the number that comes."""
    ticks = []
    told = replace(
        run, sampler=SOLVERS[name], guidance=guidance, tick=lambda done, expected: ticks.append((done, expected))
    )
    text_to_music(transformer, told, draw(1, FRAMES))
    assert ticks == [(index + 1, len(ticks)) for index in range(len(ticks))]


def test_a_run_stops_at_any_evaluation(transformer, run, source):
    """The exception that the tick raises comes out at once."""
    old = run.words
    starts = {
        "text": lambda told: text_to_music(transformer, told, draw(1, FRAMES)),
        "repaint": lambda told: repaint(transformer, told, (draw(1, FRAMES), draw(2, FRAMES)), source, (4, 9)),
        "edit": lambda told: edit(transformer, told, old, source, EditOptions()),
    }
    for start in starts.values():
        seen = []

        def stop(done, expected, seen=seen):
            seen.append(done)
            if done == 3:
                raise Stop

        with pytest.raises(Stop):
            start(replace(run, tick=stop))
        assert seen == [1, 2, 3]


def test_every_step_is_told(transformer, run):
    seen = []
    told = replace(run, on_step=lambda step, x, x0: seen.append((step, tuple(x.shape), tuple(x0.shape))))
    text_to_music(transformer, told, draw(1, FRAMES))
    assert seen == [(step, (1, 8, 16, FRAMES), (1, 8, 16, FRAMES)) for step in range(4)]


@pytest.mark.parametrize("name", ["euler", "pingpong"])
def test_the_same_seeds_give_the_same_piece(transformer, run, name):
    one, two = (text_to_music(transformer, replace(run, sampler=SOLVERS[name]), draw(1, FRAMES)) for _ in range(2))
    assert torch.equal(one, two)
    other = text_to_music(transformer, replace(run, sampler=SOLVERS[name], noise=StepNoise(8, FRAMES)), draw(1, FRAMES))
    assert torch.equal(one, other) == (name == "euler")


@pytest.mark.parametrize("name", ["euler", "heun", "pingpong"])
@pytest.mark.parametrize("variance", [1.0, 0.5])
def test_outside_a_repaint_the_source_stays(transformer, run, source, name, variance):
    noises = (draw(1, FRAMES), draw(2, FRAMES))
    found = repaint(transformer, replace(run, sampler=SOLVERS[name]), noises, source, (5, 11), variance)
    assert torch.equal(found[..., :5], source[..., :5]) and torch.equal(found[..., 11:], source[..., 11:])
    assert not torch.equal(found[..., 5:11], source[..., 5:11])


def test_a_repaint_without_variance_is_the_source(transformer, run, source):
    assert torch.equal(repaint(transformer, run, (source, source), source, (5, 11), 0.0), source)


@pytest.mark.parametrize("region", [(5, 5), (-1, 4), (3, FRAMES + 1)])
def test_a_region_outside_is_refused(transformer, run, source, region):
    with pytest.raises(RegionOutside):
        repaint(transformer, run, (source, source), source, region)


@pytest.mark.parametrize(("left", "right"), [(6, 0), (0, 6), (6, 4), (40, 3)])
def test_an_extension_keeps_its_source(transformer, run, source, left, right):
    """Both sides at once too, and more than the source's own length: the original fails there."""
    noises = (draw(1, FRAMES), draw(2, max(FRAMES, left, right)))
    found = extend(transformer, run, noises, source, left, right)
    assert found.shape[-1] == left + FRAMES + right
    assert torch.equal(found[..., left : left + FRAMES], source)


@pytest.mark.parametrize(("left", "right"), [(9, 0), (0, 9), (9, 9)])
def test_beyond_the_longest_piece_a_part_of_the_source_is_seen(monkeypatch, transformer, run, source, left, right):
    """The whole is longer than the model knows, each run is not, and the source stays."""
    monkeypatch.setattr(tasks, "MAX_FRAMES", 30)
    monkeypatch.setattr(tasks, "CONTEXT", 10)
    lengths = []
    told = replace(run, on_step=lambda step, x, x0: lengths.append(x.shape[-1]))
    found = extend(transformer, told, (draw(1, FRAMES), draw(2, FRAMES)), source, left, right)
    assert torch.equal(found[..., left : left + FRAMES], source)
    assert found.shape[-1] == left + FRAMES + right and max(lengths) <= 30


def test_an_extension_of_nothing_is_refused(transformer, run, source):
    for left, right in ((0, 0), (-1, 4), (0, MAX_FRAMES)):
        with pytest.raises(BadRequest, match="extension adds"):
            extend(transformer, run, (source, source), source, left, right)


def test_a_reference_counts_from_not_at_all_to_wholly(transformer, run, source):
    noise = draw(1, FRAMES)
    assert torch.equal(audio_to_audio(transformer, run, noise, source, 0.0), text_to_music(transformer, run, noise))
    assert torch.equal(audio_to_audio(transformer, run, noise, source, 1.0), source)
    near, far = (audio_to_audio(transformer, run, noise, source, strength) for strength in (0.75, 0.25))
    assert (near - source).square().mean() < (far - source).square().mean()
    with pytest.raises(BadRequest, match="between 0 and 1"):
        audio_to_audio(transformer, run, noise, source, 1.5)


def test_an_edit_to_the_same_words_changes_nothing(transformer, run, prompt, source):
    """Without guidance both velocities are the same at the first step, and so at all."""
    words = words_for_edit(transformer, prompt)
    told = replace(run, words=words, guidance=Guidance(make=APG, scale=1.0))
    found = edit(transformer, told, words, source, EditOptions(0.2, 1.0))
    torch.testing.assert_close(found, source, atol=1e-5, rtol=1e-5)


def test_the_switches_change_what_guidance_steers_away_from(transformer, run, prompt):
    """Each of them matters; weak text only with weak lyrics, as in the original."""

    def piece(*switches):
        words = words_for(transformer, prompt, Switches(*switches))
        return text_to_music(transformer, replace(run, words=words), draw(1, FRAMES))

    plain = words_for(transformer, prompt, NO_SWITCHES)
    none = text_to_music(transformer, replace(run, words=plain), draw(1, FRAMES))
    assert torch.equal(piece(True, False, False), none)
    assert not torch.equal(piece(False, True, False), none)
    assert not torch.equal(piece(True, True, False), piece(False, True, False))


def test_omega_holds_the_mean():
    velocity = draw(1, FRAMES)
    assert torch.allclose(held_mean(velocity, 0.0), velocity, atol=1e-6)
    for omega, factor in ((10.0, 1.04621), (1000.0, 1.1), (-1000.0, 0.9)):
        held = held_mean(velocity, omega)
        torch.testing.assert_close(held.mean(), velocity.mean(), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(held - held.mean(), factor * (velocity - velocity.mean()), atol=1e-4, rtol=1e-4)


def test_levels_are_the_published_ones():
    """27 steps of the original, and what diffusers' scheduler with a shift of 3 gives."""
    found = levels(27)
    assert found[:4] == pytest.approx([1.0, 0.98688, 0.97306, 0.95847], abs=1e-5)
    assert found[-4:] == pytest.approx([0.2062, 0.11455, 0.0089286, 0.0], abs=1e-4)
    scheduler = pytest.importorskip("diffusers").FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, shift=3.0)
    scheduler.set_timesteps(27)
    assert found == pytest.approx(scheduler.sigmas.tolist(), abs=1e-6)


def test_levels_near_a_reference():
    found, start = levels_near(60, 0.5)
    assert (len(found) - 1, start, found[0]) == (30, pytest.approx(0.75), pytest.approx(0.9))
    assert levels_near(60, 1.0) == ([0.0], 0.0)


def test_chosen_steps_are_checked():
    assert picked_levels([1, 4, 8])[-1] == 0.0 and len(picked_levels([1, 4, 8])) == 4
    with pytest.raises(BadRequest):
        picked_levels([4, 4])
    with pytest.raises(BadRequest, match="1 to 200"):
        levels(0)


def test_seconds_become_frames():
    """The original's own table: 30 s, 60, 120, 240."""
    assert [frames_within(seconds) for seconds in (30, 60, 120, 240)] == [322, 645, 1291, MAX_FRAMES]
    assert frames_covering(4096) == 1 and frames_covering(4097) == 2


def test_sound_comes_back_in_whole_frames(model_v1):
    sound = 0.1 * torch.randn(2, 44_100, generator=torch.Generator().manual_seed(1))
    latents = model_v1.codec.encode(sound)
    assert latents.shape == (1, 8, 16, 11)
    assert model_v1.codec.decode(latents).shape == (2, 11 * 4096)


def test_a_song_from_words_to_sound(model_v1, tiny_v1):
    """All networks after one another, with lyrics; 48 kHz to the sample by the engine's resampler, and the same again."""
    seconds, rate = 2.5, 48_000
    frames = frames_covering(int(seconds * RATE))
    text, mask = model_v1.prompts.encode("lo-fi piano, 80 bpm")
    lyrics = LyricTokenizer.load(tiny_v1 / "vocab.json", model_v1.transformer.sizes.lyric_tokens)
    ids = torch.tensor([lyrics.encode("[verse]\nla la la").ids])
    prompt = Prompt(text, mask, ids, torch.ones_like(ids), model_v1.prompts.encode_weakly("lo-fi piano, 80 bpm"))
    made = []
    for _ in range(2):
        run = Run(
            words=words_for(model_v1.transformer, prompt, Switches()),
            levels=levels(3),
            sampler=SOLVERS["euler"],
            noise=StepNoise(5, frames),
            guidance=Guidance(make=APG),
        )
        native = model_v1.codec.decode(text_to_music(model_v1.transformer, run, draw(5, frames)))
        made.append(resample(native.numpy(), RATE, rate, int(seconds * rate)))
    assert made[0].shape == (2, 120_000) and np.isfinite(made[0]).all() and made[0].any()
    assert np.array_equal(*made)


def test_no_lyrics_are_masked(transformer, prompt):
    """Instrumental music: one token whose mask is 0, so that whichever it is plays no part."""
    mask = torch.tensor([[0]])
    found = []
    for token in (0, 7):
        silent = replace(prompt, lyrics=torch.tensor([[token]]), lyric_mask=mask)
        condition = words_for(transformer, silent, NO_SWITCHES).main
        found.append(transformer.velocity(draw(3, FRAMES), 500.0, condition))
    assert torch.equal(*found)


def test_the_vocoder_in_tiles_is_the_whole(model_v1, monkeypatch):
    """Its tiles overlap by all that a sample can depend on."""
    from acestep.codec.tiles import Tiling
    from acestep.families.ace_step_v1 import codec
    from acestep.families.ace_step_v1.vocoder import REACH

    latents, ticks = draw(1, 60), []
    whole = model_v1.codec.decode(latents)
    monkeypatch.setattr(codec, "SOUND_TILES", Tiling(100 + 2 * REACH, REACH))
    tiled = model_v1.codec.decode(latents, lambda done, parts: ticks.append((done, parts)))
    torch.testing.assert_close(tiled, whole, atol=1e-6, rtol=1e-5)
    assert ticks == [(index + 1, 6) for index in range(6)]


def test_the_autoencoder_in_tiles_is_near_the_whole(model_v1, monkeypatch):
    """Tiles are blended: nothing jumps where two of them meet."""
    from acestep.codec.tiles import Tiling
    from acestep.families.ace_step_v1 import codec

    assert LATENT_TILES.chunk > 2 * LATENT_TILES.margin
    monkeypatch.setattr(codec, "LATENT_TILES", Tiling(64, 16))
    latents = draw(1, 100)
    whole, tiled = model_v1.codec.decode(latents), model_v1.codec.decode(latents, tiled=True)
    assert (tiled - whole).square().mean() < 0.05 * whole.square().mean()


def test_memory_that_runs_out_leads_to_tiles(model_v1, monkeypatch):
    """One attempt at the whole, then tiles, and a note of it."""
    from acestep.codec.tiles import Tiling
    from acestep.families.ace_step_v1 import codec

    monkeypatch.setattr(codec, "LATENT_TILES", Tiling(32, 8))
    made, plain = model_v1.codec, model_v1.autoencoder.decoder.forward

    def short(latents):
        if latents.shape[-1] > 32:
            raise torch.OutOfMemoryError("out of memory")
        return plain(latents)

    monkeypatch.setattr(model_v1.autoencoder.decoder, "forward", short)
    assert made.decode(draw(1, 60)).shape == (2, 60 * 4096)
    assert made.notes == ["memory was short: the codec worked in tiles"]
