"""Sung audio and its lyrics: when what is sung, and how well the one lies on the other."""

from __future__ import annotations

from typing import Any

import msgspec

from acestep.checkpoints.load import Model
from acestep.conditioning.prompts import Prompt
from acestep.planner.alignment import alignment_score, lyric_tokens, token_spans
from acestep.planner.listening import open_model, piece_latents, placement_of
from acestep.planner.probe import LyricAttention, is_truncated, lyric_attention
from acestep.planner.timing import timed_lines, write_lrc
from acestep.worker.backend import JobContext

PROBE_SEED = 42
"""Seed of the probe's noise, as in the model authors' own timing."""


def timing(typed: Any, context: JobContext) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Lines and words with seconds from the region's start, as data and as LRC."""
    model = open_model(typed, context)
    latents, seconds = piece_latents(typed, context, model)
    prompt = _prompt(typed, seconds)
    with placement_of(context).on_device(model, "listen"):
        heard = lyric_attention(model, prompt, latents, 1.0 / model.info.defaults.steps, typed.seed)
    context.tick("align", 1, 2, 0.6)
    lines = timed_lines(heard.texts, token_spans(heard.weights, seconds))
    context.tick("align", 2, 2, 0.95)
    data = {
        "lrc": write_lrc(lines),
        "lrc_words": write_lrc(lines, words=True),
        "lines": msgspec.to_builtins(lines),
        "duration": seconds,
    }
    return data, _notes(model, prompt, heard)


def alignment(typed: Any, context: JobContext) -> tuple[dict[str, float], tuple[str, ...]]:
    """Alignment scores 0 to 1: of the words alone (noise) and of the piece (its latents)."""
    model = open_model(typed, context)
    latents, seconds = piece_latents(typed, context, model)
    prompt = _prompt(typed, seconds)
    scores = {}
    for name, t in (("lm_score", 1.0), ("dit_score", 1.0 / model.info.defaults.steps)):
        with placement_of(context).on_device(model, "listen"):
            heard = lyric_attention(model, prompt, latents, t, PROBE_SEED)
        scores[name] = alignment_score(heard.weights, lyric_tokens(heard.texts))
        context.tick("align", len(scores), 2, 0.8 + 0.08 * len(scores))
    return scores, _notes(model, prompt, heard)


def _prompt(typed: Any, seconds: float) -> Prompt:
    return Prompt(
        caption=typed.caption,
        lyrics=typed.lyrics,
        language=typed.language,
        bpm=typed.bpm,
        key=typed.key,
        time_signature=typed.time_signature,
        seconds=seconds,
    )


def _notes(model: Model, prompt: Prompt, heard: LyricAttention) -> tuple[str, ...]:
    notes = []
    if not model.info.trained:
        notes.append(f"the model {model.info.name} has random weights: so its times mean nothing")
    elif not heard.exact:
        notes.append(f"no attention heads that follow lyrics are known for {model.info.name}: times are rough")
    if is_truncated(model, prompt):
        notes.append("the lyrics are longer than the model can read; the rest has no times")
    return tuple(notes)
