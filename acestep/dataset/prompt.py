"""What the model is told of a sample while it learns: its caption or genre, the trigger, lyrics, tempo, key and metre."""

from __future__ import annotations

import hashlib

from acestep.conditioning.prompts import INSTRUMENTAL, Prompt
from acestep.dataset.sample import Dataset, TrainingSample

SEED = 42
"""Of the choice of samples that are trained with their genre; fixed, so that a sample keeps its text."""


def trained_prompt(dataset: Dataset, sample: TrainingSample, seconds: float) -> Prompt:
    """The prompt of a sample of which ``seconds`` are learned, as the renderer writes prompts."""
    return Prompt(
        caption=tagged(trained_words(dataset, sample), sample.custom_tag or dataset.custom_tag, dataset.tag_position),
        lyrics=INSTRUMENTAL if sample.is_instrumental else sample.lyrics,
        language=sample.language,
        instrumental=sample.is_instrumental,
        bpm=sample.bpm,
        key=sample.keyscale,
        time_signature=sample.timesignature,
        seconds=seconds,
    )


def tagged(words: str, tag: str, position: str) -> str:
    """A caption with the trigger in front, behind, or in its place."""
    if not tag or not words:
        return words or tag
    return {"prepend": f"{tag}, {words}", "append": f"{words}, {tag}", "replace": tag}[position]


def trained_words(dataset: Dataset, sample: TrainingSample) -> str:
    """The caption or the genre: by the sample's own choice, else by the dataset's share. One that is empty gives way."""
    taken = sample.prompt_override or ("genre" if sample.id in genre_samples(dataset) else "caption")
    first, second = (sample.genre, sample.caption) if taken == "genre" else (sample.caption, sample.genre)
    return first or (second if not sample.prompt_override else "") or ""


def genre_samples(dataset: Dataset) -> frozenset[str]:
    """Ids of the samples that the dataset's share gives their genre: always the same ones."""
    ranked = sorted((sample.id for sample in dataset.samples), key=lambda id_: chance(f"{SEED}/{id_}"))
    return frozenset(ranked[: int(len(ranked) * dataset.genre_ratio / 100 + 0.5)])


def chance(text: str) -> float:
    """A number from 0 to 1 that follows from a text."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
