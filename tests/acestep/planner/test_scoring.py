"""Scores, worked out a second time from the model's plain logits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from acestep.api.errors import BadRequest
from acestep.api.metadata import Metadata
from acestep.planner.scoring import (
    mean_log_probability,
    pmi_score,
    score,
    targets,
    total_score,
    weighted_recall,
)


def plain_logits(backend, context: list[int], target: list[int]) -> np.ndarray:
    """Logits [n, V] at the target's places from one forward pass of the whole model."""
    with torch.inference_mode():
        logits = backend.decoder._model(torch.tensor([context + target])).logits[0]
    return logits[len(context) - 1 : -1].double().numpy()


def test_log_probability_is_the_mean_over_the_target(backend) -> None:
    """Only the target counts, each token after everything before it - also where the target is longer than a slice."""
    context, target = backend.ids("some context"), backend.ids("word " * 50)
    logits = plain_logits(backend, context, target)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = np.mean([log_probabilities[i, token] for i, token in enumerate(target)])
    assert mean_log_probability(backend.decoder, context, target) == pytest.approx(expected, abs=1e-4)


def test_recall_weighs_the_first_ten_ranks(backend) -> None:
    """Rank 1 gives 1, rank 10 gives 0.1, rank 11 nothing; the mean over the target's tokens."""
    context = backend.ids("some context")
    target = backend.ids("bpm")
    for _ in range(3):
        order = plain_logits(backend, context, [*target, 0])[-1].argsort()[::-1]
        target.append(int(order[len(target) * 3 - 2]))
    logits = plain_logits(backend, context, target)
    gains = []
    for row, token in zip(logits, target, strict=True):
        rank = int((row > row[token]).sum()) + 1
        gains.append(1 - (rank - 1) / 10 if rank <= 10 else 0.0)
    assert any(0 < gain < 1 for gain in gains)
    assert weighted_recall(backend.decoder, context, target) == pytest.approx(np.mean(gains), abs=1e-6)


def test_pmi_becomes_a_score_by_a_sigmoid() -> None:
    """No gain is one half; a tenth of a nat per token is 0.73; extremes do not overflow."""
    assert pmi_score(0.0) == 0.5
    assert pmi_score(0.1) == pytest.approx(1 / (1 + math.exp(-1)))
    assert pmi_score(-1e9) < 1e-12 and pmi_score(1e9) == 1.0


def test_weights_of_missing_parts_are_spread_over_the_others() -> None:
    """Caption one half, lyrics 0.3, the mean of all metadata 0.2 - of what is there."""
    full = {"caption": 0.8, "lyrics": 0.4, "bpm": 0.2, "keyscale": 0.6}
    assert total_score(full) == pytest.approx(0.5 * 0.8 + 0.3 * 0.4 + 0.2 * 0.4)
    assert total_score({"caption": 0.8, "bpm": 0.1}) == pytest.approx((0.5 * 0.8 + 0.2 * 0.1) / 0.7)
    assert total_score({"lyrics": 0.4}) == pytest.approx(0.4)


def test_targets_have_the_models_own_form() -> None:
    """The judged texts are exactly what the model would write after its own understanding prompt."""
    found = targets(Metadata(caption="warm: soft", bpm=120, keyscale="A minor"), "Hello\n")
    assert found == {
        "caption": "<think>\ncaption: 'warm: soft'\n</think>\n",
        "lyrics": "<think>\n</think>\n# Lyric\nHello\n",
        "bpm": "<think>\nbpm: 120\n</think>\n",
        "keyscale": "<think>\nkeyscale: A minor\n</think>\n",
    }


def test_all_parts_together(backend) -> None:
    """PMI is the difference of two contexts; the total is made of the parts; progress counts parts."""
    seen: list[tuple[int, int]] = []
    scores = score(backend, [1, 2, 3], Metadata(caption="warm", bpm=90), "Hello", lambda *step: seen.append(step))
    assert set(scores.parts) == {"caption", "lyrics", "bpm"} and set(scores.pmi) == {"caption", "lyrics"}
    assert scores.parts["caption"] == pmi_score(scores.pmi["caption"])
    assert scores.total == pytest.approx(total_score(scores.parts))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_nothing_to_score_is_refused(backend) -> None:
    """No words, no score."""
    with pytest.raises(BadRequest):
        score(backend, [1], Metadata(), "", lambda *step: None)
