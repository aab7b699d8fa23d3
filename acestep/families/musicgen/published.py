"""What is known of the published checkpoints before anything is fetched. No torch, no network."""

from __future__ import annotations

LICENSE = "CC-BY-NC-4.0"

SIZES = {
    "musicgen-small": 588_990_022,
    "musicgen-medium": 2_007_356_486,
    "musicgen-large": 3_425_575_494,
    "musicgen-stereo-small": 605_771_334,
    "musicgen-stereo-medium": 2_032_528_454,
    "musicgen-stereo-large": 3_459_138_118,
    "musicgen-melody": 1_554_244_166,
    "musicgen-melody-large": 2_620_099_142,
    "musicgen-stereo-melody": 1_579_416_134,
    "musicgen-stereo-melody-large": 2_653_661_766,
}
"""Model -> its numbers, text encoder and codec included, counted from the published sizes of its networks."""

MELODIES = tuple(name for name in SIZES if "melody" in name)
"""Those that follow a melody."""

PATTERNS = ("*.json", "model*.safetensors")
"""Configs, tokenizer and weights; no pickles, and nothing of the form for the authors' own program."""


def owner_of(name: str) -> str:
    """The repository of a model."""
    return f"facebook/{name}"
