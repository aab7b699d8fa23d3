"""What the `guide` of a job says: rhythm, chords or a MIDI clip. Neither torch nor numpy, so that the door can check it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from acestep.api.conditioning import PULSE_GUIDE
from acestep.api.errors import BadRequest
from acestep.api.metre import parse_metre
from acestep.audio import far
from acestep.conditioning.chords import GuideChord, chord_steps, parse_chord, read_chord_line
from acestep.conditioning.midi_file import MAX_BYTES, ClipNote, read_midi

MIDI_SUFFIXES = (".mid", ".midi", ".rmi", ".kar", ".smf")

PULSE_KEY = "C major"
"""Of a pulse whose key nobody gave."""

_DRIVE = re.compile(r"[A-Za-z]:[\\\\/]")

RHYTHMS: dict[str, dict[str, dict[str, str]]] = {
    # style -> metre -> sound -> one bar of sixteenths; `beat` is the fallback. `chord` strikes the chord that lies there
    "beat": {
        "4": {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
        "2": {"kick": "x.......", "snare": "....x...", "hat": "x.x.x.x."},
        "3": {"kick": "x...........", "snare": "....x...x...", "hat": "x.x.x.x.x.x."},
        "6": {"kick": "x...........", "snare": "......x.....", "hat": "x.x.x.x.x.x."},
    },
    "four": {"4": {"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "..x...x...x...x."}},
    "breaks": {"4": {"kick": "x.........x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."}},
    "half": {"4": {"kick": "x.........x.....", "snare": "........x.......", "hat": "x...x...x...x..."}},
    "swing": {"4": {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "x...x.x.x...x.x."}},
    "pulse": {
        "4": {"chord": "x...x...x...x..."},
        "2": {"chord": "x...x..."},
        "3": {"chord": "x...x...x..."},
        "6": {"chord": "x.....x....."},
    },
}
STYLES = tuple(RHYTHMS)
PULSE = PULSE_GUIDE
"""The rhythm without drums: chords that are struck on every beat carry it."""


@dataclass(frozen=True, slots=True)
class Guide:
    """What to play. `rhythm` names a row of `RHYTHMS` or is empty; `bars` of chords and `notes` repeat from the downbeat."""

    rhythm: str = "beat"
    metre: str = "4"
    bars: tuple[tuple[GuideChord, ...], ...] = ()
    notes: tuple[ClipNote, ...] = ()
    clip_quarters: float = 0.0
    remarks: tuple[str, ...] = ()
    """Sentences for the user: what was read otherwise than it was written."""

    def __post_init__(self) -> None:
        if self.rhythm and self.rhythm not in RHYTHMS:
            raise BadRequest(f"there is no rhythm {self.rhythm!r}", field="guide", limits={"choices": list(STYLES)})
        parse_metre(self.metre, field="time_signature")


def names_file(text: str) -> bool:
    """Whether a guide is the path of a file and no chord line (which may have a slash: ``C G/B``)."""
    text = text.strip()
    return text.startswith(("/", "~/", "\\\\")) or bool(_DRIVE.match(text)) or text.lower().endswith(MIDI_SUFFIXES)


def parse_guide(text: str, metre: str = "4", key: str = "", bpm: float = 120.0) -> Guide:
    """`auto`, `beat`, `beat four`, a chord line, `four: Am F C G`, or the path of a MIDI file. Raises `BadRequest`.

    `auto` is the plain beat with the key's four-bar progression, or alone where no key is given; `pulse` that progression without
    drums, struck on every beat. ``bpm`` is the job's tempo; only MIDI files that count in seconds need it.
    """
    text = text.strip().removeprefix("\ufeff").strip()
    if names_file(text):
        return read_clip(far.here(Path(text)), metre, bpm)
    if text.lower() == "auto":
        return Guide(metre=metre, bars=key_progression(key))
    if text.lower() == PULSE:
        return Guide(rhythm=PULSE, metre=metre, bars=key_progression(key or PULSE_KEY))
    head, colon, line = text.partition(":")
    if colon and re.fullmatch(r"\w+", head.strip()):
        bars, remarks = read_chord_line(line)
        return Guide(rhythm=head.strip().lower(), metre=metre, bars=bars, remarks=remarks)
    words = text.lower().split()
    if (words[:1] == ["beat"] and len(words) <= 2) or (len(words) == 1 and words[0] in RHYTHMS):
        return Guide(rhythm=words[-1], metre=metre)
    bars, remarks = read_chord_line(text)
    return Guide(metre=metre, bars=bars, remarks=remarks)


def key_progression(key: str) -> tuple[tuple[GuideChord, ...], ...]:
    """I V vi IV of a major key, i VI III VII of a minor one (`C# minor`); nothing without a key. Raises `BadRequest`."""
    if not key.strip():
        return ()
    note, _, mode = key.strip().partition(" ")
    minor = mode.strip().lower() == "minor"
    tonic = parse_chord(note).bass
    steps = ((0, "m"), (8, ""), (3, ""), (10, "")) if minor else ((0, ""), (7, ""), (9, "m"), (5, ""))
    chords = []
    for step, quality in steps:
        root = (tonic + step) % 12
        chords.append((GuideChord(root, tuple((root + tone) % 12 for tone in chord_steps(quality) or ())),))
    return tuple(chords)


def read_clip(path: Path, metre: str = "4", bpm: float = 120.0) -> Guide:
    """The notes of a Standard MIDI File, without its tempo: the job's tempo map rules. Raises `BadRequest`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as failure:
        raise BadRequest(f"{path.name} cannot be read: {failure.strerror}", field="guide") from None
    if len(data) > MAX_BYTES:
        raise BadRequest(
            f"{path.name} is too large for a MIDI clip", field="guide", limits={"max": MAX_BYTES, "unit": "bytes"}
        )
    clip = read_midi(data, path.name, bar=parse_metre(metre, field="time_signature").bar, bpm=bpm)
    return Guide(rhythm="", metre=metre, notes=clip.notes, clip_quarters=clip.quarters, remarks=clip.remarks)
