"""The guide of a job: rhythm and harmony as plain sound, locked to the tempo map, given to the model as source hint.

A model that follows time structure well but does not invent a pulse gets its pulse here. Torch-free: numpy and mido.
`parse_guide` turns the job's `guide` text into a `Guide`, `render_guide` turns that into audio.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import mido
import numpy as np

from acestep.api.errors import BadRequest
from acestep.conditioning.chords import QUALITIES, GuideChord, parse_chord, parse_chord_line
from acestep.conditioning.tempo import TempoMap

QUARTERS_PER_BAR = {"2": 2.0, "3": 3.0, "4": 4.0, "6": 3.0}
MAX_CLIP_NOTES = 20_000
DRUM_CHANNEL = 9

RHYTHMS: dict[str, dict[str, dict[str, str]]] = {
    # style -> metre -> sound -> one bar of sixteenths; `beat` is the fallback
    "beat": {
        "4": {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        "2": {"kick": "x.......", "snare": "....x...", "hat": "x.x.x.x."},
        "3": {"kick": "x...........", "snare": "....x...x...", "hat": "x.x.x.x.x.x."},
        "6": {"kick": "x...........", "snare": "......x.....", "hat": "x.x.x.x.x.x."},
    },
    "four": {"4": {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "..x...x...x...x."}},
    "breaks": {"4": {"kick": "x.........x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."}},
    "half": {"4": {"kick": "x.........x.....", "snare": "........x.......", "hat": "x...x...x...x..."}},
    "swing": {"4": {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x...x.x.x...x.x."}},
}
STYLES = tuple(RHYTHMS)


@dataclass(frozen=True, slots=True)
class ClipNote:
    """A note of a MIDI clip: quarters from the clip's start, MIDI pitch, gain 0..1; drums carry no pitch."""

    start: float
    length: float
    pitch: int
    gain: float
    drum: bool = False


@dataclass(frozen=True, slots=True)
class Guide:
    """What shall be heard. `rhythm` names a row of `RHYTHMS` or is empty; `bars` of chords and `notes` repeat from the downbeat."""

    rhythm: str = "beat"
    metre: str = "4"
    bars: tuple[tuple[GuideChord, ...], ...] = ()
    notes: tuple[ClipNote, ...] = ()
    clip_quarters: float = 0.0

    def __post_init__(self) -> None:
        if self.rhythm and self.rhythm not in RHYTHMS:
            raise BadRequest(f"there is no rhythm {self.rhythm!r}", field="guide", limits={"choices": list(STYLES)})
        if self.metre not in QUARTERS_PER_BAR:
            raise BadRequest(f"there is no metre {self.metre!r}", field="time_signature",
                             limits={"choices": list(QUARTERS_PER_BAR)})  # fmt: skip


def parse_guide(text: str, metre: str = "4", key: str = "") -> Guide:
    """`auto`, `beat`, `beat four`, a chord line, `four: Am F C G`, or the path of a MIDI file. Raises `BadRequest`.

    `auto` is the plain beat with the key's four-bar progression, or alone where no key is given.
    """
    text = text.strip()
    if text.lower() == "auto":
        return Guide(metre=metre, bars=key_progression(key))
    if text.lower().endswith((".mid", ".midi")):
        return read_clip(Path(text), metre)
    head, colon, line = text.partition(":")
    if colon:
        return Guide(rhythm=head.strip().lower(), metre=metre, bars=parse_chord_line(line))
    words = text.lower().split()
    if (words[:1] == ["beat"] and len(words) <= 2) or (len(words) == 1 and words[0] in RHYTHMS):
        return Guide(rhythm=words[-1], metre=metre)
    return Guide(metre=metre, bars=parse_chord_line(text))


def key_progression(key: str) -> tuple[tuple[GuideChord, ...], ...]:
    """I V vi IV of a major key, i VI III VII of a minor one (`C# minor`); nothing without a key. Raises `BadRequest`."""
    if not key.strip():
        return ()
    note, _, mode = key.strip().partition(" ")
    minor = mode.strip().lower() == "minor"
    tonic = parse_chord(note).bass
    steps = ((0, "m"), (8, ""), (3, ""), (10, "")) if minor else ((0, ""), (7, ""), (9, "m"), (5, ""))
    chords = []
    for step, quality in steps:
        root = (tonic + step) % 12
        chords.append((GuideChord(root, tuple((root + tone) % 12 for tone in QUALITIES[quality])),))
    return tuple(chords)


def read_clip(path: Path, metre: str = "4") -> Guide:
    """The notes of a Standard MIDI File, without its tempo: the job's tempo map rules. Raises `BadRequest`."""
    try:
        file = mido.MidiFile(path, clip=True)
        notes = _clip_notes(file)
    except (OSError, ValueError, EOFError, KeyError, IndexError) as error:
        raise BadRequest(f"{path.name} cannot be read as a MIDI file ({error})", field="guide") from error
    if not notes:
        raise BadRequest(f"{path.name} holds no notes", field="guide")
    bar = QUARTERS_PER_BAR.get(metre, 4.0)
    end = max(note.start + max(note.length, 0.25) for note in notes)
    return Guide(rhythm="", metre=metre, notes=notes, clip_quarters=float(np.ceil(end / bar - 1e-6) * bar))


def _clip_notes(file: mido.MidiFile) -> tuple[ClipNote, ...]:
    notes: list[ClipNote] = []
    now, sounding = 0, dict[tuple[int, int], tuple[int, int]]()
    for message in mido.merge_tracks(file.tracks):
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        voice = (message.channel, message.note)
        if voice in sounding:
            start, velocity = sounding.pop(voice)
            notes.append(ClipNote(start / file.ticks_per_beat, (now - start) / file.ticks_per_beat, message.note,
                                  velocity / 127.0, message.channel == DRUM_CHANNEL))  # fmt: skip
        if message.type == "note_on" and message.velocity:
            sounding[voice] = (now, message.velocity)
        if len(notes) > MAX_CLIP_NOTES:
            raise BadRequest("the MIDI clip has too many notes", field="guide", limits={"max": MAX_CLIP_NOTES})
    return tuple(sorted(notes, key=lambda note: (note.start, note.pitch)))


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
                _add(line, gain * _tone(pitch, stop - begin, tempo.rate), begin)
        start = end


def _add_clip_note(line: np.ndarray, note: ClipNote, tempo: TempoMap) -> None:
    begin = round(tempo.sample(note.start))
    if note.drum:
        sound = "kick" if note.pitch in (35, 36, 41, 43) else "snare" if note.pitch in (37, 38, 39, 40) else "hat"
        _add(line, note.gain * _drum(sound, tempo.rate), begin)
        return
    stop = round(tempo.sample(note.start + note.length))
    if stop > 0 and begin < len(line):
        _add(line, 0.09 * note.gain * _tone(note.pitch, stop - begin, tempo.rate), begin)


def _add(line: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Add `sound` at `start`, cut at both ends of the line."""
    low, high = max(start, 0), min(start + len(sound), len(line))
    if low < high:
        line[low:high] += sound[low - start : high - start]


def _tone(pitch: int, samples: int, rate: int) -> np.ndarray:
    """Three soft partials with 10 ms ramps."""
    time = np.arange(samples, dtype=np.float32) / rate
    hertz = 440.0 * 2.0 ** ((pitch - 69) / 12.0)
    wave = sum(np.sin(2 * np.pi * hertz * k * time) / k**1.5 for k in (1, 2, 3) if hertz * k < rate / 2.2)
    ramp = np.minimum(1.0, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / (0.01 * rate))
    return (wave * ramp).astype(np.float32)


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
