"""Facts and a seed become a plan: what the sentence says, and the rest within what is usual for the style, told as assumed."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

from acestep.api import limits
from acestep.api.metadata import Metadata
from acestep.api.metre import parse_metre
from acestep.planner.rules.reading import Reading
from acestep.planner.rules.vocabulary import FAMILIES, GENRES, RANGES, SURPRISES, TONICS, Genre

USUAL_SECONDS = 60.0
"""Length in seconds of a piece whose length nobody says; it becomes whole groups of four bars."""

MOST_PARTS = 4
"""Instruments in a caption that names fewer: what a style adds."""

USUAL_TEMPO = (92, 124)
"""Where no style and no word says a tempo."""

MOODY = 0.3
"""Balance of the moods from which they decide between minor and major."""


@dataclass
class Draft:
    """A plan on its way. ``assumed`` are the things that nobody said, ``notes`` whole sentences."""

    reading: Reading
    chance: random.Random
    given: Metadata
    genre: Genre
    assumed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def told(self) -> tuple[str, ...]:
        """All notes, what was assumed in one sentence at the end."""
        assumed = (f"not said, so chosen: {', '.join(self.assumed)}",) if self.assumed else ()
        return tuple(dict.fromkeys((*self.reading.notes, *self.notes, *assumed)))


def begin(reading: Reading, given: Metadata, seed: int) -> Draft:
    """A plan with its style."""
    chance = random.Random(seed)
    if reading.genres:
        return Draft(reading, chance, given, reading.main or reading.genres[0])
    named = {genre.word: genre for genre in GENRES}
    draft = Draft(reading, chance, given, named[chance.choice(SURPRISES)])
    if reading.instruments or reading.moods or reading.feels or reading.tempo_word:
        draft.genre = _neutral(reading)
    else:
        draft.assumed.append(f"the style {draft.genre.word}")
    return draft


def _neutral(reading: Reading) -> Genre:
    """No style in particular: what is named plays, at the tempo that is said."""
    feel = reading.feels[0] if reading.feels else ""
    return Genre("", (), USUAL_TEMPO, 0.5, feel, ("piano", "bass", "drums") if not reading.instruments else ())


def settle(draft: Draft, *, most: float = limits.MAX_DURATION) -> Metadata:
    """Tempo, key, metre and length; given values stand above the sentence's. ``most`` is the longest piece in seconds."""
    metre = _metre(draft)
    bpm = _tempo(draft)
    key = _key(draft)
    return Metadata(
        bpm=bpm,
        keyscale=key,
        timesignature=metre,
        duration=_length(draft, bpm, metre, most),
        language=draft.given.language or draft.reading.language,
        genres=draft.given.genres or ", ".join(genre.word for genre in draft.reading.genres),
    )


def _tempo(draft: Draft) -> float:
    reading, given, said = draft.reading, draft.given.bpm, draft.reading.figures.bpm
    word = reading.tempo_word
    if given is not None:
        _overruled(draft, "tempo", said and f"{said:g}", f"{given:g}")
        return given
    if said is not None:
        if ("slow" in word and said > 130) or ("fast" in word and said < 90):
            draft.notes.append(f"{word} and {said:g} bpm pull apart; {said:g} was taken")
        return whole(said)
    least, most = draft.genre.tempo
    if word and not draft.genre.word:
        least, most = RANGES[word]
    elif word:
        least, most = _shifted(word, least, most)
    elif draft.genre.word or not reading.moods:
        quarter = (most - least) // 4
        least, most = least + quarter, most - quarter
    else:
        pull = sum(mood.tempo for mood in reading.moods)
        least, most = (72, 92) if pull < 0 else (112, 132) if pull > 0 else (least, most)
    bpm = draft.chance.randint(least, most)
    draft.assumed.append(f"{bpm} bpm")
    return bpm


