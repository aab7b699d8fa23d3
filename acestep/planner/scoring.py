"""How well words fit a piece: what the language model says of them with its codes before it, and without.

PMI is the gain in mean log-probability of a text by knowing the piece; metadata is judged by how high its tokens
rank. Source: the model authors' scoring, reference section 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import torch
from torch import Tensor

from acestep.api.errors import BadRequest
from acestep.api.metadata import FIELDS, Metadata, write_block
from acestep.api.planning import Progress, check_codes, refuse_control_text
from acestep.planner import prompts
from acestep.planner.decoding import Decoder

PMI_SCALE = 0.1
"""Nats per token at which the score is 0.73: the slope of the sigmoid."""

RANKS = 10
"""Ranks that count for metadata."""

WEIGHTS = {"caption": 0.5, "lyrics": 0.3, "metadata": 0.2}
"""Shares of the parts in the total; those of missing parts are spread over the others."""

SLICE = 64
"""Target tokens whose log-probabilities over the whole vocabulary are held at once (64 x 217,204 float32: 56 MB)."""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Scores from 0 to 1 of the parts that were given, and their weighted total."""

    total: float
    parts: dict[str, float]
    pmi: dict[str, float]
    """Nats per token, for the parts that are judged by it."""


def targets(metadata: Metadata, lyrics: str) -> dict[str, str]:
    """The texts that are judged, by part; each in the form in which the model would write it."""
    found: dict[str, str] = {}
    if metadata.caption:
        found["caption"] = f"<think>\n{write_block(Metadata(caption=metadata.caption))}\n</think>\n"
    if lyrics.strip():
        found["lyrics"] = f"<think>\n</think>\n# Lyric\n{lyrics.strip()}\n"
    for field in FIELDS:
        value = getattr(metadata, field)
        if field != "caption" and value not in ("", None):
            found[field] = f"<think>\n{field}: {value}\n</think>\n"
    return found


def score(backend: Any, codes: list[int], metadata: Metadata, lyrics: str, progress: Progress) -> Scores:
    """Score the words of a piece. ``backend`` is a `TransformersPlanner`: scoring needs every logit.

    Raises `BadRequest` when there is nothing to score, `TooLarge` when piece and words exceed the context.
    """
    for name, text in (("caption", metadata.caption), ("lyrics", lyrics), ("genres", metadata.genres)):
        refuse_control_text(text, name)
    texts = targets(metadata, lyrics)
    if not texts:
        raise BadRequest("there is nothing to score: give a caption, lyrics or metadata", field="caption")
    decoder: Decoder = backend.decoder
    piece = backend.ids(prompts.understand_prompt(backend.tokenizer, check_codes(codes)))
    nothing = backend.ids(prompts.understand_prompt(backend.tokenizer, []))
    parts: dict[str, float] = {}
    pmi: dict[str, float] = {}
    for number, (part, text) in enumerate(texts.items()):
        target = backend.ids(text)
        if part in ("caption", "lyrics"):
            pmi[part] = mean_log_probability(decoder, piece, target) - mean_log_probability(decoder, nothing, target)
            parts[part] = pmi_score(pmi[part])
        else:
            parts[part] = weighted_recall(decoder, piece, target)
        progress(number + 1, len(texts))
    return Scores(total=total_score(parts), parts=parts, pmi=pmi)


def mean_log_probability(decoder: Decoder, context: list[int], target: list[int]) -> float:
    """Mean over the target's tokens of their log-probability after the context and those before (nats)."""
    total = 0.0
    for log_probabilities, ids in _slices(decoder, context, target):
        total += float(log_probabilities.gather(1, ids[:, None]).sum())
    return total / len(target)


def weighted_recall(decoder: Decoder, context: list[int], target: list[int]) -> float:
    """Mean over the target's tokens of ``1 - (rank - 1) / 10`` for ranks 1 to 10, else 0."""
    gained = 0.0
    for log_probabilities, ids in _slices(decoder, context, target):
        own = log_probabilities.gather(1, ids[:, None])
        rank = 1 + (log_probabilities > own).sum(dim=1)
        gained += float((1 - (rank - 1) / RANKS).clamp(min=0).sum())
    return gained / len(target)


def _slices(decoder: Decoder, context: list[int], target: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of log-probabilities [n, V] and target ids [n], in slices that fit into memory."""
    for start, log_probabilities in decoder.log_probabilities(context, target, SLICE):
        ids = torch.tensor(target[start : start + len(log_probabilities)], device=log_probabilities.device)
        yield log_probabilities, ids


def pmi_score(pmi: float) -> float:
    """PMI in nats per token as a score from 0 to 1."""
    return 1.0 / (1.0 + math.exp(-max(min(pmi / PMI_SCALE, 60.0), -60.0)))


def total_score(parts: dict[str, float]) -> float:
    """The weighted mean of the parts that are there; all metadata together is one part."""
    metadata = [value for name, value in parts.items() if name not in ("caption", "lyrics")]
    grouped: dict[str, float] = {name: parts[name] for name in ("caption", "lyrics") if name in parts}
    if metadata:
        grouped["metadata"] = sum(metadata) / len(metadata)
    weight = sum(WEIGHTS[name] for name in grouped)
    return sum(WEIGHTS[name] * value for name, value in grouped.items()) / weight
