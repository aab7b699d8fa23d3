"""A part is measured against what was asked: what fits passes, what does not is one sentence with both values."""

from __future__ import annotations

import numpy as np
import pytest

from acestep.engine.verdict import Expected, judge

RATE = 44_100


def part(
    bpm: float = 120.0, *, late: float = 0.0, roots: tuple[float, ...] = (220.0, 174.6, 261.6, 196.0)
) -> np.ndarray:
    """16 s of kick, snare, hats and a triad a bar (Am F C G), beginning `late` seconds after the start."""
    rng = np.random.default_rng(2)
    line = np.zeros(16 * RATE)
    time = np.arange(RATE // 5) / RATE
    kick = np.sin(2 * np.pi * 55 * time) * np.exp(-20 * time)
    snare = rng.standard_normal(len(time)) * 0.3 * np.exp(-30 * time)
    for beat in range(int(16 * bpm / 60)):
        start = round((late + beat * 60 / bpm) * RATE)
        hit = snare if beat % 2 else kick
        line[start : start + len(hit)] += hit[: len(line) - start] if start < len(line) else 0
        if beat % 4 == 0:
            minor = beat // 4 % 4 == 0
            held = np.arange(round(239 / bpm * RATE)) / RATE
            root = roots[beat // 4 % 4]
            chord = sum(np.sin(2 * np.pi * root * r * held) for r in (1, 1.189 if minor else 1.26, 1.498)) * 0.1
            line[start : start + len(chord)] += chord[: len(line) - start]
    return np.stack([line, line]).astype(np.float32) * 0.5


def test_a_part_as_asked_has_no_problem():
    verdict = judge(part(), RATE, Expected(bpm=120.0, beat=0.0, key="A minor"))
    assert verdict.problems == ()
    assert verdict.heard["bpm"] == pytest.approx(120.0, rel=0.002)
    assert abs(verdict.heard["off"]) < 0.02
    assert verdict.speed == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize("asked", [101.0, 132.0, 97.0])
def test_another_tempo_is_told_with_both_values(asked):
    (problem,) = judge(part(), RATE, Expected(bpm=asked, beat=0.0)).problems
    assert f"asked for {asked:g} bpm, 1" in problem or f"asked for {asked:g} bpm, " in problem


def test_half_and_double_are_the_same_time():
    """Whoever asks for 60 and gets four kicks where two would do has the grid."""
    assert judge(part(), RATE, Expected(bpm=60.0)).problems == ()
    assert judge(part(80.0), RATE, Expected(bpm=160.0)).problems == ()


@pytest.mark.parametrize(
    ("played", "asked", "told"),
    [
        (120.0, 60.0, "asked for 60 bpm; it is heard as 120, double 60"),
        (60.0, 120.0, "asked for 120 bpm; it is heard as 60, half of 120"),
        (80.0, 160.0, "asked for 160 bpm; it is heard as 80, half of 160"),
        (87.0, 174.0, "asked for 174 bpm; it is heard as 87, half of 174"),
    ],
)
def test_half_time_is_told(played, asked, told):
    """It is on the grid, so nothing is made again; but whoever wanted 160 and hears 80 is told why."""
    verdict = judge(part(played), RATE, Expected(bpm=asked))
    assert verdict.problems == ()
    assert verdict.remarks == (told,)
    assert verdict.heard["felt"] == pytest.approx(played, rel=0.01)


@pytest.mark.parametrize("bpm", [90.0, 120.0, 140.0, 174.0])
def test_a_part_at_its_tempo_gets_no_remark(bpm):
    assert judge(part(bpm), RATE, Expected(bpm=bpm)).remarks == ()


def test_what_lies_off_the_grid_is_told_in_milliseconds():
    (problem,) = judge(part(late=0.15), RATE, Expected(bpm=120.0, beat=0.0)).problems
    assert "ms after those of the grid" in problem
    assert judge(part(late=0.15), RATE, Expected(bpm=120.0, beat=0.65)).problems == ()


def test_a_small_error_of_tempo_can_be_conformed():
    """0.3 % slow: no problem, and the speed that mends it."""
    verdict = judge(part(119.64), RATE, Expected(bpm=120.0))
    assert verdict.problems == ()
    assert verdict.speed == pytest.approx(120 / 119.64, abs=0.0005)


def test_another_key_is_told():
    (problem,) = judge(part(), RATE, Expected(key="F# major")).problems
    assert problem.startswith("asked for F# major, it sounds like ")


def test_silence_is_told_and_noise_or_a_short_part_says_nothing_of_tempo():
    silent = judge(np.zeros((2, 8 * RATE), np.float32), RATE, Expected(bpm=120.0))
    assert "nearly silent" in silent.problems[0]
    noise = np.random.default_rng(1).standard_normal((2, 8 * RATE)).astype(np.float32) * 0.1
    assert judge(noise, RATE, Expected(bpm=120.0, beat=0.0)).problems == ()
    assert judge(part()[:, : 2 * RATE], RATE, Expected(bpm=97.0)).problems == ()
