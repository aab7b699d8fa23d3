"""Compose and render the example loop that lies beside this script: 16 bars, 120 bpm, 4/4, mix and stems.

Run it from the repository's root, with the sound font installed: `python examples/loop/make_loop.py`.
The loop is exactly 32 s = 1 536 000 samples; what rings past its end is added to its beginning, so it repeats seamlessly.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from acestep.training.songs import Note, Part, Song, compose
from acestep.training.songs.bank import RATE, NoteBank, open_bank
from acestep.training.songs.midi import write_midi
from acestep.training.songs.song_files import describe_song
from acestep.training.songs.song_harmony import MINOR, nearest_pitch
from acestep.training.songs.stem_render import render_stems

BPM, BARS, QUARTERS = 120, 16, 4
LENGTH = BARS * QUARTERS * RATE * 60 // BPM
RING = 4 * RATE
SEED = 16
GAIN, GRID, CUTOFF = 0.8, 16, 11_000.0
# two-bar lead phrases: (quarter, length, scale degree above A4)
CALL = ((0.0, 0.75, 4), (0.75, 0.25, 5), (1.0, 1.0, 7), (2.5, 0.5, 5), (3.0, 1.0, 4), (4.5, 0.5, 2), (5.0, 0.5, 4),
        (5.5, 1.5, 0))  # fmt: skip
ANSWER = ((0.0, 0.75, 4), (0.75, 0.25, 5), (1.0, 1.0, 7), (2.5, 0.5, 9), (3.0, 1.0, 7), (4.5, 0.5, 5), (5.0, 0.5, 4),
          (5.5, 2.0, 4))  # fmt: skip


def compose_loop() -> Song:
    """A rhythm section by the generator, pinned to house in A minor at 120 bpm, and a lead of our own."""
    song = _pick_song()
    by_track = {part.track: replace(part, detune=0.0, ambience=0.0, pan=0.0) for part in song.parts}
    keys = replace(by_track["keyboard"], program=4)
    lead = Part("woodwinds", 73, tuple(_lead_notes(song)))
    parts = (replace(by_track["drums"], program=0), replace(by_track["bass"], program=33), keys, lead)
    return replace(song, parts=parts, caption="house at 120 bpm in A minor: drums, bass, electric piano and flute")


def _pick_song() -> Song:
    """The first song from `SEED` on that fits; the search is part of the recipe, so the loop never changes."""
    for seed in range(SEED, SEED + 200_000):
        song = compose(seed, 2.0, style="house")
        if song.bpm == BPM and song.key == "A minor":
            song = compose(seed, BARS * QUARTERS * 60 / BPM, style="house")
            if {"drums", "bass", "keyboard"} <= set(song.tracks) and "woodwinds" not in song.tracks:
                return song
    raise LookupError("no seed gives the loop's song")


def _lead_notes(song: Song):
    tonic = nearest_pitch(song.tonic, 69)
    for start in range(0, BARS, 2):
        for quarter, length, degree in ANSWER if start % 4 == 2 else CALL:
            octave, step = divmod(degree, 7)
            yield Note(
                start * QUARTERS + quarter, length * 0.9, tonic + 12 * octave + MINOR[step], 96 if quarter % 2 else 108
            )


def render_loop(song: Song, bank: NoteBank) -> dict[str, np.ndarray]:
    """Stems [2, 1 536 000] that wrap around."""
    stems = render_stems(song, bank, LENGTH + RING)
    for stem in stems.values():
        stem[:, :RING] += stem[:, LENGTH:]
    return {track: stem[:, :LENGTH] for track, stem in stems.items()}


def to_grid(sound: np.ndarray) -> np.ndarray:
    """int16 [N, 2] without anything above 12 kHz and on a 12-bit grid, which keeps the folder below 3 MB as FLAC.

    Sums of stems stay on the grid, so the stems add up to the mix exactly.
    """
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(sound.shape[1], 1 / RATE)
    smooth = np.fft.irfft(spectrum / (1.0 + np.exp((hertz - CUTOFF) / 400.0)), n=sound.shape[1])
    return (np.round(smooth.T * GAIN * 32767.0 / GRID) * GRID).astype(np.int16)


def main() -> None:
    folder = Path(__file__).parent
    song = compose_loop()
    stems = {track: to_grid(stem) for track, stem in render_loop(song, open_bank()).items()}
    mix = np.sum([stem.astype(np.int32) for stem in stems.values()], axis=0)
    if np.abs(mix).max() > 32767:
        raise ArithmeticError("the mix clips")
    soundfile.write(folder / "mix.flac", mix.astype(np.int16), RATE, subtype="PCM_16", compression_level=1.0)
    for track, stem in stems.items():
        soundfile.write(folder / f"{track}.flac", stem, RATE, subtype="PCM_16", compression_level=1.0)
    write_midi(song, folder / "loop.mid")
    (folder / "loop.json").write_text(
        json.dumps(describe_song(song) | {"samples": LENGTH, "rate": RATE}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
