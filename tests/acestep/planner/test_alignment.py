"""Alignment against plain loops, and against matrices whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acestep.planner.alignment import alignment_score, best_path, lyric_tokens, sharpen, token_spans
from acestep.planner.timing import Timed, timed_lines, token_texts, write_lrc


def slow_cost(cost: np.ndarray) -> float:
    """The least cost from corner to corner, by the textbook recursion."""
    tokens, frames = cost.shape
    total = np.full((tokens, frames), np.inf)
    for i in range(tokens):
        for j in range(frames):
            before = [0.0] if i == j == 0 else []
            before += [total[i - 1, j - 1]] if i and j else []
            before += [total[i - 1, j]] if i else []
            before += [total[i, j - 1]] if j else []
            total[i, j] = cost[i, j] + min(before)
    return float(total[-1, -1])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 9999), tokens=st.integers(1, 9), frames=st.integers(1, 12))
def test_the_path_is_monotonic_and_cheapest(seed: int, tokens: int, frames: int) -> None:
    """From corner to corner, each step to the next token, the next frame or both, at the least possible cost."""
    cost = np.random.default_rng(seed).normal(size=(tokens, frames))
    rows, columns = best_path(cost)
    assert (rows[0], columns[0], rows[-1], columns[-1]) == (0, 0, tokens - 1, frames - 1)
    steps = set(zip(np.diff(rows).tolist(), np.diff(columns).tolist(), strict=True))
    assert steps <= {(1, 1), (1, 0), (0, 1)}
    assert cost[rows, columns].sum() == pytest.approx(slow_cost(cost))


def test_equal_costs_move_the_frame() -> None:
    """Where nothing decides, time goes on before the words do (walking back, the frame steps first)."""
    rows, columns = best_path(np.zeros((2, 3)))
    assert list(zip(rows.tolist(), columns.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 1), (1, 2)]


def slow_sharpen(weights: np.ndarray) -> np.ndarray:
    """The formula, head by head and row by row."""
    heads, tokens, frames = weights.shape
    energy = np.empty_like(weights)
    for h in range(heads):
        over_frames = np.array([np.exp(row) / np.exp(row).sum() for row in weights[h]])
        over_tokens = np.array([np.exp(col) / np.exp(col).sum() for col in weights[h].T]).T
        energy[h] = over_frames * over_tokens
        for i in range(tokens):
            energy[h, i] = np.maximum(0, energy[h, i] - 2 * np.median(energy[h, i]))
        for j in range(frames):
            energy[h, :, j] = np.maximum(0, energy[h, :, j] - 2 * np.median(energy[h, :, j]))
    energy = energy * energy
    return np.mean((energy - energy.mean()) / (energy.std() + 1e-9), axis=0)


def test_sharpening_follows_the_formula() -> None:
    """Two softmaxes, medians away over frames then tokens, squared, standardised over everything, mean of the heads."""
    weights = np.random.default_rng(1).random((3, 5, 14)) ** 6 * 4
    assert np.allclose(sharpen(weights), slow_sharpen(weights), atol=1e-9)


def staircase(tokens: int, frames: int, heads: int = 2) -> np.ndarray:
    """Attention of a song in which every token is sung equally long, in order."""
    weights = np.zeros((heads, tokens, frames))
    for frame in range(frames):
        weights[:, frame * tokens // frames, frame] = 1.0
    return weights


def test_spans_of_an_even_song_are_even() -> None:
    """Eight tokens over 64 frames of 16 s: each begins two seconds after the one before, to the frame."""
    spans = token_spans(staircase(8, 64), 16.0)
    assert [start for start, _ in spans] == pytest.approx([2.0 * i for i in range(8)], abs=0.26)
    assert all(end > start for start, end in spans)


def test_perfect_order_scores_high_and_reversed_order_low() -> None:
    """Lyrics heard in their order score high: all covered, all in order, and a path of 160 full cells and 7 corner cells."""
    lyric = np.ones(8, dtype=bool)
    good, backwards = staircase(8, 160), staircase(8, 160)[:, ::-1]
    assert alignment_score(good, lyric) == round(160 / 167, 4)
    assert alignment_score(backwards, lyric) == 0.0


def test_silent_attention_scores_nothing_and_tags_do_not_count() -> None:
    """Even attention says nothing; tags may be unheard without costing coverage."""
    assert alignment_score(np.full((2, 4, 10), 0.25), np.ones(4, dtype=bool)) == 0.0
    weights = staircase(4, 40)
    weights[:, 0] = 0.0
    assert alignment_score(weights, np.array([False, True, True, True])) > alignment_score(
        weights, np.ones(4, dtype=bool)
    )


def test_tags_run_from_bracket_to_bracket() -> None:
    """A tag may be cut into any tokens; everything from [ to ] is tag."""
    assert lyric_tokens(["[", "Verse", "]", "\n", "Oh", " [x]", " yes"]).tolist() == [
        False,
        False,
        False,
        True,
        True,
        False,
        True,
    ]


def test_split_characters_belong_to_the_token_that_completes_them() -> None:
    """Bytes of one character in two tokens make no broken text."""
    assert token_texts([b"a\xc3", b"\xa9t", b"\xe2\x82", b"\xac"]) == ["a", "ét", "", "€"]


def test_lines_and_words_take_the_times_of_their_tokens() -> None:
    """A line ends with its line feed, blank lines vanish, tags stay, words are cut at spaces inside tokens too."""
    texts = ["[Verse]", "\n", "Oh my", " day", "\n\n", "Night"]
    spans = [(0.0, 1.0), (1.0, 1.0), (1.0, 2.0), (2.0, 3.5), (3.5, 3.5), (4.0, 5.0)]
    lines = timed_lines(texts, spans)
    assert [(line.text, line.start, line.end) for line in lines] == [
        ("[Verse]", 0.0, 1.0),
        ("Oh my day", 1.0, 3.5),
        ("Night", 4.0, 5.0),
    ]
    assert [(word.text, word.start) for word in lines[1].words] == [("Oh", 1.0), ("my", 1.0), ("day", 2.0)]


def test_lrc_is_written_in_minutes_seconds_hundredths() -> None:
    """[mm:ss.xx]text, rounded, never 60.00; word times where asked for."""
    lines = [
        Timed(
            text="a b",
            start=59.999,
            end=61,
            words=(Timed(text="a", start=59.999, end=60), Timed(text="b", start=60.5, end=61)),
        )
    ]
    assert write_lrc(lines) == "[01:00.00]a b\n"
    assert write_lrc(lines, words=True) == "[01:00.00]<01:00.00>a <01:00.50>b\n"
    assert write_lrc([]) == ""
