"""The guide of a job as sound: rhythm and harmony, locked to the tempo map, given to the model as source hint.

A model that follows time structure well but does not invent a pulse gets its pulse here. Torch-free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from acestep.api.metre import Metre
from acestep.api.tempo_map import TempoMap
from acestep.conditioning.chords import GuideChord
from acestep.conditioning.guide_text import PULSE, RHYTHMS, Guide
from acestep.conditioning.midi_file import ClipNote

PLUCKED = 3.0
"""A second: how fast the chords of a pulse die away, so that the next one is heard to begin."""


def render_guide(guide: Guide, tempo: TempoMap, length: int, origin: int = 1) -> np.ndarray:
    """Exactly `length` samples, float32 [2, length] at the tempo map's rate; a longer guide is cut, a shorter repeats.

    The map says where bars are and what metre they have. Chords and notes begin with bar `origin` and repeat both ways from it.
    """
    line = np.zeros(length, dtype=np.float32)
    for bar in range(math.floor(tempo.bar(0.0)) - 1, math.ceil(tempo.bar(length)) + 1):
        start = tempo.quarter(tempo.bar_sample(bar))
        rhythm = rhythm_of(guide.rhythm, tempo.metre(bar)) if guide.rhythm else NO_RHYTHM
        _add_rhythm_bar(line, rhythm, tempo, start)
        if guide.bars:
            chords = guide.bars[(bar - origin) % len(guide.bars)]
            for chord in _struck(chords, rhythm.strikes, tempo.metre(bar).bar):
                _add_chord(line, chord, tempo, start)
    if guide.notes:
        begin, turn = tempo.quarter(tempo.bar_sample(origin)), guide.clip_quarters
        first, last = (tempo.quarter(place) - begin for place in (0.0, length))
        for repeat in range(math.floor(first / turn), math.ceil(last / turn) + 1):
            for note in guide.notes:
                _add_clip_note(line, replace(note, start=begin + note.start + repeat * turn), tempo)
    return np.stack([line, line])


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One bar of a rhythm: a row of sixteenths for each sound; every third of four comes ``late`` by so many quarters."""

    rows: dict[str, str]
    late: float = 0.0

    @property
    def strikes(self) -> tuple[float, ...]:
        """Quarters from the bar's start at which its chord is struck again; none: it is held."""
        return tuple(step / 4 for step, mark in enumerate(self.rows.get("chord", "")) if mark != ".")


NO_RHYTHM = Rhythm({})


def rhythm_of(style: str, metre: Metre) -> Rhythm:
    """A style's bar in a metre; a plain beat of its own groups where the style has none."""
    rows = RHYTHMS[style].get(metre.name)
    if rows is None and style == PULSE:
        beats = _plain_beat(metre)
        rows = {
            "chord": "".join("x" if "x" in pair else "." for pair in zip(beats["kick"], beats["snare"], strict=True))
        }
    rows = rows or RHYTHMS["beat"].get(metre.name) or _plain_beat(metre)
    return Rhythm(rows, 1.0 / 6.0 if style == "swing" else 0.0)


