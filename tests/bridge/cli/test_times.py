"""Positions as people type them."""

from __future__ import annotations

import pytest

from bridge.cli.times import Tempo, parse_length, parse_position

WALTZ = Tempo(90.0, 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("384000", 384_000),
        ("-480", -480),
        ("12.5", 12.5),
        ("12.5s", 12.5),
        ("12s", 12.0),
        ("800ms", 0.8),
        ("1:03.250", 63.25),
        ("0:10", 10.0),
        ("1:00:03", 3603.0),
        ("-0:01.5", -1.5),
        ("bar1", 0.0),
        ("bar5", 8.0),
        ("BAR5.3", 9.0),
        ("bar2.2.5", 2.75),
    ],
)
def test_a_position_is_samples_as_integer_or_seconds_as_float(text: str, value: float) -> None:
    """Each way of writing gives its exact value, and the type says the unit (at 120 bpm, four beats a bar)."""
    parsed = parse_position(text, Tempo(120.0))
    assert (parsed, type(parsed)) == (value, type(value))


def test_bars_follow_the_metre() -> None:
    """In three-four at 90 bpm a bar lasts two seconds."""
    assert parse_position("bar3", WALTZ) == 4.0
    assert parse_length("2bars", WALTZ) == 4.0
    assert parse_length("3 beats", WALTZ) == 2.0


@pytest.mark.parametrize("text", ["", "abc", "1:75", "12.5x", "bar", "5bar5", "--3", "nan", "inf", "1e3"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="is no time"):
        parse_position(text, Tempo(120.0))


def test_bars_without_a_tempo_are_refused() -> None:
    """The sentence says what is missing."""
    with pytest.raises(ValueError, match="--bpm"):
        parse_position("bar5", Tempo(None))
    with pytest.raises(ValueError, match="from 1"):
        parse_position("bar0", Tempo(120.0))
