"""Positions and lengths as musicians write them, and the samples that they mean."""

from __future__ import annotations

import pytest

from acestep.api.errors import BadRequest
from acestep.api.metre import Metre, model_metre, parse_metre
from acestep.api.positions import Ruler, read_field, read_length, read_position
from acestep.api.tempo_map import TempoMap, TempoPoint

RATE = 48_000


def ruler(bpm: float = 120.0, metre: str = "4/4", rate: int = RATE, downbeat: float = 0) -> Ruler:
    return Ruler(rate, TempoMap.steady(bpm, rate, downbeat, parse_metre(metre)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("384000", 384_000),
        ("-480", -480),
        ("12.5", 12.5 * RATE),
        ("12.5s", 12.5 * RATE),
        ("12s", 12 * RATE),
        ("800ms", 0.8 * RATE),
        ("800 ms", 0.8 * RATE),
        ("1:03.250", 63.25 * RATE),
        ("0:10", 10 * RATE),
        ("1:00:03", 3603 * RATE),
        ("-0:01.5", -1.5 * RATE),
        ("bar1", 0),
        ("bar5", 8 * RATE),
        ("bar 5", 8 * RATE),
        ("BAR5.3", 9 * RATE),
        ("bar2.1.1", 2 * RATE),
        ("bar2.2.3", 2.75 * RATE),
        ("bar2.4.4", (2 + 1.5 + 0.375) * RATE),
        ("8bars", 16 * RATE),
        ("2 beats", RATE),
    ],
)
def test_a_position_is_exactly_its_sample(text: str, value: float) -> None:
    """At 120 bpm in four-four; beats are the second number, sixteenths of the beat the third."""
    assert ruler().sample(read_position(text)) == value


@pytest.mark.parametrize(
    ("metre", "bpm", "bar", "beat"),
    [
        ("6/8", 120.0, 1.5, 0.25),
        ("12/8", 120.0, 3.0, 0.25),
        ("5/8", 120.0, 1.25, 0.25),
        ("7/8", 60.0, 3.5, 0.5),
        ("3/4", 90.0, 2.0, 2 / 3),
        ("5/4", 120.0, 2.5, 0.5),
        ("2/2", 120.0, 2.0, 1.0),
        ("6", 120.0, 1.5, 0.25),
    ],
)
def test_beats_follow_the_metre_and_bpm_counts_quarters(metre: str, bpm: float, bar: float, beat: float) -> None:
    """A bar of 6/8 at 120 lasts a second and a half, its beats are eighths; as a position and as a length."""
    here = ruler(bpm, metre)
    assert here.sample(read_position("bar3")) == round(2 * bar * RATE)
    assert here.sample(read_position("bar3.2")) == round((2 * bar + beat) * RATE)
    assert here.length(read_length("2bars")) == round(2 * bar * RATE)
    assert here.length(read_length("3 beats")) == round(3 * beat * RATE)


@pytest.mark.parametrize(
    ("text", "metre", "sentence"),
    [
        ("bar2.5", "4/4", "a bar of 4/4 has 4 beats, so there is no beat 5"),
        ("bar2.7", "6/8", "a bar of 6/8 has 6 beats"),
        ("bar2.4", "3/4", "a bar of 3/4 has 3 beats"),
        ("bar1.1.5", "4/4", "a beat of 4/4 has 4 sixteenths"),
        ("bar1.1.3", "6/8", "a beat of 6/8 has 2 sixteenths"),
        ("bar0", "4/4", "bars count from 1"),
        ("bar-1", "4/4", "bars count from 1"),
    ],
)
def test_a_beat_beyond_its_bar_is_refused(text: str, metre: str, sentence: str) -> None:
    """Nothing is carried into the next bar in silence."""
    with pytest.raises(BadRequest, match=sentence):
        ruler(metre=metre).sample(read_position(text))


@pytest.mark.parametrize("text", ["bar1.0", "bar1.1.0"])
def test_beats_count_from_one(text: str) -> None:
    with pytest.raises(BadRequest, match="count from 1"):
        read_position(text)


@pytest.mark.parametrize("text", ["", "abc", "1:75", "12.5x", "bar", "5bar5", "--3", "nan", "inf", "1e3", "bar2.2.5.1"])
def test_what_is_no_time_is_refused_with_what_can_be_written(text: str) -> None:
    for name in ("start", "duration"):
        with pytest.raises(BadRequest, match="is not a time; write") as caught:
            read_field(name, text)
        assert caught.value.field == name


def test_bars_without_a_tempo_are_refused() -> None:
    with pytest.raises(BadRequest, match="need bpm or a tempo map"):
        Ruler(RATE).sample(read_position("bar5"))


