"""Where the vocabulary's words stand in a sentence, the longest first, and which of them are refused ("no drums")."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from acestep.planner.rules import vocabulary
from acestep.planner.rules.vocabulary import Genre, Word

KINDS: dict[str, tuple[Genre | Word, ...]] = {
    "genre": vocabulary.GENRES,
    "mood": vocabulary.MOODS,
    "instrument": vocabulary.INSTRUMENTS,
    "voice": vocabulary.VOICES,
    "feel": vocabulary.FEELS,
    "sound": vocabulary.SOUNDS,
    "tempo": vocabulary.TEMPO_WORDS,
}

_BEFORE, _AFTER = r"(?<![a-z0-9à-öø-ÿ])", r"(?![a-z0-9à-öø-ÿ])"
"""Edges of a word. Scripts without spaces have none, so a kana may stand right beside a Latin letter."""

_REFUSING = re.compile(
    r"(?:\bno|\bnot? any|\bwithout(?: any)?|\bminus|\bexcept|\bohne|\bkein\w*|\bsans|\bsin|\bsenza|没有|不要|無い?|无)"
    r"\s*(?:the |a |an )?$"
)
_FURTHER = re.compile(r"^\s*(?:,?\s*(?:or|nor|oder|noch|ni|und|and|&)\s+)(?:no |any |the )?$")
_REFUSED_AFTER = re.compile(r"^\s*(?:なし|無し|抜き|ぬき|[- ]?less\b|[- ]?free\b)")


@dataclass(frozen=True)
class Found:
    """A word of the vocabulary in a text: from ``start`` up to ``end``. ``refused``: it should not be there."""

    kind: str
    row: Genre | Word
    start: int
    end: int
    refused: bool = False


def spaced(text: str) -> str:
    """A text in plain letters and signs, with blanks for the hyphens inside of words and for line breaks."""
    folded = unicodedata.normalize("NFKC", text).replace("’", "'")
    return re.sub(r"(?<=[^\W\d])[-‐-–_](?=\w)|\s", " ", folded)


def lowered(text: str) -> str:
    """A text in lower case, each character in its place."""
    return "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)


def find_words(text: str) -> list[Found]:
    """Every word of the vocabulary in a plain text, in order, none over another: of two that overlap the longer one counts."""
    found = [
        Found(kind, row, match.start(), match.end())
        for kind, row, pattern in _patterns()
        for match in pattern.finditer(text)
        if match.end() > match.start()
    ]
    found.sort(key=lambda one: (one.start - one.end, one.start))
    taken: list[Found] = []
    for one in found:
        if all(one.end <= other.start or one.start >= other.end for other in taken):
            taken.append(one)
    return _with_refusals(text, sorted(taken, key=lambda one: one.start))


def _with_refusals(text: str, found: Iterable[Found]) -> list[Found]:
    marked: list[Found] = []
    for one in found:
        before, last = text[: one.start], marked[-1] if marked else None
        refused = bool(_REFUSING.search(before) or _REFUSED_AFTER.match(text[one.end :]))
        if not refused and last is not None and last.refused:
            between = text[last.end : one.start]
            refused = bool(_FURTHER.match(between)) and one.kind == last.kind
        marked.append(Found(one.kind, one.row, one.start, one.end, refused))
    return marked


@cache
def _patterns() -> tuple[tuple[str, Genre | Word, re.Pattern[str]], ...]:
    return tuple((kind, row, _whole_word(row.spellings)) for kind, rows in KINDS.items() for row in rows)


def _whole_word(spellings: Iterable[str]) -> re.Pattern[str]:
    """What is looked for: spellings in Latin letters as whole words, with or without a plural s, others anywhere."""
    parts = [f"{_BEFORE}(?:{one})s?{_AFTER}" if re.match(r"[ -ÿ]", one) else f"(?:{one})" for one in spellings]
    return re.compile("|".join(sorted(parts, key=len, reverse=True)))
