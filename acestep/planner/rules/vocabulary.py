"""What words say, read from ``vocabulary.toml``: one row per style, mood, instrument ... with the ways in which people write it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a caption, and how people write it. `minor` is how much it speaks for a minor key, -1 to 1; `tempo` pulls the tempo
    down or up."""

    word: str
    spellings: tuple[str, ...]
    minor: float = 0.0
    tempo: int = 0


@dataclass(frozen=True, slots=True)
class Genre:
    """A style: `tempo` in quarters a minute, `minor` the probability of a minor key, `feel` the words for its rhythm (none: no
    drums belong to it), `parts` what plays, `near` a style word that the nano was trained with."""

    word: str
    spellings: tuple[str, ...]
    tempo: tuple[int, int]
    minor: float
    feel: str
    parts: tuple[str, ...]
    near: str = ""
    metre: str = "4"


def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("vocabulary.toml").read_text("utf-8"))


def _genre(word: str, row: Mapping[str, Any]) -> Genre:
    least, most = row["tempo"]
    facts = {name: row[name] for name in ("minor", "feel", "near", "metre") if name in row}
    return Genre(word=word, spellings=tuple(row["words"]), tempo=(least, most), parts=tuple(row["parts"]), **facts)


def _words(rows: Mapping[str, Iterable[str]]) -> tuple[Word, ...]:
    return tuple(Word(word, tuple(spellings)) for word, spellings in rows.items())


_TABLE = _table()

GENRES = tuple(_genre(word, row) for word, row in _TABLE["genres"].items())
MOODS = tuple(
    Word(word, tuple(row["words"]), row["minor"], row.get("tempo", 0)) for word, row in _TABLE["moods"].items()
)
INSTRUMENTS, VOICES, FEELS, SOUNDS = (_words(_TABLE[name]) for name in ("instruments", "voices", "feels", "sounds"))

TEMPO_WORDS = _words({word: row["words"] for word, row in _TABLE["tempi"].items()})
RANGES: dict[str, tuple[int, int]] = {word: tuple(row["tempo"]) for word, row in _TABLE["tempi"].items()}
"""Tempo in quarters a minute where a word says it and no style does."""

SURPRISES: tuple[str, ...] = tuple(_TABLE["drawn"]["styles"])
"""Styles that are drawn where a sentence names none."""

TONICS: dict[str, tuple[str, ...]] = {mode: tuple(_TABLE["drawn"][mode]) for mode in ("minor", "major")}
"""Keys that are drawn where nobody names one."""

FAMILIES: dict[str, str] = _TABLE["families"]
"""Pattern of each family of instruments that stand for each other."""

NUMBERS: dict[str, float] = {word: float(value) for value, words in _TABLE["numbers"].items() for word in words}
"""Number words for lengths."""

LYRIC_LANGUAGES: dict[str, tuple[str, ...]] = {code: tuple(words) for code, words in _TABLE["languages"].items()}
"""Words for the language in which somebody sings."""

COMMON: dict[str, frozenset[str]] = {code: frozenset(words.split()) for code, words in _TABLE["common"].items()}
"""The commonest words of languages in Latin letters."""

FILLER = frozenset(_TABLE["filler"]["words"].split())
"""Words that say nothing of the music."""