def _shifted(word: str, least: int, most: int) -> tuple[int, int]:
    """A style's tempi at their slow or fast end, and a little beyond it."""
    pull = {"very slow": -2, "slow": -1, "mid-tempo": 0, "upbeat": 1, "fast": 1, "very fast": 2}[word]
    width = max(most - least, 8)
    if pull < 0:
        return max(40, least + pull * width // 4), least + width // 4
    if pull > 0:
        return most - width // 4, min(200, most + (pull - 1) * width // 3)
    return least + width // 3, most - width // 3


def _key(draft: Draft) -> str:
    reading, given, said = draft.reading, draft.given.keyscale, draft.reading.figures.key
    if given:
        _overruled(draft, "key", said, given)
        return given
    if " " in said:
        return said
    mode = reading.figures.mode or _mode(draft)
    key = f"{said or draft.chance.choice(TONICS[mode])} {mode}"
    draft.assumed.append(key if not said else f"{mode} for {said}")
    return key


def _mode(draft: Draft) -> str:
    balance = sum(mood.minor for mood in draft.reading.moods)
    if abs(balance) >= MOODY:
        return "minor" if balance > 0 else "major"
    return "minor" if draft.chance.random() < draft.genre.minor else "major"


def _metre(draft: Draft) -> str:
    given, said = draft.given.timesignature, draft.reading.figures.metre
    if given:
        _overruled(draft, "metre", said, given)
        return given
    return said or next((genre.metre for genre in draft.reading.genres if genre.metre != "4"), draft.genre.metre)


def _length(draft: Draft, bpm: float, metre: str, most: float) -> float:
    reading, given = draft.reading, draft.given.duration
    said = reading.figures.seconds
    bar = parse_metre(metre).bar * 60 / bpm
    if given is not None:
        if said is not None:
            _overruled(draft, "length", f"{said:g} s", f"{given:g} s")
        return given
    if said is None and reading.figures.bars is not None:
        said = reading.figures.bars * bar
    if said is None:
        groups = max(1, round(USUAL_SECONDS / (4 * bar)))
        said = groups * 4 * bar
        draft.assumed.append(f"{groups * 4} bars ({said:.1f} s)")
    if said > most:
        draft.notes.append(
            f"{said:.0f} s is longer than {most:.0f} s, the most that is planned here; {most:.0f} s were taken"
        )
    return whole(round(min(said, most), 6))


def whole(value: float) -> float:
    """A number without a fraction as a whole one, as other planners write it."""
    return int(value) if value == int(value) else value


def _overruled(draft: Draft, what: str, said: object, given: object) -> None:
    if said not in (None, "", given):
        draft.notes.append(f"the sentence says the {what} {said}, the request {given}; the request holds")


# Captions


def family(word: str) -> str:
    """The family of an instrument, or its own name."""
    return next((name for name, pattern in FAMILIES.items() if re.search(pattern, word)), word)


def parts_of(draft: Draft) -> list[str]:
    """What plays: what is named, and where that is little what belongs to the style; nothing that is refused."""
    reading = draft.reading
    named = list(reading.instruments)
    refused = {family(word) for word in reading.refused}
    if reading.alone and named:
        return named
    there = {family(word) for word in named}
    added: list[str] = []
    for word in draft.genre.parts if len(named) < MOST_PARTS - 1 else ():
        if family(word) not in there | refused and len(named) + len(added) < MOST_PARTS:
            added.append(word)
    if added:
        draft.assumed.append(" and ".join(filter(None, (", ".join(added[:-1]), added[-1]))))
    return named + added


def write_caption(draft: Draft) -> str:
    """The plan in the models' words: style, rhythm, instruments, voice, sound, and what no rule knows."""
    reading, genre = draft.reading, draft.genre
    moods = [mood.word for mood in reading.moods]
    styles = [one.word for one in reading.genres] or [genre.word]
    head = " ".join(filter(None, (*moods[:1], _tempo_word(draft), styles[0])))
    parts = parts_of(draft)
    if reading.alone and parts:
        parts[0] = f"solo {parts[0]}"
    near = "" if genre.near in head or all(word in head for word in genre.near.split()) else genre.near
    words = [head, *styles[1:], near, *moods[1:], *_feels(draft, parts), *parts]
    words += [] if reading.instrumental else reading.voices
    words += ["instrumental"] if reading.instrumental else []
    words += [
        *reading.sounds,
        *(f"no {word}" for word in dict.fromkeys(reading.refused) if word != "vocals"),
        reading.rest,
    ]
    return _joined(words)[: limits.MAX_CAPTION]


def enrich_caption(draft: Draft, caption: str) -> str:
    """A caption that somebody wrote, with its figures taken out (they have fields) and the style's rhythm and instruments added
    where it names none."""
    reading, genre = draft.reading, draft.genre
    words = [caption.strip(" ,.")] if caption.strip() else [genre.word]
    parts = parts_of(draft)
    words += [word for word in (*_feels(draft, parts), *parts) if word not in caption.lower()]
    if reading.instrumental and "instrumental" not in caption.lower() and not reading.voices:
        words.append("instrumental")
    return _joined(words)[: limits.MAX_CAPTION]


def _tempo_word(draft: Draft) -> str:
    """The sentence's own word for the tempo; a style that has one in its name needs none."""
    return draft.reading.tempo_word if draft.reading.tempo_word not in draft.genre.near else ""


def _feels(draft: Draft, parts: list[str]) -> list[str]:
    """Words for the rhythm, where something plays it."""
    reading = draft.reading
    if "drums" in {family(word) for word in reading.refused} or reading.alone:
        return []
    feels = list(reading.feels)
    if draft.genre.feel and not feels and "drums" in {family(word) for word in parts}:
        feels.append(draft.genre.feel)
    return feels


def _joined(words: list[str]) -> str:
    return ", ".join(dict.fromkeys(word for word in words if word))
