"""From a seed to a song: style, key and tempo are drawn first, then every player writes its part.

Knows nothing of audio. The same seed gives the same song on every machine (only `random.Random` is used).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from acestep.training.songs.captions import write_caption
from acestep.training.songs.score import QUARTERS_PER_BAR, Note, Part, Song
from acestep.training.songs.song_harmony import PROGRESSIONS, Chord, diatonic_chord, nearest_pitch, scale
from acestep.training.songs.song_tracks import KIT_SOUNDS, PERCUSSION_SOUNDS, TRACKS, Track
from acestep.training.songs.styles import FILLS, PERCUSSION_GROOVES, STYLES, VELOCITY, Style

SIXTEENTH = 0.25
MAX_DETUNE_CENTS = 5.0  # the nano codec's oscillators sit on the equal-tempered grid
PHRASE_BARS = 4


@dataclass(frozen=True, slots=True)
class SongPlan:
    """What all players share."""

    style: Style
    tonic: int
    minor: bool
    chords: tuple[Chord, ...]  # one per bar

    @property
    def bars(self) -> int:
        return len(self.chords)

    @property
    def bar(self) -> float:
        return QUARTERS_PER_BAR[self.style.metre]


def compose(seed: int, seconds: float = 12.0, style: str | None = None) -> Song:
    """Write a song of at least `seconds` (whole bars). `style` pins the style (see `STYLES`), else it is drawn."""
    rng = random.Random(seed)
    drawn = rng.choice(sorted(STYLES))
    chosen = STYLES[style or drawn]
    bpm = rng.randint(*chosen.tempo)
    bars = max(1, math.ceil(seconds * bpm / 60.0 / QUARTERS_PER_BAR[chosen.metre] - 1e-9))
    tonic, minor = rng.randrange(12), rng.random() < chosen.minor
    plan = SongPlan(chosen, tonic, minor, _write_chords(rng, tonic, minor, bars))
    song = Song(
        seed=seed,
        style=chosen.name,
        bpm=bpm,
        metre=chosen.metre,
        tonic=tonic,
        minor=minor,
        bars=bars,
        chords=plan.chords,
        parts=tuple(_arrange(rng, plan)),
    )
    return replace(song, caption=write_caption(song, rng))


def _write_chords(rng: random.Random, tonic: int, minor: bool, bars: int) -> tuple[Chord, ...]:
    """A four-bar progression, with a contrasting one for every second eight bars; sometimes sevenths."""
    verse, chorus = rng.choice(PROGRESSIONS[minor]), rng.choice(PROGRESSIONS[minor])
    seventh = rng.random() < 0.25
    degrees = [(chorus if bar // 8 % 2 else verse)[bar % 4] for bar in range(bars)]
    return tuple(diatonic_chord(tonic, minor, degree, seventh) for degree in degrees)


def _arrange(rng: random.Random, plan: SongPlan) -> Iterator[Part]:
    """The band: rhythm section, comping, lead, and now and then a pad, hand percussion or effects."""
    style, taken = plan.style, set[str]()

    def cast(track: str, write: Callable[[random.Random, SongPlan, Track], list[Note]], pan: float) -> Part:
        taken.add(track)
        notes = write(rng, plan, TRACKS[track])
        return Part(
            track,
            _choose_program(rng, style, track),
            tuple(notes),
            pan=round(pan, 2),
            ambience=round(rng.uniform(0.0, 0.35), 2) * (track != "bass"),
            detune=round(rng.uniform(-1, 1) * MAX_DETUNE_CENTS, 1) if rng.random() < 0.25 else 0.0,
            unpitched=TRACKS[track].unpitched,
        )

    side = rng.choice((-1, 1)) * rng.uniform(0.1, 0.6)
    if rng.random() < 0.93:
        yield cast("drums", _write_drums, 0.0)
    if rng.random() < 0.93:
        yield cast("bass", _write_bass, 0.0)
    comping = rng.choice(style.comping)
    if rng.random() < 0.95:
        yield cast(comping, _write_comping, side)
    leads = [track for track in style.leads if track not in taken]
    if leads and rng.random() < 0.8:
        yield cast(rng.choice(leads), _write_lead, -side)
    pads = [track for track in ("strings", "synth", "backing_vocals", "keyboard") if track not in taken]
    if rng.random() < 0.45:
        yield cast(rng.choice(pads), _write_pad, rng.uniform(-0.3, 0.3))
    if rng.random() < 0.25:
        yield cast("percussion", _write_percussion, rng.uniform(-0.7, 0.7))
    if rng.random() < 0.15:
        yield cast("fx", _write_fx, rng.uniform(-0.5, 0.5))


def _choose_program(rng: random.Random, style: Style, track: str) -> int:
    if track == "drums":
        return style.kit if rng.random() < 0.85 else rng.choice(sorted(TRACKS[track].programs))
    preferred = style.programs.get(track, ())
    if preferred and rng.random() < 0.75:
        return rng.choice(preferred)
    return rng.choice(sorted(TRACKS[track].programs))


def _hits(rng: random.Random, pattern: str, swing: float) -> Iterator[tuple[float, int]]:
    """(position in quarters, velocity) of a one-bar pattern, humanised in velocity only: time stays on the grid."""
    for step, mark in enumerate(pattern):
        if mark != ".":
            late = swing / 6.0 if step % 4 == 2 else 0.0  # full swing puts the off-beat on the last triplet
            yield step * SIXTEENTH + late, min(127, max(1, VELOCITY[mark] + rng.randint(-9, 9)))


def _groove_bar(
    rng: random.Random, groove: dict[str, str], sounds: dict[str, int], start: float, swing: float, steps: int
) -> Iterator[Note]:
    for sound, pattern in groove.items():
        for position, velocity in _hits(rng, pattern[-steps:], swing):
            yield Note(start + position, 0.0, sounds[sound], velocity)


def _write_drums(rng: random.Random, plan: SongPlan, track: Track) -> list[Note]:
    notes: list[Note] = []
    steps, fills = round(plan.bar / SIXTEENTH), rng.random() < 0.7
    for bar in range(plan.bars):
        start, groove = bar * plan.bar, plan.style.groove
        if bar % 8 == 0 and rng.random() < 0.6:
            notes.append(Note(start, 0.0, KIT_SOUNDS["crash"], 100))
        if fills and bar % PHRASE_BARS == PHRASE_BARS - 1 and rng.random() < 0.7:
            fill = rng.choice(FILLS)
            cut = steps - min(steps, 6)  # the groove plays on until the fill begins
            groove = {sound: pattern[:cut] + "." * (steps - cut) for sound, pattern in groove.items()}
            notes.extend(_groove_bar(rng, fill, KIT_SOUNDS, start, 0.0, steps))
        notes.extend(_groove_bar(rng, groove, KIT_SOUNDS, start, plan.style.swing, steps))
    return notes


def _write_percussion(rng: random.Random, plan: SongPlan, track: Track) -> list[Note]:
    groove, steps = rng.choice(PERCUSSION_GROOVES), round(plan.bar / SIXTEENTH)
    groove = {sound: pattern[:steps] for sound, pattern in groove.items()}
    return [
        note
        for bar in range(plan.bars)
        for note in _groove_bar(rng, groove, PERCUSSION_SOUNDS, bar * plan.bar, plan.style.swing, steps)
    ]


def _write_bass(rng: random.Random, plan: SongPlan, track: Track) -> list[Note]:
    """Roots on the pattern, now and then the fifth or, walking, the chord's other tones."""
    pattern, centre = rng.choice(plan.style.bass), rng.randint(track.low + 6, track.high - 8)
    walking, held = plan.style.swing >= 1.0, rng.uniform(0.75, 0.98)
    notes: list[Note] = []
    for bar, chord in enumerate(plan.chords):
        onsets = list(_hits(rng, pattern, plan.style.swing))
        for index, (position, velocity) in enumerate(onsets):
            end = onsets[index + 1][0] if index + 1 < len(onsets) else plan.bar
            tone = chord.tones[index % len(chord.tones)] if walking else chord.root
            if index and not walking and rng.random() < 0.12:
                tone = chord.tones[2]
            pitch = _within(nearest_pitch(tone, centre), track)
            notes.append(Note(bar * plan.bar + position, (end - position) * held, pitch, velocity))
    return notes


