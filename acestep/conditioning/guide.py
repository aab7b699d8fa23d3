"""The guide of a job as sound: rhythm and harmony, locked to the tempo map, given to the model as source hint.

A model that follows time structure well but does not invent a pulse gets its pulse here. Torch-free.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from acestep.conditioning.chords import GuideChord
from acestep.conditioning.guide_text import QUARTERS_PER_BAR, RHYTHMS, Guide
from acestep.conditioning.midi_file import ClipNote
from acestep.conditioning.tempo import TempoMap


def render_guide(guide: Guide, tempo: TempoMap, length: int) -> np.ndarray:
    """Exactly `length` samples, float32 [2, length] at the tempo map's rate; a longer guide is cut, a shorter repeats."""
    line = np.zeros(length, dtype=np.float32)
    bar = QUARTERS_PER_BAR[guide.metre]
    first, last = tempo.quarter(0.0), tempo.quarter(length)
    for index in range(int(np.floor(first / bar)) - 1, int(np.ceil(last / bar)) + 1):
        start = index * bar
        if guide.rhythm:
            _add_rhythm_bar(line, guide, tempo, start)
        if guide.bars:
            _add_chord_bar(line, guide.bars[index % len(guide.bars)], tempo, start, bar)
    if guide.notes:
        for turn in range(int(np.floor(first / guide.clip_quarters)), int(np.ceil(last / guide.clip_quarters)) + 1):
            for note in guide.notes:
                _add_clip_note(line, replace(note, start=note.start + turn * guide.clip_quarters), tempo)
    return np.stack([line, line])


def _add_rhythm_bar(line: np.ndarray, guide: Guide, tempo: TempoMap, start: float) -> None:
    rows = RHYTHMS[guide.rhythm]
    late = 1.0 / 6.0 if guide.rhythm == "swing" else 0.0
    for sound, pattern in rows.get(guide.metre, RHYTHMS["beat"][guide.metre]).items():
        for step, mark in enumerate(pattern):
            if mark != ".":
                quarter = start + step * 0.25 + (late if step % 4 == 2 else 0.0)
                _add(line, _drum(sound, tempo.rate), round(tempo.sample(quarter)))


def _add_chord_bar(line: np.ndarray, chords: tuple[GuideChord, ...], tempo: TempoMap, start: float, bar: float) -> None:
    for chord in chords:
        end = start + chord.share * bar
        begin, stop = round(tempo.sample(start)), round(tempo.sample(end))
        if chord.tones and stop > 0 and begin < len(line):
            pitches = [(36 + chord.bass, 0.10)] + [(60 + (tone - 60 + 5) % 12 - 5, 0.05) for tone in chord.tones]
            for pitch, gain in pitches:
                _add_tone(line, (pitch, gain), (begin, stop), tempo.rate)
        start = end


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


def _add_tone(line: np.ndarray, tone: tuple[int, float], bounds: tuple[int, int], rate: int) -> None:
    """Add a pitch at a gain between two samples: three soft partials with 10 ms ramps. Only what the line holds is made."""
    (pitch, gain), (begin, stop) = tone, bounds
    low, high = max(begin, 0), min(stop, len(line))
    if low >= high:
        return
    place = np.arange(low - begin, high - begin)
    time = place.astype(np.float32) / rate
    hertz = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
    wave = sum(np.sin(2 * np.pi * hertz * k * time) / k**1.5 for k in (1, 2, 3) if hertz * k < rate / 2.2)
    ramp = np.minimum(1.0, np.minimum(place, stop - begin - 1 - place) / (0.01 * rate))
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
