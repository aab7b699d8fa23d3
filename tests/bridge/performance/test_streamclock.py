"""Frames and moments belong together, whatever the scheduler does."""

import random

import pytest

from bridge.performance.player.streamclock import RECENT, StreamClock

RATE, BLOCK = 48_000, 256


def run(clock: StreamClock, blocks: int, *, first: int = 0, behind: int = 0, late: float = 0.0, seed: int = 1) -> int:
    """Feed blocks of a card whose frame 0 is heard at 100 s; ``behind`` frames were lost. Returns the frames to skip."""
    rng = random.Random(seed)
    skipped = 0
    for number in range(first, first + blocks):
        frame = number * BLOCK + skipped
        moment = 100.0 + (number * BLOCK + behind) / RATE
        skipped += clock.observe(frame, moment + rng.uniform(0, late), BLOCK)
    return skipped


def test_late_wake_ups_do_not_move_the_clock():
    clock = StreamClock(RATE)
    assert run(clock, 400, late=0.004) == 0
    assert abs(clock.frame_at(103.0) - 3 * RATE) < RATE / 1000


@pytest.mark.parametrize("lost", [1, 3, 20])
def test_lost_blocks_are_noticed_and_skipped_once(lost):
    clock = StreamClock(RATE)
    run(clock, 300, late=0.001)
    assert run(clock, 4 * RECENT, first=300, behind=lost * BLOCK, late=0.001) == pytest.approx(lost * BLOCK, abs=48)
    assert clock.frame_at(103.0) == pytest.approx(3 * RATE, abs=RATE / 1000)


def test_moment_and_frame_are_inverse():
    clock = StreamClock(RATE)
    run(clock, 50)
    assert clock.frame_at(clock.clock_at(12_345)) == 12_345
