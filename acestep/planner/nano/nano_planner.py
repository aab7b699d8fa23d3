"""The rules' planner with a second reader: what the rules' vocabulary does not know, the nano planner's network may.

The network has its say only where a word that the rules left matters to it, and never against what a sentence says in figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from acestep.api import limits
from acestep.planner.nano.language import LISTS, PLACES, word_of
from acestep.planner.nano.network import WEIGHTS, NanoReader, NanoReading
from acestep.planner.rules.reading import Further, Reading
from acestep.planner.rules.rules_planner import FETCH, RulesPlanner
from acestep.planner.rules.vocabulary import GENRES, NUMBERS
from acestep.planner.rules.writing import family

MADE_BY = (
    f"planned by rules and the nano planner, without a big language model; {FETCH.replace('that can', 'of those')}"
)

SURE = 0.7
"""How sure the network must be of a value that is taken."""

MATTERS = 0.5
"""A word matters to a value that is at most this likely, of what it was, without the word."""

MOST_WORDS = 40
"""Words beyond which a text is a story; the network is not asked about it."""

COUNTING = frozenset(NUMBERS) | frozenset(
    "hundred ten eleven twelve fifteen seventeen eighteen nineteen seventy eighty quarter quarters half minute minutes second "
    "seconds beats clicks pulses counts bars measures tempo pace metronome click".split()
)
"""Words that belong to a tempo or a length, and say nothing once it has been read."""

_FOREIGN = re.compile(r"[^\W\d_a-zA-Z\u00c0-\u024f]")
"""A letter of another script; the network reads English."""


class NanoPlanner(RulesPlanner):
    """A planner that needs no download. ``max_duration`` (s): the longest piece that it plans."""

    made_by = (MADE_BY,)

    def __init__(self, *, max_duration: float = limits.MAX_DURATION) -> None:
        super().__init__(max_duration=max_duration, further=further_reader())


@cache
def further_reader(folder: Path = WEIGHTS) -> Further:
    """What the network of a folder understands of the words that the rules left. Its weights are read at the first sentence."""
    open_reader = cache(partial(NanoReader, folder))

    def read(sentence: str, reading: Reading) -> None:
        if len(sentence.split()) <= MOST_WORDS and not _FOREIGN.search(sentence):
            _read_further(open_reader(), sentence, reading)

    return read


def _read_further(reader: NanoReader, sentence: str, reading: Reading) -> None:
    heard = reader.read(sentence)
    mattering = _mattering(reader, heard, sentence, list(dict.fromkeys(reading.left)))
    taken = _Taken(reading, heard, mattering, in_digits=any(letter.isdigit() for letter in sentence))
    taken.take_figures()
    taken.take_words()
    if taken.said:
        reading.notes.append(f"read by the nano planner: {', '.join(taken.said)}")
        reading.left = [word for word in reading.left if word not in taken.used]


def _mattering(reader: NanoReader, heard: NanoReading, sentence: str, words: list[str]) -> dict[str, set[str] | None]:
    """Of each value that was heard, the words without each of which it would hardly have been: perhaps none, where several say the
    same. None where all of them together do not matter.
    """
    patterns = [rf"\b{re.escape(word)}\b" for word in words]
    bare = re.sub("|".join(patterns), " ", sentence)
    usual, without_all, *rows = reader.likelihoods(
        [sentence, bare, *(re.sub(pattern, " ", sentence) for pattern in patterns)], heard.tokens
    )
    places = {name: range(*place) for name, place in PLACES.items()}
    places |= {word_of(heard.tokens[at]): range(at, at + 1) for at in range(LISTS, len(heard.tokens))}

    def less(row: list[float], place: range) -> bool:
        return any(row[at] < MATTERS * usual[at] for at in place)

    return {
        name: {word for word, row in zip(words, rows, strict=True) if less(row, place)}
        if less(without_all, place)
        else None
        for name, place in places.items()
    }


@dataclass
class _Taken:
    """What goes into a reading, said in words, and the words that it used up."""

    reading: Reading
    heard: NanoReading
    mattering: dict[str, set[str] | None]
    in_digits: bool
    """Whether the sentence has digits, which the rules read as they stand."""

    def __post_init__(self) -> None:
        self.said: list[str] = []
        self.used: set[str] = set()

    def _take(self, name: str, said: str) -> bool:
        """Whether a value is to be taken: the network is sure, and a word that was left speaks for it."""
        words = self.mattering[name]
        if self.heard.sure[name] < SURE or words is None:
            return False
        self.said.append(said)
        self.used |= words
        if name in ("bpm", "length"):
            self.used |= {word for word in self.reading.left if word.lower() in COUNTING}
        return True

    def take_figures(self) -> None:
        """Tempo, key, metre and length."""
        answer, figures = self.heard.answer, self.reading.figures
        least, most = limits.BPM_RANGE
        if figures.bpm is None and least <= answer.bpm <= most and self._take("bpm", f"{answer.bpm} bpm"):
            figures.bpm = float(answer.bpm)
        if answer.key and not _names(figures.key) and self._agrees() and self._take("key", answer.key):
            figures.key, figures.mode = (answer.key, "") if " " in answer.key else (figures.key, answer.key)
        if answer.metre and not figures.metre and self._take("metre", f"metre {answer.metre}"):
            figures.metre = answer.metre
        self._take_length()

    def _take_length(self) -> None:
        """A length in words that the rules have read by half (the minute of "a minute fifty") counts as not read."""
        answer, figures = self.heard.answer, self.reading.figures
        length = float(answer.length)
        said = figures.bars if answer.unit == "bars" else figures.seconds
        read = figures.bars is not None or figures.seconds is not None
        if not 0 < length <= limits.MAX_DURATION or said == length or (read and self.in_digits):
            return
        if self._take("length", f"{length:g} {answer.unit}"):
            figures.seconds, figures.bars = (None, length) if answer.unit == "bars" else (length, None)

    def _agrees(self) -> bool:
        """Whether a key has the tonic and the mode that the rules have found, where they have."""
        tonic, _, mode = self.heard.answer.key.rpartition(" ")
        figures = self.reading.figures
        return figures.key in ("", tonic) and figures.mode in ("", mode)

    def take_words(self) -> None:
        """Style, instruments, and what should not play."""
        answer, reading = self.heard.answer, self.reading
        named = {genre.word: genre for genre in GENRES}
        if answer.style and reading.main is None and self._take("style", answer.style):
            reading.main = named[answer.style]
            reading.genres.append(reading.main)
        for word in answer.refused:
            if word not in reading.refused and self._take(f"no {word}", f"no {word}"):
                reading.refused.append(word)
                reading.instruments = [one for one in reading.instruments if family(one) != family(word)]
        away = {family(word) for word in reading.refused}
        for word in answer.instruments:
            if word not in reading.instruments and family(word) not in away and self._take(f"with {word}", word):
                reading.instruments.append(word)


def _names(key: str) -> bool:
    """Whether a key has tonic and mode."""
    return " " in key
