"""The width of a sound, measured and given to another: level and correlation by band, the mono sum untouched."""

from __future__ import annotations

import numpy as np
import pytest

from acestep.codec.width import (
    BANDS,
    EDGES,
    MONO,
    NEW_PART,
    RATE,
    StageWidth,
    Width,
    follow,
    measure,
    told_width,
    widen,
)

BASS = sum(edge < 140 for edge in EDGES)
"""Bands that a new part leaves in the middle."""


def noise(seconds: float = 6.0, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32) * 0.1


def stereo(pan: float, spread: float, seed: int = 1) -> np.ndarray:
    """Noise whose side is ``pan`` of the middle and ``spread`` of a noise of its own."""
    middle, other = noise(seed=seed), noise(seed=seed + 100)
    side = pan * middle + spread * other
    return np.stack([middle + side, middle - side])


def correlation(sound: np.ndarray) -> float:
    return float(np.corrcoef(sound[0], sound[1])[0, 1])


@pytest.mark.parametrize(("pan", "spread"), [(0.0, 0.3), (0.5, 0.0), (-0.4, 0.6), (0.0, 1.0)])
def test_another_sound_gets_the_width_that_was_measured(pan, spread):
    """Side level, balance and correlation of a stereo sound come back on another, mono one."""
    model = stereo(pan, spread)
    found = measure([model], RATE)
    assert np.mean(found.pan) == pytest.approx(pan, abs=0.03)
    assert np.mean(found.spread) == pytest.approx(spread, abs=0.03)
    made = widen(np.stack([noise(seed=9)] * 2), [found])
    again = measure([made], RATE)
    assert np.allclose(np.hypot(again.pan, again.spread), np.hypot(pan, spread), rtol=0.2)
    assert correlation(made) == pytest.approx(correlation(model), abs=0.05)
    assert np.sqrt(np.mean(made[0] ** 2) / np.mean(made[1] ** 2)) == pytest.approx(
        np.sqrt(np.mean(model[0] ** 2) / np.mean(model[1] ** 2)), rel=0.1
    )


@pytest.mark.parametrize("hertz", [110.0, 220.0, 311.127, 440.0, 1760.0, 7040.0])
def test_a_held_note_stays_in_the_middle_of_the_room(hertz):
    """The side of a single tone is as loud as asked, orthogonal to its middle, and leaves both channels equally loud."""
    tone = (0.2 * np.sin(2 * np.pi * hertz * np.arange(4 * RATE) / RATE)).astype(np.float32)
    made = widen(np.stack([tone, tone]), [Width((0.0,) * BANDS, (0.5,) * BANDS)])[:, RATE:-RATE]
    middle, side = made.sum(0) / 2, (made[0] - made[1]) / 2
    assert abs(np.mean(middle * side)) < 1e-3 * np.mean(middle**2)
    assert np.sqrt(np.mean(side**2) / np.mean(middle**2)) == pytest.approx(0.5, rel=0.35)
    assert np.mean(made[0] ** 2) == pytest.approx(np.mean(made[1] ** 2), rel=0.01)


def test_the_mono_sum_is_the_models_own():
    """Whatever the width, left and right still add up to what they were."""
    sound = stereo(0.2, 0.1)
    for width in (NEW_PART, measure([stereo(0.6, 0.8)], RATE)):
        made = widen(sound, [width])
        assert np.abs(made.sum(0) - sound.sum(0)).max() < 1e-6


def test_mono_is_mono_to_the_bit_and_silence_has_no_width():
    """Equal channels measure as no width, and no width makes equal channels; from silence nothing is known."""
    mono = np.stack([noise()] * 2)
    assert measure([mono], RATE) == MONO and set(follow(mono, RATE)) == {MONO}
    made = widen(stereo(0.3, 0.5), [MONO])
    assert np.array_equal(made[0], made[1])
    assert measure([np.zeros((2, RATE), np.float32)], RATE) is None and measure([], RATE) is None


def test_a_stretch_with_its_surroundings_is_what_the_whole_holds():
    """Filters stand at fixed times: what is cut out with two frames around it is the whole's own, one width or many."""
    sound = np.stack([noise(seed=3)] * 2)
    widths = [measure([stereo(0.0, 0.1 * step)], RATE) for step in range(1, 8)]
    first, last, margin = 2 * RATE + 77, 4 * RATE + 5, 3840
    for given in (widths[2:3], widths):
        whole, again = widen(sound, given), widen(sound, given)
        assert np.array_equal(whole, again)
        part = widen(sound[:, first - margin : last + margin], given, first - margin)[:, margin:-margin]
        assert np.abs(part - whole[:, first:last]).max() < 1e-6


def test_a_width_is_followed_in_time():
    """Two seconds wide, then mono: so is what is made after it."""
    sound = stereo(0.0, 0.8)
    sound[:, 3 * RATE :] = sound.mean(0)[3 * RATE :]
    made = widen(np.stack([noise(seed=5)] * 2), follow(sound, RATE))
    assert correlation(made[:, : 2 * RATE]) == pytest.approx(correlation(sound[:, : 2 * RATE]), abs=0.05)
    assert np.array_equal(made[0, 5 * RATE :], made[1, 5 * RATE :])


@pytest.mark.parametrize("rate", [22_050, 44_100, 96_000])
def test_a_width_is_the_same_at_any_rate(rate):
    """Bands are in Hz: a tone on the left is found there whatever the rate."""
    time = np.arange(3 * rate) / rate
    tone = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    found = measure([np.stack([tone, 0.5 * tone])], rate)
    band = sum(edge < 440 for edge in EDGES)
    assert found.pan[band] == pytest.approx(1 / 3, abs=0.01) and found.spread[band] < 0.02


def test_out_of_phase_channels_are_believed_up_to_a_limit():
    """A sound without a middle gives no side of a hundred times what is played."""
    sound = noise()
    found = measure([np.stack([sound, -sound * 0.99])], RATE)
    assert max(np.hypot(found.pan, found.spread)) <= 2.001


def test_a_new_part_has_a_firm_bass_and_an_airy_top():
    """Below 140 Hz both channels are the same, above they are not."""
    made = measure([widen(np.stack([noise()] * 2), [NEW_PART])], RATE)
    assert max(made.spread[:BASS]) < 0.05 and min(made.spread[-8:]) > 0.25


@pytest.mark.parametrize("width", [StageWidth("new part", (NEW_PART,)), StageWidth("surroundings", (NEW_PART,))])
def test_a_recipe_tells_a_width_back(width):
    """What is written down makes the same sound again."""
    assert told_width(width.told).widths == width.widths


@pytest.mark.parametrize("told", [None, {}, {"from": "source"}, {"pan": [1], "spread": [1]}, {"from": 5}, "new part"])
def test_a_recipe_without_a_width_leaves_the_models_own(told):
    """Recipes of other models and of earlier versions have none."""
    assert told_width(told) is None
