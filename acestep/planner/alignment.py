"""Which lyric token is sung when: from attention weights to a monotonic path, and how good that path is. Pure numpy.

Weights are [heads, tokens, frames]: how strongly each lyric token was looked at in each frame of 80 ms.
Source: the model authors' lyric timing and alignment score, as reference sections 7.3 and 7.4 describe them.
"""

from __future__ import annotations

import numpy as np

HEARD = 0.1
"""Energy above which a token counts as looked at."""

FAINT = 0.01
"""Energy below which a frame says nothing about where a token lies."""

SLACK = 9.0
"""Frames (0.72 s) by which the next token's centre may lie earlier without breaking the order."""


def sharpen(weights: np.ndarray) -> np.ndarray:
    """Attention weights [heads, tokens, frames] as one energy [tokens, frames], background removed.

    Softmax over frames times softmax over tokens (of the probabilities, as the heads were chosen with it), medians
    subtracted, squared, standardised over everything, averaged over heads.
    """
    energy = _softmax(weights, 2) * _softmax(weights, 1)
    for axis in (2, 1):
        energy = np.maximum(energy - 2.0 * np.median(energy, axis=axis, keepdims=True), 0.0)
    energy = energy**2
    return ((energy - energy.mean()) / (energy.std() + 1e-9)).mean(axis=0)


def _softmax(values: np.ndarray, axis: int) -> np.ndarray:
    exponent = np.exp(values - values.max(axis=axis, keepdims=True))
    return exponent / exponent.sum(axis=axis, keepdims=True)


def best_path(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cheapest way through a cost [tokens, frames] from corner to corner: token and frame of every step.

    Steps go to the next token, the next frame, or both; where two are equally cheap, the frame moves. Computed along
    anti-diagonals, whose cells do not depend on each other, so 2048 tokens by 7500 frames take seconds, not minutes.
    """
    tokens, frames = cost.shape
    moves = np.zeros((tokens, frames), dtype=np.uint8)
    before = np.full(tokens + 1, np.inf)
    last = np.full(tokens + 1, np.inf)
    for diagonal in range(tokens + frames - 1):
        rows = np.arange(max(0, diagonal - frames + 1), min(tokens, diagonal + 1))
        both, token, frame = before[rows], last[rows], last[rows + 1]
        if diagonal == 0:
            both = np.zeros(1)
        best = np.minimum(both, token)
        move = np.where(token < both, 1, 0)
        move = np.where(frame <= best, 2, move)
        moves[rows, diagonal - rows] = move
        total = np.full(tokens + 1, np.inf)
        total[rows + 1] = np.minimum(best, frame) + cost[rows, diagonal - rows]
        before, last = last, total
    return _walk_back(moves)


def _walk_back(moves: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    token, frame = moves.shape[0] - 1, moves.shape[1] - 1
    path = [(token, frame)]
    while token or frame:
        move = moves[token, frame]
        token -= int(move != 2 and token > 0)
        frame -= int(move != 1 and frame > 0)
        path.append((token, frame))
    steps = np.array(path[::-1])
    return steps[:, 0], steps[:, 1]


def token_spans(weights: np.ndarray, duration: float) -> list[tuple[float, float]]:
    """Start and end in seconds of every token, from weights [heads, tokens, frames] over ``duration`` seconds."""
    tokens, frames = weights.shape[1:]
    rows, columns = best_path(-sharpen(weights))
    second = duration / frames
    spans: list[tuple[float, float]] = []
    for token in range(tokens):
        own = columns[rows == token]
        end = spans[-1][1] if spans else 0.0
        spans.append((float(own[0] * second), float(own[-1] * second)) if len(own) else (end, end))
    return spans


def alignment_score(weights: np.ndarray, is_lyric: np.ndarray) -> float:
    """How well the lyric tokens lie on the audio, 0 to 1: coverage, order and confidence.

    ``is_lyric`` [tokens] is False inside structure tags such as [Verse].
    """
    energy = weights.mean(axis=0, dtype=np.float64)
    spread = energy.max() - energy.min()
    energy = (energy - energy.min()) / spread if spread >= 1e-9 else np.zeros_like(energy)
    rows, columns = best_path(-(energy**2))
    sung = energy[is_lyric]
    coverage = float((sung.max(axis=1) > HEARD).mean()) if len(sung) else 1.0
    confidence = float(energy[rows, columns].mean())
    return round(min(max(coverage**2 * _order(sung) ** 2 * confidence, 0.0), 1.0), 4)


def _order(sung: np.ndarray) -> float:
    """Share of neighbouring tokens whose centres of energy follow each other."""
    heard = np.where(sung > FAINT, sung, 0.0)
    mass = heard.sum(axis=1)
    heard, mass = heard[mass > 0], mass[mass > 0]
    if len(mass) < 2:
        return 1.0
    centres = (heard * np.arange(heard.shape[1])).sum(axis=1) / mass
    return float((centres[1:] >= centres[:-1] - SLACK).mean())


def lyric_tokens(texts: list[str]) -> np.ndarray:
    """Which tokens are lyrics rather than part of a tag in [brackets]."""
    inside, flags = False, []
    for text in texts:
        flags.append(not (inside or "[" in text))
        for char in text:
            inside = char == "[" or (inside and char != "]")
    return np.array(flags, dtype=bool)
