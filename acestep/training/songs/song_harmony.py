"""Keys, scales, chords: pitch classes only, octaves belong to the players."""

from __future__ import annotations

from dataclasses import dataclass

NOTE_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
MAJOR = (0, 2, 4, 5, 7, 9, 11)
MINOR = (0, 2, 3, 5, 7, 8, 10)

PROGRESSIONS: dict[bool, tuple[tuple[int, ...], ...]] = {
    # scale degrees, one per bar; keyed by "is minor"
    False: ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (5, 3, 0, 4), (1, 4, 0, 0), (0, 3, 0, 4), (0, 2, 3, 4)),
    True: ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 5, 3, 4), (0, 2, 6, 3), (0, 3, 5, 6)),
}


@dataclass(frozen=True, slots=True)
class Chord:
    """Root and tones as pitch classes; `tones[0]` is the root."""

    root: int
    tones: tuple[int, ...]


def scale(tonic: int, minor: bool) -> tuple[int, ...]:
    """The seven pitch classes of a key, from its tonic upwards."""
    return tuple((tonic + step) % 12 for step in (MINOR if minor else MAJOR))


def key_name(tonic: int, minor: bool) -> str:
    return f"{NOTE_NAMES[tonic % 12]} {'minor' if minor else 'major'}"


def diatonic_chord(tonic: int, minor: bool, degree: int, seventh: bool = False) -> Chord:
    """Thirds stacked on a scale degree (0 = tonic)."""
    steps = scale(tonic, minor)
    tones = tuple(steps[(degree + third) % 7] for third in (0, 2, 4, 6)[: 4 if seventh else 3])
    return Chord(tones[0], tones)


def nearest_pitch(pitch_class: int, centre: int) -> int:
    """The MIDI pitch of that class closest to `centre`."""
    return centre + (pitch_class - centre + 6) % 12 - 6
