"""Sentences about the generator's songs, each with the answer that it asks for: what it leaves out, the answer leaves out."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from acestep.planner.nano.language import INSTRUMENTS as INSTRUMENT_TOKENS
from acestep.planner.nano.language import Answer
from acestep.training.planner import wordings
from acestep.training.planner.numbers import written
from acestep.training.songs.compose import compose
from acestep.training.songs.seeds import song_seed
from acestep.training.songs.song_tracks import program_words

SONG_SECONDS = 4.0
"""A song's facts do not depend on its length; a short one is composed sooner."""

_STYLE_WORDS = {"lofi": "lo-fi hip hop", "shuffle": "blues", "breaks": "drum and bass"}
"""Words of the rules' vocabulary for styles that the generator calls otherwise."""

_INSTRUMENT_OF = {word: one for one, words in wordings.INSTRUMENTS.items() for word in words}


@dataclass(frozen=True, slots=True)
class SongFacts:
    """What a sentence can say of a song."""

    bpm: int
    key: str
    metre: str
    style: str
    instruments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SentenceExample:
    """A sentence and what it says."""

    sentence: str
    answer: Answer


def song_facts(split: str, index: int) -> SongFacts:
    """The facts of a song of the generator."""
    song = compose(song_seed(split, index), SONG_SECONDS)
    words = [program_words(part.track, part.program)[0] for part in song.parts]
    instruments = {_INSTRUMENT_OF[word] for word in words if word in _INSTRUMENT_OF}
    return SongFacts(
        bpm=song.bpm,
        key=song.key,
        metre=song.metre,
        style=_STYLE_WORDS.get(song.style, song.style),
        instruments=tuple(one for one in INSTRUMENT_TOKENS if one in instruments),
    )


Clause = tuple[str, Callable[[Answer], Answer]]
"""Words, and what they add to the answer."""


def _set(**values: object) -> Callable[[Answer], Answer]:
    return lambda answer: replace(answer, **values)  # type: ignore[arg-type]


def _tempo(facts: SongFacts, chance: random.Random) -> Clause:
    """Mostly the song's own tempo, sometimes any: nobody is bound to the style's."""
    bpm = facts.bpm if chance.random() < 0.5 else chance.randint(40, 240)
    form = chance.choice(wordings.TEMPO)
    return form.format(written(bpm, chance), u=chance.choice(wordings.TEMPO_UNITS)), _set(bpm=bpm)


def _note(tonic: str, chance: random.Random) -> str:
    """A note's name in one of its spellings."""
    same = {"C#": "Db", "Eb": "D#", "F#": "Gb", "Ab": "G#", "Bb": "A#"}
    if tonic in same and chance.random() < 0.5:
        tonic = same[tonic]
    sign = tonic[1:]
    letter = tonic[0] if chance.random() < 0.7 else tonic[0].lower()
    return letter + (chance.choice(wordings.SHARP if sign == "#" else wordings.FLAT) if sign else "")


def _key(facts: SongFacts, chance: random.Random) -> Clause:
    tonic, mode = facts.key.split()
    words = wordings.MINOR if mode == "minor" else wordings.MAJOR
    draw = chance.random()
    if draw < 0.15:
        return chance.choice(wordings.MODE_ONLY).format(mode), _set(key=mode)
    if draw < 0.35:
        form = chance.choice(wordings.KEY_PARTS)
        return form.format(t=_note(tonic, chance), m=chance.choice(words)), _set(key=facts.key)
    note = _note(tonic, chance)
    if mode == "minor" and " " not in note and draw < 0.45:
        return chance.choice(wordings.KEY).format(f"{note[0].upper()}{note[1:]}m"), _set(key=facts.key)
    joint = "-" if chance.random() < 0.1 else " "
    return chance.choice(wordings.KEY).format(f"{note}{joint}{chance.choice(words)}"), _set(key=facts.key)


def _metre(facts: SongFacts, chance: random.Random) -> Clause:
    metre = facts.metre if chance.random() < 0.6 else chance.choice(tuple(wordings.METRES))
    return chance.choice(wordings.METRES[metre]), _set(metre=metre)


def _seconds(value: int, chance: random.Random) -> str:
    """A length in words or digits, in minutes where it has any."""
    minutes, rest = divmod(value, 60)
    unit = chance.choice(("seconds", "seconds", "sec", "secs", "s"))
    if value < 60 or (value <= 120 and chance.random() < 0.3):
        if value == 30 and chance.random() < 0.4:
            return chance.choice(("half a minute", "a half minute"))
        if value == 45 and chance.random() < 0.3:
            return "three quarters of a minute"
        return f"{written(value, chance)} {unit}"
    one = chance.choice(("a", "one")) if minutes == 1 else written(minutes, chance)
    word = (
        chance.choice(("minute", "minute", "min"))
        if minutes == 1
        else chance.choice(("minutes", "minutes", "mins", "min"))
    )
    if not rest:
        return f"{one} {word}"
    if rest == 30 and chance.random() < 0.6:
        return chance.choice((f"{one} {word} and a half", f"{one} and a half minutes", f"{one} {word} thirty"))
    if chance.random() < 0.25:
        return f"{minutes}:{rest:02d}"
    joint = chance.choice((" ", " and ", ", "))
    return f"{one} {word}{joint}{written(rest, chance)}" + (f" {unit}" if joint != " " or chance.random() < 0.5 else "")


