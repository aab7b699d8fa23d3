"""The written form of a song: notes in quarters, parts with a sound and a place in the room."""

from __future__ import annotations

from dataclasses import dataclass, field

from acestep.training.songs.song_harmony import Chord, key_name

QUARTERS_PER_BAR: dict[str, float] = {"4": 4.0, "3": 3.0, "6": 3.0}
"""Bar length by the metre's name as the model's metas write it: 4/4, 3/4, 6/8."""


@dataclass(frozen=True, slots=True)
class Note:
    """One event: start and length in quarters from the song's start, MIDI pitch, velocity 1..127."""

    start: float
    length: float
    pitch: int
    velocity: int


@dataclass(frozen=True, slots=True)
class Part:
    """One track: its class (one of the model's twelve), a General MIDI program (or kit) and its notes."""

    track: str
    program: int
    notes: tuple[Note, ...]
    pan: float = 0.0  # -1 left .. 1 right
    ambience: float = 0.0  # share of reverberation
    detune: float = 0.0  # cents
    unpitched: bool = False  # pitches name drum sounds


@dataclass(frozen=True, slots=True)
class Song:
    """A composed song. `chords` holds one chord per bar."""

    seed: int
    style: str
    bpm: int
    metre: str
    tonic: int  # pitch class, 0 = C
    minor: bool
    bars: int
    chords: tuple[Chord, ...]
    parts: tuple[Part, ...]
    caption: str = ""
    lyrics: str = "[Instrumental]"
    words: tuple[str, ...] = field(default=())

    @property
    def quarters_per_bar(self) -> float:
        return QUARTERS_PER_BAR[self.metre]

    @property
    def seconds(self) -> float:
        return self.bars * self.quarters_per_bar * 60.0 / self.bpm

    @property
    def key(self) -> str:
        """As the metas write it, e.g. `F# minor`."""
        return key_name(self.tonic, self.minor)

    @property
    def tracks(self) -> tuple[str, ...]:
        """Track classes in order of first appearance."""
        return tuple(dict.fromkeys(part.track for part in self.parts))
