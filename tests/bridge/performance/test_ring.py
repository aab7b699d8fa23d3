"""The capture ring gives back exactly what was played, or says that it cannot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestep.api.errors import RegionOutside
from bridge.performance.player.ring import CaptureRing


@given(st.lists(st.integers(1, 70), min_size=1, max_size=30), st.integers(1, 64))
def test_what_is_held_is_what_was_written(blocks, capacity):
    ring = CaptureRing(capacity, 1)
    total = 0
    for size in blocks:
        ring.write(np.arange(total, total + size, dtype=np.float32)[:, None])
        total += size
    held = ring.read(ring.start, ring.end - ring.start)[:, 0]
    assert np.array_equal(held, np.arange(max(0, total - capacity), total))


def test_lost_input_keeps_its_place_in_time():
    ring = CaptureRing(100, 1)
    ring.write(np.ones((10, 1), np.float32))
    ring.skip_to(25)
    ring.write(np.ones((10, 1), np.float32))
    assert ring.read(0, 35)[:, 0].tolist() == [1.0] * 10 + [0.0] * 15 + [1.0] * 10


@pytest.mark.parametrize(("start", "count"), [(0, 5), (95, 10), (95, 0), (50, 51)])
def test_what_is_not_held_is_refused(start, count):
    ring = CaptureRing(50, 2)
    ring.write(np.zeros((100, 2), np.float32))
    with pytest.raises(RegionOutside):
        ring.read(start, count)
