"""What the player plays is exact to the sample, whatever the size of the sound card's blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acestep.api.errors import BadRequest
from bridge.performance.player.mixer import DECLICK, Mixer, Slot, SlotSettings


def ramp(frames: int, first: float = 1.0) -> np.ndarray:
    return np.repeat(np.arange(first, first + frames, dtype=np.float32)[:, None], 2, axis=1)


def play(mixer: Mixer, frames: int, block: int) -> np.ndarray:
    return np.concatenate([mixer.render(at, min(block, frames - at)) for at in range(0, frames, block)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.integers(0, 900), st.integers(1, 300))
def test_a_loop_repeats_its_samples_from_the_launch_frame_on(length, launch, block):
    mixer = Mixer()
    mixer.load(3, Slot(ramp(length), SlotSettings()))
    mixer.launch(3, launch)
    heard = play(mixer, 2000, block)[:, 0]
    expected = np.zeros(2000, np.float32)
    expected[launch:] = np.arange(2000 - launch) % length + 1
    assert np.array_equal(heard, expected)


def test_the_seam_is_the_tail_fading_into_the_beginning_and_the_period_stays():
    tone = np.sin(2 * np.pi * 440 * np.arange(1200) / 48_000).astype(np.float32)
    audio = np.repeat(tone[:, None], 2, axis=1)
    mixer = Mixer()
    mixer.load(0, Slot(audio, SlotSettings(length=1000, crossfade=200)))
    mixer.launch(0, 0)
    heard = play(mixer, 3000, 64)[:, 0]
    assert np.array_equal(heard[:1000], tone[:1000])
    assert np.array_equal(heard[1000:2000], heard[2000:3000])
    largest_step = np.abs(np.diff(heard)).max()
    assert largest_step < 1.6 * np.abs(np.diff(tone)).max()


def test_a_one_shot_ends_after_its_last_sample():
    mixer = Mixer()
    mixer.load(0, Slot(ramp(100), SlotSettings(loop=False)))
    mixer.launch(0, 10)
    heard = play(mixer, 300, 32)[:, 0]
    assert np.array_equal(np.flatnonzero(heard), np.arange(10, 110))
    assert mixer.playing() == []


def test_a_choke_group_hands_over_at_the_frame():
    mixer = Mixer()
    mixer.load(0, Slot(np.ones((100, 2), np.float32), SlotSettings(choke=1)))
    mixer.load(1, Slot(np.full((100, 2), 2.0, np.float32), SlotSettings(choke=1)))
    mixer.load(2, Slot(np.full((100, 2), 4.0, np.float32), SlotSettings()))
    for number in (0, 2):
        mixer.launch(number, 0)
    mixer.launch(1, 500)
    heard = play(mixer, 2000, 50)[:, 0]
    assert np.all(heard[:500] == 5)
    assert np.all(heard[500 + DECLICK :] == 6)


def test_stopping_fades_and_never_clicks():
    mixer = Mixer()
    mixer.load(0, Slot(np.ones((64, 2), np.float32), SlotSettings()))
    mixer.launch(0, 0)
    mixer.stop(0, 400)
    heard = play(mixer, 1000, 37)[:, 0]
    assert np.all(heard[:400] == 1) and np.all(heard[400 + DECLICK :] == 0)
    assert np.abs(np.diff(heard)).max() <= 1.01 / DECLICK


def test_loading_a_slot_does_not_touch_what_sounds_of_the_old_one():
    mixer = Mixer()
    mixer.load(0, Slot(np.ones((10, 2), np.float32), SlotSettings()))
    mixer.launch(0, 0)
    mixer.load(0, Slot(np.zeros((10, 2), np.float32), SlotSettings()))
    assert np.all(mixer.render(0, 100) == 1)


def test_gain_is_per_slot_and_a_mono_card_hears_the_mean():
    mixer = Mixer(channels=1)
    audio = np.stack([np.ones(10), np.full(10, 3.0)], axis=1).astype(np.float32)
    mixer.load(0, Slot(audio, SlotSettings(gain=0.5)))
    mixer.launch(0, 0)
    assert np.all(mixer.render(0, 10) == 1.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.launch(5, 0),
        lambda m: m.load(64, Slot(ramp(1), SlotSettings())),
        lambda m: Slot(ramp(0), SlotSettings()),
        lambda m: Slot(ramp(4), SlotSettings(length=5)),
    ],
)
def test_what_cannot_be_played_is_refused(call):
    with pytest.raises(BadRequest):
        call(Mixer())