def test_a_pick_up_moves_every_bar() -> None:
    """Bar 1 begins behind the pick-up; a length does not move."""
    here = ruler(downbeat=14_400)
    assert here.sample(read_position("bar1")) == 14_400
    assert here.sample(read_position("bar3.2")) == 14_400 + 4 * RATE + RATE // 2
    assert here.length(read_length("2bars"), 5_000) == 4 * RATE


def points(*entries: tuple) -> TempoMap:
    names = ("sample", "bpm", "metre", "bar")
    return TempoMap.of([TempoPoint(**dict(zip(names, entry, strict=False))) for entry in entries], RATE)


def test_a_tempo_map_places_bars_across_its_changes() -> None:
    """Two bars of 4/4 at 120, then 6/8 at 60: bars of three seconds. Lengths cross the change as the music does."""
    here = Ruler(RATE, points((0, 120.0, "4/4"), (4 * RATE, 60.0, "6/8")))
    assert [here.sample(read_position(f"bar{n}")) for n in (2, 3, 4)] == [2 * RATE, 4 * RATE, 7 * RATE]
    assert here.sample(read_position("bar3.2")) == 4 * RATE + RATE // 2
    assert here.length(read_length("2bars"), 2 * RATE) == 5 * RATE
    with pytest.raises(BadRequest, match="a bar of 4/4 has 4 beats"):
        here.sample(read_position("bar2.5"))


def test_a_map_says_where_a_bar_is() -> None:
    """A point's own number wins; before the first point its tempo and metre hold, so bar 0 can be reached where it exists."""
    tempo = points((RATE, 120.0, "4/4", 17.0))
    assert tempo.bar_sample(17) == RATE and tempo.bar_sample(16.5) == 0
    assert tempo.bar(RATE + RATE // 2) == pytest.approx(17.25)
    assert points((0, 120.0, "4/4", 0.0)).bar_sample(1) == 2 * RATE


def test_a_new_metre_begins_a_bar() -> None:
    """A change in the middle of a bar cuts that bar short, as in a DAW, unless the point says which bar it is in."""
    assert points((0, 120.0, "4/4"), (RATE, 120.0, "3/4")).bar(RATE) == 2.0
    assert points((0, 120.0, "4/4"), (RATE, 90.0)).bar(RATE) == 1.5


@pytest.mark.parametrize(
    ("entries", "field"),
    [
        ([], "tempo_map"),
        ([(0, 120.0), (0, 90.0)], "tempo_map[1].sample"),
        ([(0, 120.0, "4/4", 5.0), (RATE, 90.0, "", 4.0)], "tempo_map[1].bar"),
        ([(0, 120.0, "4/5")], "tempo_map[0].metre"),
    ],
)
def test_a_map_that_is_none_is_refused_by_its_point(entries: list, field: str) -> None:
    with pytest.raises(BadRequest) as caught:
        points(*entries)
    assert caught.value.field == field


def test_sample_and_quarter_are_inverse_and_survive_a_move() -> None:
    tempo = points((30_000, 90.0, "3/4", 2.0), (70_000, 133.3), (200_000, 61.0, "7/8"))
    moved = tempo.moved(10_000, 44_100)
    for quarter in (-3.0, 0.0, 0.5, 2.25, 7.0, 19.0):
        assert tempo.quarter(tempo.sample(quarter)) == pytest.approx(quarter, abs=1e-9)
        assert moved.sample(quarter) == pytest.approx((tempo.sample(quarter) - 10_000) * 44_100 / RATE)


@pytest.mark.parametrize(
    ("metre", "seen"),
    [
        ("4/4", "4"), ("12/8", "6"), ("9/8", "6"), ("3/8", "6"), ("5/8", "6"), ("7/8", "6"), ("5/4", "4"), ("7/4", "4"),
        ("6/4", "3"), ("2/2", "4"), ("3/2", "3"), ("4/8", "2"), ("1/4", "2"), ("8/8", "4"), ("6", "6"), ("2", "2"),
    ],
)  # fmt: skip
def test_the_model_reads_the_nearest_metre(metre: str, seen: str) -> None:
    assert model_metre(parse_metre(metre)) == seen


@pytest.mark.parametrize(("text", "name"), [("4/4", "4"), ("4", "4"), ("6/8", "6"), ("12/8", "12/8"), ("6/4", "6/4")])
def test_a_metre_has_one_spelling(text: str, name: str) -> None:
    assert parse_metre(text).name == name


@pytest.mark.parametrize("text", ["x", "4/5", "0/4", "65/4", "5", "7", "4/", "-3/4", "4/4/4"])
def test_what_is_no_metre_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_metre(text)
    assert Metre(5, 8).bar == 2.5


def test_a_place_as_hosts_show_it_is_met_with_how_to_write_it():
    """Bar, beat and sixteenth without a word could be a version number; the sentence holds what works."""
    with pytest.raises(BadRequest, match=r"write bar2\.1\.1"):
        read_position("2.1.1")
    assert read_position("bar2.1.1").bar == (2, 1, 1)
