"""A song in words: templates with synonyms, so that a tiny text encoder learns more than one way to ask."""

from __future__ import annotations

import random

from acestep.training.songs.score import Song
from acestep.training.songs.song_tracks import program_words
from acestep.training.songs.styles import STYLES

_TEMPO_WORDS = ((80, ("slow", "relaxed")), (112, ("mid-tempo", "moderate")), (146, ("upbeat", "lively")),
                (999, ("fast", "energetic")))  # fmt: skip
_MOODS = {True: ("melancholic", "dark", "moody"), False: ("bright", "happy", "warm")}


def tempo_words(bpm: float) -> tuple[str, ...]:
    return next(words for limit, words in _TEMPO_WORDS if bpm < limit)


def instrument_words(song: Song, rng: random.Random) -> list[str]:
    """One word per part, drawn from the track's own vocabulary; sometimes just the class name."""
    words = []
    for part in song.parts:
        plain = part.track.replace("_", " ")
        words.append(plain if rng.random() < 0.35 else rng.choice(program_words(part.track, part.program)))
    return words


def write_caption(song: Song, rng: random.Random) -> str:
    """One sentence or a comma list, e.g. `slow jazz with piano, upright bass and brushes, warm`."""
    style = rng.choice(STYLES[song.style].words)
    tempo = rng.choice(tempo_words(song.bpm))
    mood = rng.choice(_MOODS[song.minor])
    words = instrument_words(song, rng)
    rng.shuffle(words)
    listed = ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1] if words else "silence"
    form = rng.randrange(6)
    if form == 0:
        return f"{tempo} {style} with {listed}, {mood}"
    if form == 1:
        return f"{mood} {style}: {listed}"
    if form == 2:
        return ", ".join([style, mood, tempo, *words])
    if form == 3:
        return f"an instrumental {style} track, {listed}"
    if form == 4:
        return f"{style}, {tempo}, in {song.key}, featuring {listed}"
    return f"{style}, {mood}"
