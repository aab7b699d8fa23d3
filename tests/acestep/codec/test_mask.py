"""A masked stem is a part of its mix: what it takes is missing in the residual, phase and all."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from acestep.codec import mask
from acestep.codec.mask import masked, takes_agree

RATE = 48_000
TIME = np.arange(2 * RATE) / RATE


def tone(hertz: float, phase: float = 0.0, level: float = 0.3) -> np.ndarray:
    return np.tile((level * np.sin(2 * np.pi * hertz * TIME + phase)).astype(np.float32), (2, 1))


def power(sound: np.ndarray) -> float:
    return float(np.square(sound).mean())


def test_the_stem_has_the_phase_of_the_mix():
    """A model that renders the right tone in its own phase: taken from the mix as it is, it doubles; masked, it goes."""
    stem, rest = tone(440), tone(1500)
    made, heard = tone(440, phase=2.0), tone(440, phase=1.0) + tone(1500, phase=0.5)
    mix = stem + rest
    found = masked([made], mix, heard, RATE)
    inner = slice(4096, -4096)
    assert power((found - stem)[:, inner]) < 1e-4 * power(stem)
    assert power((mix - found - rest)[:, inner]) < 1e-4 * power(rest)
    assert power((mix - made - rest)[:, inner]) > power(stem), "what it is for"


def test_all_nothing_and_the_codecs_own_faults():
    """A stem that is all the codec hears is the mix itself, even where the codec hears it too softly; silence is silence."""
    mix = tone(300) + np.random.default_rng(1).normal(0, 0.1, (2, len(TIME))).astype(np.float32)
    assert np.allclose(masked([0.7 * mix], mix, 0.7 * mix, RATE), mix, atol=2e-3)
    assert not masked([np.zeros_like(mix)], mix, mix, RATE).any()
    assert masked([mix[:, :100]], mix[:, :100], mix[:, :100], RATE).shape == (2, 100)


def test_little_of_a_mix_is_measured_by_its_own_level():
    """The codec hears noise at half its level; a stem a tenth as loud as the noise is not doubled for it."""
    mix = np.random.default_rng(1).normal(0, 0.1, (2, len(TIME))).astype(np.float32)
    found = masked([0.1 * mix], mix, 0.5 * mix, RATE)
    assert 0.02 < power(found) / power(mix) < 0.026, "0.05 by the codec's level alone"


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_blocks_leave_no_trace(monkeypatch, rate):
    """However long the blocks, every sample is the same to rounding."""
    dice = np.random.default_rng(2)
    stem, mix, heard = (dice.normal(0, 0.2, (2, 60_001)).astype(np.float32) for _ in range(3))
    whole = masked([stem], mix, heard, rate)
    monkeypatch.setattr(mask, "BLOCK_SECONDS", 0.2)
    assert np.allclose(masked([stem], mix, heard, rate), whole, atol=1e-6)


def test_a_cancelled_job_stops_between_blocks(monkeypatch):
    """Long files are masked in seconds, not in one breath."""
    monkeypatch.setattr(mask, "BLOCK_SECONDS", 0.2)
    sound, asked = tone(300), []

    def check() -> None:
        asked.append(True)
        if len(asked) == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        masked([sound], sound, sound, RATE, check)


def test_takes_that_miss_a_stem_hardly_make_it_softer():
    """Half of the takes are deaf: a plain mean would lose 6 dB. Takes that agree give what each gives; none gives silence."""
    stem, rest = tone(440), tone(1500)
    mix, deaf = stem + rest, np.zeros_like(stem)
    inner = slice(4096, -4096)
    heard = power(masked([stem, deaf], mix, mix, RATE)[:, inner])
    assert -1.0 < 10 * np.log10(heard / power(stem[:, inner])) < -0.1
    assert np.allclose(masked([0.5 * stem] * 3, mix, mix, RATE), masked([0.5 * stem], mix, mix, RATE), atol=1e-5)
    assert not masked([deaf, deaf], mix, mix, RATE).any()


def test_a_stem_that_is_nearly_all_of_a_mix_keeps_its_level():
    """Shares scatter about one and are cut off there; their mean falls short by chance, not because something else sounds."""
    mix = np.random.default_rng(3).normal(0, 0.1, (2, len(TIME))).astype(np.float32)
    inner = slice(4096, -4096)
    assert np.allclose(masked([0.9 * mix], mix, mix, RATE)[:, inner], mix[:, inner], atol=2e-3)
    assert power(masked([0.5 * mix], mix, mix, RATE)) < 0.4 * power(mix)


def test_takes_are_joined_by_the_mean_of_the_fourth_order():
    """Bin by bin, as written down in numpy: the shares' fourth powers, their mean, its fourth root, the lift."""
    rng = np.random.default_rng(0)
    mix = rng.uniform(-0.5, 0.5, (2, RATE)).astype(np.float32)
    takes = [(level * mix).astype(np.float32) for level in (0.2, 0.5, 0.9)]
    share = mask.LIFT * np.mean([0.2**4, 0.5**4, 0.9**4]) ** 0.25
    found = masked(takes, mix, mix, RATE)
    inner = slice(4096, -4096)
    assert found[:, inner] == pytest.approx(share * mix[:, inner], abs=2e-3)


def alike(difference: float, count: int, frames: int = 300) -> list[torch.Tensor]:
    """Takes of one stem that lie so far apart, in standard deviations."""
    dice = torch.Generator().manual_seed(4)
    stem = torch.randn(1, frames, 64, generator=dice)
    return [stem + difference * torch.randn(1, frames, 64, generator=dice) for _ in range(count)]


def test_takes_are_enough_when_they_agree():
    """Never fewer than three; the farther apart they lie, the more there are."""
    assert not takes_agree([]) and not takes_agree(alike(0.0, 2)) and takes_agree(alike(0.1, 3))
    enough = [next(n for n in range(1, 99) if takes_agree(alike(far, n))) for far in (0.1, 0.4, 0.5)]
    assert enough == [3, 4, 6]
    assert not takes_agree(alike(3.0, 8))


def test_a_take_that_is_deaf_for_ten_seconds_is_noticed():
    """Also where the rest of a minute agrees; silence agrees with itself."""
    takes = alike(0.05, 4, frames=1500)
    assert takes_agree(takes)
    takes[1][:, 512:768] = 0
    assert not takes_agree(takes)
    assert takes_agree([torch.zeros(1, 300, 64)] * 3)