def _write_comping(rng: random.Random, plan: SongPlan, track: Track) -> list[Note]:
    """Block chords or a broken chord, voiced near one centre so that the voices move little."""
    pattern, centre = rng.choice(plan.style.chords), rng.randint(56, 66)
    broken, held = rng.random() < 0.35, rng.uniform(0.6, 0.95)
    if broken:
        pattern = "x.x.x.x.x.x.x.x."[: len(pattern)]
    notes: list[Note] = []
    for bar, chord in enumerate(plan.chords):
        voicing = _voice(chord, centre, track)
        onsets = list(_hits(rng, pattern, plan.style.swing))
        for index, (position, velocity) in enumerate(onsets):
            end = onsets[index + 1][0] if index + 1 < len(onsets) else plan.bar
            length = (end - position) * held
            arpeggio = [*voicing, voicing[0] + 12]
            pitches = [_within(arpeggio[index % len(arpeggio)], track)] if broken else voicing
            notes.extend(Note(bar * plan.bar + position, length, pitch, velocity) for pitch in pitches)
    return notes


def _write_pad(rng: random.Random, plan: SongPlan, track: Track) -> list[Note]:
    centre, voices = rng.randint(58, 68), rng.choice((2, 3))
    return [
        Note(bar * plan.bar, plan.bar * 0.97, pitch, rng.randint(64, 88))
        for bar, chord in enumerate(plan.chords)
        for pitch in _voice(chord, centre, track)[:voices]
    ]


