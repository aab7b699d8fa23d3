"""A song as a folder of files: mix, stems, MIDI and a JSON description."""

from __future__ import annotations

import json
from pathlib import Path

import soundfile

from acestep.training.songs.bank import RATE, open_bank
from acestep.training.songs.compose import compose
from acestep.training.songs.midi import write_midi
from acestep.training.songs.score import Song
from acestep.training.songs.seeds import song_seed
from acestep.training.songs.stem_render import render_mix, render_stems


def describe_song(song: Song) -> dict[str, object]:
    """What is known about a song, in the words of a request."""
    return {
        "format": "acestep-song", "version": 1, "seed": song.seed, "style": song.style, "caption": song.caption,
        "lyrics": song.lyrics, "bpm": song.bpm, "key": song.key, "time_signature": song.metre, "bars": song.bars,
        "seconds": song.seconds, "tracks": list(song.tracks),
        "programs": {part.track: part.program for part in song.parts},
    }  # fmt: skip


def write_song(folder: Path, split: str, index: int, seconds: float) -> Path:
    """Write `<folder>/<split>-<index>/` (24-bit FLAC stems whose sum is the mix up to rounding); returns it."""
    song = compose(song_seed(split, index), seconds)
    place = folder / f"{split}-{index:06d}"
    place.mkdir(parents=True, exist_ok=True)
    stems = render_stems(song, open_bank())
    soundfile.write(place / "mix.flac", render_mix(stems).T, RATE, subtype="PCM_24")
    for track, stem in stems.items():
        soundfile.write(place / f"{track}.flac", stem.T, RATE, subtype="PCM_24")
    write_midi(song, place / "song.mid")
    (place / "song.json").write_text(json.dumps(describe_song(song), indent=2) + "\n")
    return place
