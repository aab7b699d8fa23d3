"""What may sound: the model's twelve track classes, their General MIDI programs, ranges and loudness.

Programs are zero-based General MIDI numbers; for `drums` they are kits and for `percussion` the standard kit's
hand percussion. One table: the bank renders what stands here, the composer chooses from it, captions name it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Track:
    """A track class. `low`/`high`: playable MIDI range (inclusive); `level`: RMS relative to a mix of all."""

    name: str
    programs: dict[int, tuple[str, ...]]  # program -> words a musician might use for it
    low: int
    high: int
    level: float
    unpitched: bool = False


KIT_SOUNDS = {
    "kick": 36, "rim": 37, "snare": 38, "clap": 39, "low_tom": 45, "hat": 42, "open_hat": 46, "mid_tom": 47,
    "crash": 49, "high_tom": 50, "ride": 51,
}  # fmt: skip
PERCUSSION_SOUNDS = {
    "tambourine": 54, "cowbell": 56, "high_bongo": 60, "low_bongo": 61, "mute_conga": 62, "conga": 63,
    "low_conga": 64, "shaker": 70, "claves": 75,
}  # fmt: skip

_ALL = (
    Track("drums", {0: ("drums", "drum kit"), 25: ("808 drums", "drum machine"), 40: ("brushed drums", "brushes")},
          35, 51, 0.80, unpitched=True),
    Track("percussion", {0: ("percussion", "hand percussion", "congas")}, 54, 75, 0.35, unpitched=True),
    Track("bass", {32: ("upright bass", "acoustic bass"), 33: ("bass", "bass guitar"), 34: ("picked bass",),
                   38: ("synth bass",)}, 28, 55, 1.00),
    Track("keyboard", {0: ("piano", "grand piano"), 4: ("electric piano", "rhodes"), 11: ("vibraphone", "vibes"),
                       16: ("organ", "hammond organ")}, 48, 88, 0.85),
    Track("guitar", {24: ("nylon guitar", "classical guitar"), 25: ("acoustic guitar", "steel guitar"),
                     27: ("clean guitar", "electric guitar"), 29: ("overdriven guitar", "rock guitar")},
          45, 84, 0.75),
    Track("strings", {40: ("violin",), 42: ("cello",), 48: ("strings", "string section")}, 48, 86, 0.65),
    Track("synth", {80: ("square synth", "chip lead"), 81: ("saw synth", "synth lead"), 89: ("synth pad",
          "warm pad")}, 48, 88, 0.50),
    Track("brass", {56: ("trumpet",), 57: ("trombone",), 61: ("brass", "horn section")}, 48, 82, 0.60),
    Track("woodwinds", {65: ("saxophone", "alto sax"), 71: ("clarinet",), 73: ("flute",)}, 55, 90, 0.75),
    Track("vocals", {52: ("choir voice", "aah vocals"), 54: ("synth voice",)}, 52, 80, 0.75),
    Track("backing_vocals", {53: ("ooh backing vocals", "background voices")}, 52, 76, 0.50),
    Track("fx", {97: ("soundscape", "sweeping effects"), 99: ("atmosphere", "ambient effects")}, 48, 72, 0.30),
)  # fmt: skip

TRACKS: dict[str, Track] = {track.name: track for track in _ALL}


def program_words(track: str, program: int) -> tuple[str, ...]:
    return TRACKS[track].programs[program]