def _write_fx(rng: random.Random, plan: SongPlan, track: Track) -> list[Note]:
    return [
        Note(bar * plan.bar, 2 * plan.bar, _within(nearest_pitch(plan.chords[bar].root, 60), track), 90)
        for bar in range(0, plan.bars, 4)
    ]


def _write_lead(rng: random.Random, plan: SongPlan, track: Track) -> list[Note]:
    """A two-bar motif, repeated with its last bar varied; strong beats fall on chord tones."""
    steps = round(plan.bar / SIXTEENTH)
    rhythm = [_draw_rhythm(rng, steps), _draw_rhythm(rng, steps)]
    moves = [[rng.choice((-2, -1, -1, 0, 1, 1, 2)) for _ in bar] for bar in rhythm]
    tones, centre = scale(plan.tonic, plan.minor), rng.randint(max(track.low + 8, 66), min(track.high - 8, 76))
    notes: list[Note] = []
    for bar, chord in enumerate(plan.chords):
        rests = bar % PHRASE_BARS == PHRASE_BARS - 1 and rng.random() < 0.4
        degree = 0
        for (step, length), move in zip(rhythm[bar % 2], moves[bar % 2], strict=True):
            if rests and step >= steps // 2:
                continue
            degree = max(-4, min(5, degree + move))
            pitch = _step_pitch(tones, centre, degree)
            if step % 8 == 0:
                pitch = min((nearest_pitch(tone, pitch) for tone in chord.tones), key=lambda p: abs(p - pitch))
            late = plan.style.swing / 6.0 if step % 4 == 2 else 0.0
            notes.append(
                Note(
                    bar * plan.bar + step * SIXTEENTH + late,
                    length * SIXTEENTH * 0.92,
                    _within(pitch, track),
                    rng.randint(84, 116),
                )
            )
    return notes


def _draw_rhythm(rng: random.Random, steps: int) -> list[tuple[int, int]]:
    """(step, length) in sixteenths; some places are rests."""
    rhythm, step = [], 0
    while step < steps:
        length = min(rng.choice((2, 2, 2, 4, 4, 6, 8)), steps - step)
        if rng.random() < 0.82:
            rhythm.append((step, length))
        step += length
    return rhythm or [(0, 4)]


def _step_pitch(tones: tuple[int, ...], centre: int, degree: int) -> int:
    """The pitch `degree` scale steps from the tonic nearest to `centre`."""
    octave, index = divmod(degree, 7)
    return nearest_pitch(tones[0], centre) + 12 * octave + (tones[index] - tones[0]) % 12


def _voice(chord: Chord, centre: int, track: Track) -> list[int]:
    return sorted({_within(nearest_pitch(tone, centre), track) for tone in chord.tones})


def _within(pitch: int, track: Track) -> int:
    """Move by octaves into the instrument's range."""
    while pitch < track.low:
        pitch += 12
    while pitch > track.high:
        pitch -= 12
    return pitch