def _plain_beat(metre: Metre) -> dict[str, str]:
    """Kick and snare in turn on the groups of a bar: threes in 9/8 and 12/8, a three and twos in odd eighths, else beats."""
    steps = max(1, round(metre.bar * 4))
    if metre.compound:
        groups = [6 if metre.denominator == 8 else 3] * (metre.numerator // 3)
    elif metre.denominator == 8 and metre.numerator % 2 and metre.numerator > 3:
        groups = [6, *[4] * ((metre.numerator - 3) // 2)]
    else:
        groups = [max(1, round(metre.beat * 4))] * metre.numerator
    rows = {
        "kick": ["."] * steps,
        "snare": ["."] * steps,
        "hat": ["x" if step % 2 == 0 else "." for step in range(steps)],
    }
    place = 0
    for index, group in enumerate(groups):
        if place < steps:
            rows["snare" if index % 2 else "kick"][place] = "x"
        place += group
    return {sound: "".join(row) for sound, row in rows.items()}


def _add_rhythm_bar(line: np.ndarray, rhythm: Rhythm, tempo: TempoMap, start: float) -> None:
    for sound, pattern in rhythm.rows.items():
        if sound == "chord":
            continue
        for step, mark in enumerate(pattern):
            if mark != ".":
                quarter = start + step * 0.25 + (rhythm.late if step % 4 == 2 else 0.0)
                _add(line, _drum(sound, tempo.rate), round(tempo.sample(quarter)))


@dataclass(frozen=True, slots=True)
class Strike:
    """A chord between two times, in quarters from its bar's start; ``plucked``: it dies away instead of being held."""

    chord: GuideChord
    start: float
    end: float
    plucked: bool = False


def _struck(chords: tuple[GuideChord, ...], strikes: tuple[float, ...], bar: float) -> Iterator[Strike]:
    """The chords of a bar, each held for its share, or struck again wherever the rhythm has it."""
    start = 0.0
    for chord in chords:
        end = start + chord.share * bar
        places = [start, *(place for place in strikes if start < place < end - 1e-6)] if strikes else [start]
        for begin, stop in pairwise([*places, end]):
            yield Strike(chord, begin, stop, plucked=bool(strikes))
        start = end


def _add_chord(line: np.ndarray, strike: Strike, tempo: TempoMap, bar: float) -> None:
    """A chord whose bar begins at quarter ``bar``."""
    begin, stop = (round(tempo.sample(bar + place)) for place in (strike.start, strike.end))
    chord = strike.chord
    if chord.tones and stop > 0 and begin < len(line):
        for pitch, gain in [(36 + chord.bass, 0.10), *((60 + (tone - 60 + 5) % 12 - 5, 0.05) for tone in chord.tones)]:
            _add_tone(line, (pitch, gain), (begin, stop), tempo.rate, PLUCKED if strike.plucked else 0.0)


def _add_clip_note(line: np.ndarray, note: ClipNote, tempo: TempoMap) -> None:
    begin = round(tempo.sample(note.start))
    if note.drum:
        sound = "kick" if note.pitch in (35, 36, 41, 43) else "snare" if note.pitch in (37, 38, 39, 40) else "hat"
        _add(line, note.gain * _drum(sound, tempo.rate), begin)
        return
    stop = round(tempo.sample(note.start + note.length))
    _add_tone(line, (note.pitch, 0.09 * note.gain), (begin, stop), tempo.rate)


def _add(line: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Add `sound` at `start`, cut at both ends of the line."""
    low, high = max(start, 0), min(start + len(sound), len(line))
    if low < high:
        line[low:high] += sound[low - start : high - start]


def _add_tone(line: np.ndarray, tone: tuple[int, float], bounds: tuple[int, int], rate: int, fall: float = 0.0) -> None:
    """Add a pitch at a gain between two samples: three soft partials with 10 ms ramps, which fall to 1 / e in 1 / ``fall`` s where
    that is not 0. Only what the line holds is made."""
    (pitch, gain), (begin, stop) = tone, bounds
    low, high = max(begin, 0), min(stop, len(line))
    if low >= high:
        return
    place = np.arange(low - begin, high - begin)
    time = place.astype(np.float32) / rate
    hertz = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
    wave = sum(np.sin(2 * np.pi * hertz * k * time) / k**1.5 for k in (1, 2, 3) if hertz * k < rate / 2.2)
    ramp = np.minimum(1.0, np.minimum(place, stop - begin - 1 - place) / (0.01 * rate))
    if fall:
        ramp = ramp * 1.5 * np.exp(-fall * time)
    line[low:high] += gain * (wave * ramp).astype(np.float32)


def _drum(sound: str, rate: int) -> np.ndarray:
    """Synthetic kick (falling sine), snare (noise and tone) or hat (bright noise); the same at every call."""
    time = np.arange(int(0.18 * rate)) / rate
    noise = np.random.default_rng(7).standard_normal(len(time))
    if sound == "kick":
        wave = 0.55 * np.sin(2 * np.pi * (50 * time + 4.5 * (1 - np.exp(-time * 30)))) * np.exp(-time * 18)
    elif sound == "snare":
        wave = (0.16 * noise + 0.2 * np.sin(2 * np.pi * 190 * time)) * np.exp(-time * 26)
    else:
        wave = 0.07 * np.diff(noise, prepend=0.0) * np.exp(-time * 70)
    return wave.astype(np.float32)
