"""Chord symbols: `Am F C G`, one a bar, or `Am F | C G/B | Dm7 %`, the chords of a bar sharing it equally."""

from __future__ import annotations

import re
from dataclasses import dataclass

from acestep.api.errors import BadRequest

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}
QUALITIES: dict[str, tuple[int, ...]] = {
    "": (0, 4, 7), "maj": (0, 4, 7), "m": (0, 3, 7), "min": (0, 3, 7), "-": (0, 3, 7), "5": (0, 7),
    "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "M7": (0, 4, 7, 11), "m7": (0, 3, 7, 10), "min7": (0, 3, 7, 10),
    "mmaj7": (0, 3, 7, 11), "6": (0, 4, 7, 9), "m6": (0, 3, 7, 9), "9": (0, 4, 7, 10, 2), "m9": (0, 3, 7, 10, 2),
    "maj9": (0, 4, 7, 11, 2), "add9": (0, 4, 7, 2), "sus2": (0, 2, 7), "sus4": (0, 5, 7), "sus": (0, 5, 7),
    "7sus4": (0, 5, 7, 10), "dim": (0, 3, 6), "°": (0, 3, 6), "dim7": (0, 3, 6, 9), "m7b5": (0, 3, 6, 10),
    "ø": (0, 3, 6, 10), "aug": (0, 4, 8), "+": (0, 4, 8),
}  # fmt: skip
"""Semitones above the root by the symbol's quality."""

_SYMBOL = re.compile(r"([A-G])([#b♯♭]?)([^/\s]*)(?:/([A-G])([#b♯♭]?))?")


@dataclass(frozen=True, slots=True)
class GuideChord:
    """A chord for `share` of a bar. Pitch classes; `tones` empty for a rest (`N.C.`)."""

    bass: int
    tones: tuple[int, ...]
    share: float = 1.0


def parse_chord(symbol: str, share: float = 1.0) -> GuideChord:
    """One symbol; raises `BadRequest` that quotes it."""
    if symbol in ("N.C.", "NC", "-"):
        return GuideChord(0, (), share)
    found = _SYMBOL.fullmatch(symbol)
    if not found or found[3] not in QUALITIES:
        raise BadRequest(f"{symbol!r} is no chord symbol such as Am, F, C7 or G/B", field="guide",
                         limits={"qualities": sorted(QUALITIES)})  # fmt: skip
    root = (_NATURALS[found[1]] + _ACCIDENTALS[found[2]]) % 12
    bass = (_NATURALS[found[4]] + _ACCIDENTALS[found[5]]) % 12 if found[4] else root
    return GuideChord(bass, tuple((root + step) % 12 for step in QUALITIES[found[3]]), share)


def parse_chord_line(line: str) -> tuple[tuple[GuideChord, ...], ...]:
    """Bars of chords. Without `|` every symbol is a bar; `%` repeats the bar before. Raises `BadRequest`."""
    cells = (
        [cell.split() for cell in line.strip().strip("|").split("|")] if "|" in line else [[s] for s in line.split()]
    )
    bars: list[tuple[GuideChord, ...]] = []
    for cell in cells:
        if cell == ["%"] and bars:
            bars.append(bars[-1])
        elif cell:
            bars.append(tuple(parse_chord(symbol, 1.0 / len(cell)) for symbol in cell))
        else:
            raise BadRequest("a bar between two | holds no chord; write N.C. for a rest", field="guide")
    if not bars:
        raise BadRequest("the chord line is empty", field="guide")
    return tuple(bars)
