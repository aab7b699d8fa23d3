"""What the model is told, by exported graphs: words as a condition, and the context with the guide. No torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from acestep.api import limits
from acestep.codec.tiles import Tile, Tiling, tiles
from acestep.conditioning.prompts import Prompt, caption_text, lyric_text
from acestep.onnx.sessions import OnnxModel

Latents = NDArray[np.float32]

CODES = 5
"""Latent frames of a semantic code."""


def encode_prompt(model: OnnxModel, prompt: Prompt) -> Latents:
    """The condition [1, L, H] of a prompt, without a reference."""
    facts = model.facts
    with model.opened("token_embedding"):
        caption = _embedded(model, caption_text(prompt), facts["caption_tokens"])
        lyrics = _embedded(model, lyric_text(prompt), facts["lyric_tokens"])
    states = model.run("text_encoder", embeddings=caption)
    timbre = silence(model, facts["timbre_frames"])[None]
    return model.run("condition_encoder", text_states=states, lyric_embeddings=lyrics, timbre=timbre)


def _embedded(model: OnnxModel, text: str, limit: int) -> Latents:
    ids = model.tokenizer.encode(text).ids[:limit]
    return model.run("token_embedding", ids=np.array([ids], np.int64))


def silence(model: OnnxModel, frames: int, start: int = 0) -> Latents:
    """Frames of the silence latent, which repeats beyond its end."""
    places = np.arange(start, start + frames) % model.silence.shape[1]
    return model.silence[:, places]


def context(model: OnnxModel, hint: Latents | None, frames: int) -> Latents:
    """The context [1, T, 128] of a new part: a hint or silence, to be written over everywhere."""
    given = silence(model, frames)
    if hint is not None:
        given[:, : hint.shape[1]] = hint[:, :frames]
    return np.concatenate([given, np.ones((1, frames, limits.LATENT_CHANNELS), np.float32)], axis=2)


def bottleneck(model: OnnxModel, latents: Latents) -> Latents:
    """Latents [1, T, 64] through semantic codes and back."""
    frames = latents.shape[1]
    filling = silence(model, -frames % CODES)
    codes = model.run("audio_tokenizer", latents=np.concatenate([latents, filling], axis=1))
    return model.run("audio_detokenizer", codes=codes)[:, :frames]


def encode_sound(model: OnnxModel, sound: NDArray[np.float32]) -> Latents:
    """Latents [1, ceil(N / 1920), 64] of sound [2, N] at 48 kHz, tile by tile."""
    frames = -(-sound.shape[1] // limits.HOP)
    padded = np.pad(sound, ((0, 0), (0, frames * limits.HOP - sound.shape[1]))).astype(np.float32)
    made = np.empty((1, frames, limits.LATENT_CHANNELS), np.float32)
    for tile in tiles(0, frames, frames, tiling_of(model, "codec_encoder")):
        part = padded[None, :, tile.first * limits.HOP : tile.last * limits.HOP]
        made[:, tile.core_first : tile.core_last] = model.run("codec_encoder", audio=part)[:, _core(tile)]
    return made


def _core(tile: Tile) -> slice:
    return slice(tile.core_first - tile.first, tile.core_last - tile.first)


def tiling_of(model: OnnxModel, part: str) -> Tiling:
    """The tiles of a codec graph."""
    facts = model.export.parts[part].facts if part in model.export.parts else {}
    return Tiling(facts.get("tile_frames", 128), facts.get("context_frames", 16))
