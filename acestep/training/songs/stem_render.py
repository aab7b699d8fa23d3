"""From notes to stems: bank slices are added into one mono line per part, then placed in the room.

Every stem is linear in its own part, so the stems add up to the mix; one gain is applied to all of them alike.
"""

from __future__ import annotations

import numpy as np

from acestep.training.songs.bank import RATE, NoteBank
from acestep.training.songs.score import Note, Part, Song
from acestep.training.songs.song_tracks import TRACKS

RELEASE = int(0.09 * RATE)
LEVEL = 0.085  # RMS of a stem whose track level is 1
PEAK = 0.92
_COMBS = ((1557, 1617), (1277, 1356))  # delays in samples for (left, right): mutually prime-ish, 26-34 ms
_COMB_FEEDBACK = 0.78
_RELEASE_CURVE = (np.exp(-np.arange(RELEASE) / (RELEASE / 4)) * np.linspace(1, 0, RELEASE) ** 0.5).astype(np.float32)


def render_stems(song: Song, bank: NoteBank, samples: int | None = None) -> dict[str, np.ndarray]:
    """Stems by track class, float32 [2, samples] at 48 kHz (default: the song's own length).

    Two parts of one class share a stem. Levels are fixed per class; the mix is the plain sum.
    """
    length = samples if samples is not None else round(song.seconds * RATE)
    stems: dict[str, np.ndarray] = {}
    for part in song.parts:
        stem = place(render_part(part, song.bpm, bank, length), part)
        loudness = float(np.sqrt(np.mean(stem**2)))
        if loudness > 0:
            stem *= LEVEL * TRACKS[part.track].level / loudness
        stems[part.track] = stems[part.track] + stem if part.track in stems else stem
    if stems:
        peak = float(np.abs(sum(stems.values())).max())
        gain = np.float32(min(PEAK / max(peak, 1e-6), 1.25))
        stems = {track: stem * gain for track, stem in stems.items()}
    return stems


def render_mix(stems: dict[str, np.ndarray]) -> np.ndarray:
    """float32 [2, samples]: the sum in a fixed order."""
    return np.asarray(np.sum(list(stems.values()), axis=0, dtype=np.float32))


def render_part(part: Part, bpm: float, bank: NoteBank, length: int) -> np.ndarray:
    """Mono float32 [length]; a detuned part is played at another speed so that its times stay on the grid."""
    ratio = 2.0 ** (part.detune / 1200.0)
    stretched = int(np.ceil(length * ratio)) + 2 if part.detune else length
    line = np.zeros(stretched, dtype=np.float32)
    samples_per_quarter = RATE * 60.0 / bpm * (ratio if part.detune else 1.0)
    for note in part.notes:
        _add_note(line, note, part, samples_per_quarter, bank)
    if not part.detune:
        return line
    return np.interp(np.arange(length) * ratio, np.arange(stretched), line).astype(np.float32)


def _add_note(line: np.ndarray, note: Note, part: Part, samples_per_quarter: float, bank: NoteBank) -> None:
    start = round(note.start * samples_per_quarter)
    room = len(line) - start
    if room <= 0:
        return
    loud = (note.velocity - 30) / 90.0
    layer = "loud" if note.velocity >= 88 else "soft"
    sound = bank.note(part.track, part.program, note.pitch, layer)
    end = min(len(sound), room)
    held = len(sound) if part.unpitched else round(note.length * samples_per_quarter)
    gain = np.float32(max(0.12, loud)) * (np.float32(1.6) if layer == "soft" else np.float32(1.0))
    end = min(end, held + RELEASE)
    piece = sound[:end].astype(np.float32) * gain
    if held < end:
        piece[held:] *= _RELEASE_CURVE[: end - held]
    line[start : start + end] += piece


def place(line: np.ndarray, part: Part) -> np.ndarray:
    """Equal-power panning and, where the part has ambience, two comb filters a side. Returns [2, N]."""
    angle = (part.pan + 1.0) * np.pi / 4.0
    stereo = np.stack([line * np.float32(np.cos(angle)), line * np.float32(np.sin(angle))])
    if part.ambience > 0:
        for channel in range(2):
            for delays in _COMBS:
                stereo[channel] += _comb(line, delays[channel]) * np.float32(part.ambience * 0.5)
    return stereo


def _comb(line: np.ndarray, delay: int) -> np.ndarray:
    """Feedback comb, one block of `delay` samples at a time (each block depends only on the one before)."""
    blocks = -(-len(line) // delay)
    wet = np.zeros((blocks + 1, delay), dtype=np.float32)
    dry = np.zeros(blocks * delay, dtype=np.float32)
    dry[: len(line)] = line
    for index, block in enumerate(dry.reshape(blocks, delay)):
        wet[index + 1] = block + _COMB_FEEDBACK * wet[index]
    return wet[:-1].reshape(-1)[: len(line)]
