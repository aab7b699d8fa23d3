"""Held notes to words: the chord's name for the caption and the key it suggests."""

from __future__ import annotations

from collections.abc import Iterable

NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")

CHORDS: dict[tuple[int, ...], tuple[str, str]] = {
    (0, 4, 7): ("", "major"),
    (0, 3, 7): ("m", "minor"),
    (0, 3, 6): ("dim", "minor"),
    (0, 4, 8): ("aug", "major"),
    (0, 5, 7): ("sus4", "major"),
    (0, 2, 7): ("sus2", "major"),
    (0, 4, 7, 10): ("7", "major"),
    (0, 4, 7, 11): ("maj7", "major"),
    (0, 3, 7, 10): ("m7", "minor"),
    (0, 3, 6, 10): ("m7b5", "minor"),
    (0, 3, 6, 9): ("dim7", "minor"),
    (0, 4, 7, 9): ("6", "major"),
    (0, 3, 7, 9): ("m6", "minor"),
    (0, 2, 4, 7): ("add9", "major"),
    (0, 7): ("5", "major"),
}
"""Intervals above the root -> chord suffix and the mode it suggests."""


def name_chord(notes: Iterable[int]) -> str:
    """The name of the chord that MIDI notes form, such as ``F#m7``; empty when they form none of the table.

    The lowest note decides between equal readings (C6 or Am7).
    """
    found = _find(notes)
    return "" if found is None else NOTE_NAMES[found[0]] + found[1]


def suggest_key(notes: Iterable[int]) -> str:
    """The key the chord suggests, in the model's spelling (``F# minor``); empty when there is no chord."""
    found = _find(notes)
    return "" if found is None else f"{NOTE_NAMES[found[0]]} {found[2]}"


def _find(notes: Iterable[int]) -> tuple[int, str, str] | None:
    played = sorted(set(notes))
    if not played:
        return None
    classes = {note % 12 for note in played}
    roots = [played[0] % 12, *sorted(classes - {played[0] % 12})]
    for root in roots:
        shape = tuple(sorted((pitch - root) % 12 for pitch in classes))
        if shape in CHORDS:
            return (root, *CHORDS[shape])
    return None
