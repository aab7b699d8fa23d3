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
}
"""Model -> its numbers, text encoder and codec included, counted from the published sizes of its networks."""

PATTERNS = ("*.json", "model*.safetensors")
"""Configs, tokenizer and weights; no pickles, and nothing of the form for the authors' own program."""


def owner_of(name: str) -> str:
    """The repository of a model."""
    return f"facebook/{name}"
