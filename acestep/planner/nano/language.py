"""What the nano planner writes: its answer to a sentence, as a few tokens of their own in an order that is fixed.

An answer is three digits of tempo, key, metre, unit and three digits of length, style, the instruments, the refused instruments.
Every value that is not said is ``-`` or zeros; `allowed` is the grammar that an answer is written under. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from acestep.api.music import key_name

PIECES = 768
"""The first tokens are the pieces of words that a sentence is cut into (``tokenizer.json``)."""

NOT_SAID = "-"
DIGITS = tuple("0123456789")
UNITS = ("seconds", "bars")
MODES = ("minor", "major")
KEYS = tuple(key_name(f"{tonic} {mode}") for tonic in ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
             for mode in MODES)  # fmt: skip
METRES = ("2", "3", "4", "6")

STYLES = ("rock", "house", "ballad", "funk", "lo-fi hip hop", "folk", "jazz", "waltz", "blues", "synthwave", "cinematic", "punk",
          "drum and bass")  # fmt: skip
"""Styles of the generator's songs, by their words in the rules' vocabulary."""

INSTRUMENTS = ("drums", "drum machine", "brushed drums", "percussion", "bass", "upright bass", "bass guitar", "synth bass", "piano",
               "electric piano", "vibraphone", "organ", "nylon guitar", "acoustic guitar", "clean guitar", "overdriven guitar",
               "guitar", "violin", "cello", "strings", "synth lead", "synth pad", "trumpet", "trombone", "brass", "saxophone",
               "clarinet", "flute")  # fmt: skip
"""What plays in the generator's songs, likewise."""

REFUSED = ("drums", "percussion", "bass", "piano", "guitar", "strings", "synth lead", "brass", "vocals")
"""What a sentence may refuse."""

_WORDS = (
    "<answer>", NOT_SAID, *DIGITS, *UNITS, *(f"key {key}" for key in (*KEYS, *MODES)), *(f"metre {metre}" for metre in METRES),
    *(f"style {style}" for style in STYLES), *(f"with {one}" for one in INSTRUMENTS), *(f"no {one}" for one in REFUSED), "<end>",
)  # fmt: skip
_IDS = {word: PIECES + number for number, word in enumerate(_WORDS)}

TOKENS = PIECES + len(_WORDS)
ASK, END = _IDS["<answer>"], _IDS["<end>"]


def _ids(words: Sequence[str]) -> tuple[int, ...]:
    return tuple(_IDS[word] for word in words)


_DIGIT = _ids(DIGITS)
_FIXED: tuple[tuple[int, ...], ...] = (
    _DIGIT,
    _DIGIT,
    _DIGIT,
    _ids([NOT_SAID, *(f"key {key}" for key in (*KEYS, *MODES))]),
    _ids([NOT_SAID, *(f"metre {metre}" for metre in METRES)]),
    _ids([NOT_SAID, *UNITS]),
    _DIGIT,
    _DIGIT,
    _DIGIT,
    _ids([NOT_SAID, *(f"style {style}" for style in STYLES)]),
)
"""What may stand in each of the places that every answer has."""

_WITH, _NO = _ids([f"with {one}" for one in INSTRUMENTS]), _ids([f"no {one}" for one in REFUSED])

PLACES = {"bpm": (0, 3), "key": (3, 4), "metre": (4, 5), "length": (5, 9), "style": (9, 10)}
"""Where the tokens of a value stand in an answer, up to; the lists come after them."""

LISTS = len(_FIXED)
MOST_TOKENS = LISTS + len(_WITH) + len(_NO) + 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sentence says; 0 and empty: not said. ``key`` may be a mode alone, ``length`` is in ``unit``."""

    bpm: int = 0
    key: str = ""
    metre: str = ""
    length: int = 0
    unit: str = ""
    style: str = ""
    instruments: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def tokens(self) -> list[int]:
        """As the model writes it."""
        words = [
            *f"{self.bpm:03d}",
            f"key {self.key}" if self.key else NOT_SAID,
            f"metre {self.metre}" if self.metre else NOT_SAID,
        ]
        words += [self.unit or NOT_SAID, *f"{self.length:03d}", f"style {self.style}" if self.style else NOT_SAID]
        words += [f"with {one}" for one in INSTRUMENTS if one in self.instruments] + ["<end>"]
        words += [f"no {one}" for one in REFUSED if one in self.refused] + ["<end>"]
        return [_IDS[word] for word in words]


def allowed(answer: Sequence[int]) -> tuple[int, ...]:
    """The tokens that may follow the beginning of an answer; none where it is whole. A list is in the order of its table."""
    if len(answer) < LISTS:
        return _FIXED[len(answer)]
    ended = answer[LISTS:].count(END)
    if ended == 2:
        return ()
    table = (_WITH, _NO)[ended]
    last = answer[-1]
    return (*(table[table.index(last) + 1 :] if last in table else table), END)


def read_answer(tokens: Sequence[int]) -> Answer:
    """The answer that a whole list of tokens says."""
    words = [_WORDS[token - PIECES] for token in tokens]
    unit = "" if words[5] == NOT_SAID else words[5]
    return Answer(
        bpm=int("".join(words[0:3])),
        key=words[3].removeprefix("key ").removeprefix(NOT_SAID),
        metre=words[4].removeprefix("metre ").removeprefix(NOT_SAID),
        length=int("".join(words[6:9])) if unit else 0,
        unit=unit,
        style=words[9].removeprefix("style ").removeprefix(NOT_SAID),
        instruments=tuple(word.removeprefix("with ") for word in words[LISTS:] if word.startswith("with ")),
        refused=tuple(word.removeprefix("no ") for word in words[LISTS:] if word.startswith("no ")),
    )


def word_of(token: int) -> str:
    """An answer's token in words."""
    return _WORDS[token - PIECES]
