"""One recording per note, made once from a sound font, so that a song is a sum of array slices.

The bank is a folder in the user's cache: `notes.f16` (all notes end to end, mono, 48 kHz) mapped into memory and
`index.json`. A soft and a loud layer are kept per note; velocity crosses from one to the other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from acestep.training.errors import SoundFontMissing, SynthesiserMissing
from acestep.training.songs.song_tracks import KIT_SOUNDS, PERCUSSION_SOUNDS, TRACKS, Track

RATE = 48000
TONE_SECONDS, HIT_SECONDS = 3.2, 1.5
LAYERS: dict[str, int] = {"soft": 62, "loud": 112}
DRUM_BANK = 128
FORMAT = {"format": "acestep-note-bank", "version": 1}
SOUND_FONTS = (
    Path("/usr/share/sounds/sf2/FluidR3_GM.sf2"),
    Path("/usr/share/soundfonts/FluidR3_GM.sf2"),
    Path("/opt/homebrew/share/soundfonts/FluidR3_GM.sf2"),
)


@dataclass(frozen=True)
class NoteBank:
    """`notes` maps `track/program/pitch/layer` to (first sample, length) in `samples` (float16, mono)."""

    samples: np.ndarray
    notes: dict[str, tuple[int, int]]

    def note(self, track: str, program: int, pitch: int, layer: str) -> np.ndarray:
        start, length = self.notes[f"{track}/{program}/{pitch}/{layer}"]
        return self.samples[start : start + length]


def find_sound_font() -> Path:
    """FluidR3_GM.sf2 from `ACESTEP_BRIDGE_SOUND_FONT` or the usual places; raises SoundFontMissing."""
    named = os.environ.get("ACESTEP_BRIDGE_SOUND_FONT")
    for path in (Path(named),) if named else SOUND_FONTS:
        if path.is_file():
            return path
    raise SoundFontMissing(named)


def default_bank_folder() -> Path:
    return Path(platformdirs.user_cache_dir("acestep-bridge")) / "note-bank-v1"


def open_bank(folder: Path | None = None) -> NoteBank:
    """Map the bank into memory, rendering it first (about half a minute, 0.7 GB) where there is none."""
    folder = folder or default_bank_folder()
    if not (folder / "index.json").is_file():
        build_bank(folder, find_sound_font())
    index = json.loads((folder / "index.json").read_text())
    samples = np.memmap(folder / "notes.f16", dtype=np.float16, mode="r")
    return NoteBank(samples, {name: tuple(place) for name, place in index["notes"].items()})


def track_pitches(track: Track) -> Iterator[int]:
    if track.name == "drums":
        return iter(sorted(KIT_SOUNDS.values()))
    if track.name == "percussion":
        return iter(sorted(PERCUSSION_SOUNDS.values()))
    return iter(range(track.low, track.high + 1))


def build_bank(folder: Path, sound_font: Path) -> None:
    """Render every (track, program, pitch, layer); the index is written last, by rename, so a bank is whole or absent."""
    try:
        import tinysoundfont
    except ImportError as error:
        raise SynthesiserMissing from error
    folder.mkdir(parents=True, exist_ok=True)
    synth = tinysoundfont.Synth(samplerate=RATE, gain=0)
    font = synth.sfload(str(sound_font))
    notes: dict[str, tuple[int, int]] = {}
    start = 0
    with (folder / "notes.f16").open("wb") as file:
        for track in TRACKS.values():
            for program in track.programs:
                synth.program_select(0, font, DRUM_BANK if track.unpitched else 0, program, track.unpitched)
                for pitch in track_pitches(track):
                    for layer, velocity in LAYERS.items():
                        sound = _record(synth, pitch, velocity, HIT_SECONDS if track.unpitched else TONE_SECONDS)
                        notes[f"{track.name}/{program}/{pitch}/{layer}"] = (start, len(sound))
                        start += len(sound)
                        file.write(sound.tobytes())
    partial = folder / "index.json.partial"
    partial.write_text(json.dumps(FORMAT | {"rate": RATE, "sound_font": sound_font.name, "notes": notes}))
    partial.replace(folder / "index.json")


def _record(synth: Any, pitch: int, velocity: int, seconds: float) -> np.ndarray:
    synth.noteon(0, pitch, velocity)
    stereo = np.frombuffer(bytes(synth.generate(int(seconds * RATE))), dtype=np.float32).reshape(-1, 2)
    synth.sounds_off(0)
    synth.generate(256)
    mono = stereo.mean(axis=1)
    audible = np.flatnonzero(np.abs(mono) > 2e-4)
    return mono[: audible[-1] + 1 if len(audible) else 1].astype(np.float16)
