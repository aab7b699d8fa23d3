"""Songs as latents: what one training song leaves on disk, and the growing store a run draws from."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from acestep.api.metre import parse_metre
from acestep.api.tempo_map import TempoMap
from acestep.conditioning.chords import GuideChord
from acestep.conditioning.guide_audio import render_guide
from acestep.conditioning.guide_text import Guide
from acestep.networks.nano_codec import NanoCodec
from acestep.networks.spectra import FRAME
from acestep.training.songs import Part, Song, compose
from acestep.training.songs.bank import NoteBank
from acestep.training.songs.captions import write_caption
from acestep.training.songs.song_tracks import TRACKS
from acestep.training.songs.stem_render import render_mix, render_stems

SECONDS = 12.0
FRAMES = 300
_RHYTHM_OF_STYLE = {"house": "four", "synthwave": "four", "breaks": "breaks", "ballad": "half", "cinematic": "half",
                    "jazz": "swing"}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """A song with the latents [300, 64] of its sounds: `mix`, `stem/<track>`, `without/<track>`, `guide/...`, `recast`."""

    song: Song
    recast_caption: str
    latents: dict[str, Tensor]


def song_guide(song: Song, rng: random.Random, chords: bool) -> Guide:
    """The guide a user might give for this song: the style's rhythm or the plain beat, with or without the chords."""
    rhythm = rng.choice(("beat", _RHYTHM_OF_STYLE.get(song.style, "beat")))
    bars = tuple((GuideChord(chord.root, chord.tones),) for chord in song.chords) if chords else ()
    return Guide(rhythm=rhythm, metre=song.metre, bars=bars)


def recast(song: Song, rng: random.Random) -> Song:
    """The same notes for other instruments: what a cover is. Pitched parts may change their class as well."""
    pitched = [name for name, track in TRACKS.items() if not track.unpitched and name not in ("bass", "fx")]
    free = [name for name in pitched if name not in song.tracks]
    parts = []
    for part in song.parts:
        name = part.track
        if name in pitched and free and rng.random() < 0.7:
            name = free.pop(rng.randrange(len(free)))
        track = TRACKS[name]
        notes = tuple(replace(note, pitch=_shift_into(note.pitch, track.low, track.high)) for note in part.notes)
        program = rng.choice(sorted(track.programs))
        parts.append(Part(name, program, part.notes if track.unpitched else notes, part.pan, part.ambience,
                          unpitched=track.unpitched))  # fmt: skip
    other = replace(song, parts=tuple(parts))
    return replace(other, caption=write_caption(other, rng))


def _shift_into(pitch: int, low: int, high: int) -> int:
    if pitch < low:
        return pitch + 12 * -(-(low - pitch) // 12)
    return pitch - 12 * -(-(pitch - high) // 12) if pitch > high else pitch


def silence_frame(codec: NanoCodec) -> Tensor:
    """The latent of digital silence [64], away from any edge."""
    reach = codec.context_frames
    with torch.inference_mode():
        return codec.encode(torch.zeros(1, 2, (2 * reach + 1) * FRAME, device=codec.device))[0, :, reach].cpu()


@torch.inference_mode()
def make_record(seed: int, bank: NoteBank, codec: NanoCodec) -> Record:
    """Compose, render and encode one song (about 10 sounds of 12 s)."""
    song, rng = compose(seed, SECONDS), random.Random(seed + 1)
    length = FRAMES * FRAME
    stems = render_stems(song, bank, length)
    mix = render_mix(stems) if stems else np.zeros((2, length), np.float32)
    sounds = {"mix": mix} | {f"stem/{track}": stem for track, stem in stems.items()}
    for track in rng.sample(sorted(stems), min(2, len(stems))):
        sounds[f"without/{track}"] = mix - stems[track]
    tempo = TempoMap.steady(song.bpm, metre=parse_metre(song.metre))
    sounds["guide/beat"] = render_guide(song_guide(song, rng, chords=False), tempo, length)
    sounds["guide/chords"] = render_guide(song_guide(song, rng, chords=True), tempo, length)
    other = recast(song, rng)
    if rng.random() < 0.5 and song.parts:
        sounds["recast"] = render_mix(render_stems(other, bank, length))
    waveforms = torch.from_numpy(np.stack(list(sounds.values())))
    encoded = torch.cat([codec.encode(part.to(codec.device)) for part in waveforms.split(6)]).transpose(1, 2).cpu()
    return Record(song, other.caption, dict(zip(sounds, encoded, strict=True)))


class RecordStore:
    """Records of one process in a folder of its run: made one at a time, kept for good, reread when a run resumes."""

    def __init__(self, folder: Path, seeds: range, bank: NoteBank, codec: NanoCodec) -> None:
        self.folder, self.seeds, self.bank, self.codec = folder, seeds, bank, codec
        self.records: list[Record] = []
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            if not self._path(seed).is_file():
                break
            self.records.append(self._read(seed))

    def _path(self, seed: int) -> Path:
        return self.folder / f"{seed}.safetensors"

    @property
    def full(self) -> bool:
        return len(self.records) == len(self.seeds)

    def grow(self) -> None:
        """Add the next record, if any is left."""
        if self.full:
            return
        seed = self.seeds[len(self.records)]
        record = make_record(seed, self.bank, self.codec)
        names = list(record.latents)
        tensors = {"latents": torch.stack([record.latents[name] for name in names]).half().contiguous()}
        partial = self._path(seed).with_suffix(".partial")
        save_file(tensors, partial, {"names": json.dumps(names), "recast": record.recast_caption})
        partial.replace(self._path(seed))
        self.records.append(record)

    def _read(self, seed: int) -> Record:
        with safe_open(self._path(seed), "pt") as file:
            latents, metadata = file.get_tensor("latents").float(), file.metadata()
        return Record(compose(seed, SECONDS), metadata["recast"],
                      dict(zip(json.loads(metadata["names"]), latents, strict=True)))  # fmt: skip
