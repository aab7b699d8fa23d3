"""Seconds, bars and other rates become whole samples by one rule: a half goes up."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acestep.api.rounding import half_up, nearest_sample, rescaled, samples

RATES = st.integers(8_000, 192_000)


@pytest.mark.parametrize(("value", "whole"), [(0.5, 1), (1.5, 2), (2.5, 3), (-0.5, 0), (-1.5, -1), (2.4999, 2), (7, 7)])
def test_a_half_goes_up_also_below_zero(value, whole):
    assert half_up(value) == whole


@given(st.floats(-1e6, 1e6), RATES)
def test_seconds_become_the_floor_of_half_a_sample_more(seconds, rate):
    assert samples(seconds, rate) == math.floor(seconds * rate + 0.5)


@given(st.integers(-(2**40), 2**40), RATES, RATES)
def test_another_rate_is_exact_whatever_the_length(count, rate, target):
    """As in fractions, where nothing is lost: floats are not exact after some hours."""
    assert rescaled(count, rate, target) == math.floor(Fraction(count * target, rate) + Fraction(1, 2))


def test_what_bars_leave_a_hair_short_of_a_half_is_the_half():
    assert nearest_sample(100.49999999) == 101
    assert nearest_sample(100.4999) == 100