def _length(facts: SongFacts, chance: random.Random) -> Clause:
    if chance.random() < 0.35:
        bars = chance.choice((1, 2, 3, 4, 6, 8, 8, 12, 16, 16, 20, 24, 32, 40, 48, 64, chance.randint(1, 99)))
        unit = chance.choice(wordings.BARS)
        said = (
            written(bars, chance)
            + ("" if unit.startswith("-") else " ")
            + (unit if bars > 1 else unit.replace("bars", "bar"))
        )
        return chance.choice(wordings.LENGTH[:12]).format(said), _set(length=bars, unit="bars")
    seconds = chance.choice((5 * chance.randint(1, 24), 15 * chance.randint(1, 24), chance.randint(3, 400)))
    return chance.choice(wordings.LENGTH).format(_seconds(seconds, chance)), _set(length=seconds, unit="seconds")


def _style(facts: SongFacts, chance: random.Random) -> Clause:
    mood = f"{chance.choice(wordings.MOODS)} " if chance.random() < 0.4 else ""
    return mood + chance.choice(wordings.STYLES[facts.style]), _set(style=facts.style)


def _listed(words: list[str], chance: random.Random) -> str:
    if len(words) == 1:
        return words[0]
    return ", ".join(words[:-1]) + chance.choice((" and ", " and ", ", ", " & ", " plus ")) + words[-1]


def _instruments(facts: SongFacts, chance: random.Random) -> Clause:
    pool = facts.instruments if facts.instruments and chance.random() < 0.5 else INSTRUMENT_TOKENS
    chosen = chance.sample(pool, min(len(pool), chance.choice((1, 1, 2, 2, 3, 4))))
    words = [chance.choice(wordings.INSTRUMENTS[one]) for one in chosen]
    return chance.choice(wordings.WITH).format(_listed(words, chance)), _set(instruments=tuple(chosen))


def _refused(facts: SongFacts, chance: random.Random) -> Clause:
    one = chance.choice(tuple(wordings.REFUSED))
    words = chance.choice(wordings.REFUSED[one])
    form = chance.choice(wordings.REFUSING)
    if "the {}" in form:
        words = words.removeprefix("any ").removeprefix("a ")
    return form.format(words), _set(refused=(one,))


CLAUSES: tuple[tuple[float, Callable[[SongFacts, random.Random], Clause]], ...] = (
    (0.55, _tempo),
    (0.5, _key),
    (0.25, _metre),
    (0.45, _length),
    (0.6, _style),
    (0.5, _instruments),
    (0.2, _refused),
)
"""How often a sentence says each thing."""


def example(split: str, index: int) -> SentenceExample:
    """The sentence of a song, and its answer. The same index gives the same sentence."""
    chance = random.Random(f"{split} {index}")
    facts = song_facts(split, index)
    said = [make(facts, chance) for share, make in CLAUSES if chance.random() < share]
    answer = Answer()
    for _, add in said:
        answer = add(answer)
    if answer.refused and set(answer.refused) & set(answer.instruments):
        answer = replace(answer, instruments=tuple(one for one in answer.instruments if one not in answer.refused))
    words = [_padded(text, chance) for text, _ in said]
    if chance.random() < 0.4:
        words.append(chance.choice(wordings.ABOUT))
    chance.shuffle(words)
    text = chance.choice(wordings.OPENINGS) + _joined(words, chance)
    return SentenceExample(_typed(text, chance), answer)


def _padded(text: str, chance: random.Random) -> str:
    """A clause, sometimes among words that say nothing: it is to be known by itself, not by its neighbours."""
    draw = chance.random()
    before = chance.choices(wordings.PADDING, k=chance.randint(1, 4)) if draw < 0.25 else []
    after = chance.choices(wordings.PADDING, k=chance.randint(1, 4)) if 0.15 < draw < 0.4 else []
    return " ".join([*before, text, *after])


def _joined(words: list[str], chance: random.Random) -> str:
    text = ""
    for word in words:
        text += (chance.choice((", ", ", ", " ", " ", "; ", ". ", " - ", " and ")) if text else "") + word
    return text


_SLIPS = (
    lambda word, at, chance: word[:at] + word[at + 1 :],
    lambda word, at, chance: word[:at] + word[at] + word[at:],
    lambda word, at, chance: word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
    lambda word, at, chance: word[:at] + chance.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :],
)


def _typed(text: str, chance: random.Random) -> str:
    """A sentence as it is typed: with slips in longer words, capitals or none, and an end or none."""
    if chance.random() < 0.5:
        text = " ".join(_slip(word, chance) if chance.random() < 0.25 else word for word in text.split(" "))
    draw = chance.random()
    if draw < 0.3:
        text = text[:1].upper() + text[1:]
    elif draw < 0.36:
        text = text.upper()
    return text + chance.choice(("", "", ".", "!", " please", ", please."))


def _slip(word: str, chance: random.Random) -> str:
    """A word of five letters or more with one of them wrong."""
    if len(word) < 5 or not word.isalpha():
        return word
    return chance.choice(_SLIPS)(word, chance.randrange(1, len(word)), chance)


def batch(split: str, first: int, count: int) -> list[SentenceExample]:
    """Examples ``first`` up to ``first + count`` of a split."""
    return list(map(partial(example, split), range(first, first + count)))
