"""Lyrics in scripts that the model knows in Latin letters only: Chinese as pinyin, Japanese as romaji, Korean letter by letter."""

from __future__ import annotations

import importlib
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import Any

from acestep.api.errors import Unavailable

EXTRA = "lyrics"
"""Extra of this program's package that brings the optional packages along."""

INITIALS = tuple("g kk n d tt l m b pp s ss . j jj ch k t p h".split(" "))
VOWELS = tuple("a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i".split(" "))
FINALS = tuple(". g kk gs n nj nh d l lg lm lb ls lt lp lh m b bs s ss ng j ch k t p h".split(" "))
"""The letters of a Korean syllable in the order of its code, as Revised Romanization spells them when letters count and not sounds;
a dot stands for none."""

FIRST_SYLLABLE, LAST_SYLLABLE = "가", "힣"


def optional(module: str, package: str, language: str) -> Any:
    """A module of an optional package. Raises `Unavailable` with what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as failure:
        raise Unavailable(
            f"{language} lyrics need the package {package}: pip install 'acestep-bridge[{EXTRA}]'", field="lyrics"
        ) from failure


def pinyin(text: str) -> str:
    """Chinese as syllables with the number of their tone (1 to 5) and nothing between them. Raises `Unavailable`."""
    library = optional("pypinyin", "pypinyin", "Chinese")
    return "".join(library.lazy_pinyin(text, style=library.Style.TONE3, neutral_tone_with_five=True))


def romaji(text: str) -> str:
    """Japanese in Hepburn's spelling. Raises `Unavailable`."""
    return _cutlet().romaji(text)


@lru_cache(maxsize=1)
def _cutlet() -> Any:
    """The reader of Japanese, whose dictionary takes a moment to open. (It comes in a package of its own.)"""
    optional("unidic_lite", "unidic-lite", "Japanese")
    return optional("cutlet", "cutlet", "Japanese").Cutlet()


def romanised_korean(text: str) -> str:
    """Hangul letter by letter; a hyphen stands where a syllable's border could be read elsewhere."""
    found: list[str] = []
    before: str | None = None
    for letter in text:
        if not FIRST_SYLLABLE <= letter <= LAST_SYLLABLE:
            found.append(letter)
            before = None
            continue
        place = ord(letter) - ord(FIRST_SYLLABLE)
        first, vowel, last = INITIALS[place // 588], VOWELS[place % 588 // 28], FINALS[place % 28]
        if before is not None and _is_unclear(before, first):
            found.append("-")
        found.append(f"{_spelt(first)}{vowel}{_spelt(last)}")
        before = last
    return "".join(found)


def _spelt(letter: str) -> str:
    return "" if letter == "." else letter


_JOINED = Counter(_spelt(last) + _spelt(first) for last in FINALS for first in INITIALS)


def _is_unclear(last: str, first: str) -> bool:
    """Whether the border between a final and an initial letter needs a hyphen."""
    joined = _spelt(last) + _spelt(first)
    doubled = any(one == other for one, other in pairwise(joined))
    return first == "." or (_JOINED[joined] > 1 and doubled)
