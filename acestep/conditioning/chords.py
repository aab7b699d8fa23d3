"""Chord symbols as musicians type them: `Am F C G`, one a bar, or `Am F | C G/B | Dm7 %`, the chords of a bar sharing it equally.

Also read: lower case (`am f c g`), German names (`Hm`, `Fis`, `Es`; beside an H or an Es, B is B flat), `Do Re Mi`, and
dashes, commas or arrows between chords. What was read otherwise than it was typed is told; what cannot be read is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from acestep.api.errors import BadRequest

_NATURALS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11, "H": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "is": 1, "b": -1, "♭": -1, "es": -1, "s": -1}
_SOLFEGE = {"do": "C", "re": "D", "ré": "D", "mi": "E", "fa": "F", "sol": "G", "la": "A", "si": "B"}

_NOTE = r"([A-Ha-h])([#b♯♭]|is|(?<=[CDFGHcdfgh])es(?!us)|(?<=[AEae])s(?!us))?"
_SYMBOL = re.compile(rf"{_NOTE}(.*?)(?:/{_NOTE})?")
_QUALITY = re.compile(
    r"(?P<third>maj|min|dim|aug|m|M|Δ|-|°|o|ø|\+)?(?P<major>maj|M|Δ)?(?P<number>69|13|11|9|7|6|5|4|2)?"
    r"(?P<sus>sus(?:2|4)?)?(?P<more>(?:add(?:2|4|6|9|11|13)|(?:[b#+-])(?:5|9|11|13)|no[35]|alt)*)"
)
_MORE = re.compile(r"(add|b|#|\+|-|no|alt)(\d*)")
_SPELLINGS = (("△", "Δ"), ("∆", "Δ"), ("^", "Δ"), ("♯", "#"), ("♭", "b"), ("º", "°"), ("Ø", "ø"), ("6/9", "69"))
_WORDS = (("major", "maj"), ("minor", "min"), ("maj", "maj"), ("min", "min"), ("dim", "dim"), ("aug", "aug"), ("sus", "sus"),
          ("add", "add"), ("dom", ""), ("omit", "no"), ("alt", "alt"))  # fmt: skip
_DEGREES = {"2": 2, "4": 5, "6": 9, "9": 2, "11": 5, "13": 9}
_FLAT = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_RESTS = frozenset(("n.c.", "nc", "n.c", "rest"))
_SEPARATORS = re.compile(
    r"(?:(?<=\s)|^)(?:->|=>|[-–—/>;,•·])(?=\s|$)"  # between spaces
    r"|->|=>|[;→•–—]|,(?![^(]*\))"  # wherever they stand, but no comma in brackets
    r"|-(?=[A-Ha-h](?!dd|ug|im|\d))"  # a dash before the next chord; C-7 is a chord
)
RHYTHM_MARK = "/"
"""A slash of its own in a bar with bar lines: the chord before it once more."""


@dataclass(frozen=True, slots=True)
class GuideChord:
    """A chord for `share` of a bar. Pitch classes; `tones` empty for a rest (`N.C.`)."""

    bass: int
    tones: tuple[int, ...]
    share: float = 1.0


def parse_chord(symbol: str, share: float = 1.0, *, german: bool = False) -> GuideChord:
    """One symbol; raises `BadRequest` that quotes it. ``german``: B is B flat, because the line has an H."""
    if symbol.lower() in _RESTS:
        return GuideChord(0, (), share)
    found = _SYMBOL.fullmatch(_spelled(symbol))
    steps = chord_steps(found[3]) if found else None
    if not found or steps is None:
        raise BadRequest(
            f"{symbol!r} is not a chord symbol such as Am, F, C7, F#m7b5 or G/B", field="guide",
            limits={"examples": ["Am", "F", "C7", "Dmaj7", "Esus4", "F#dim", "G/B", "N.C."]},
        )  # fmt: skip
    root = _pitch(found[1], found[2], german)
    bass = _pitch(found[4], found[5], german) if found[4] else root
    return GuideChord(bass, tuple((root + step) % 12 for step in steps), share)


def _spelled(symbol: str) -> str:
    for given, plain in _SPELLINGS:
        symbol = symbol.replace(given, plain)
    head, _, tail = symbol.partition("(")
    return head + ("" if not tail else re.sub(r"[(),]", "", tail))


def _pitch(letter: str, accidental: str | None, german: bool) -> int:
    natural = _NATURALS[letter.upper()] - (1 if german and letter in "Bb" and not accidental else 0)
    return (natural + _ACCIDENTALS[accidental or ""]) % 12


def chord_steps(quality: str) -> tuple[int, ...] | None:
    """Semitones above the root of a quality such as ``m7``, ``sus4``, ``maj7#11``; None for what is not a quality."""
    for given, plain in _WORDS:
        quality = re.sub(rf"{given}(?=\W|\d|$|maj|sus|add)", plain, quality, flags=re.IGNORECASE)
    quality = re.sub(r"^(?:ma|mi)(?=\d|$)", lambda word: {"ma": "maj", "mi": "min"}[word[0]], quality)
    found = _QUALITY.fullmatch(quality)
    if not found:
        return None
    third, number = found["third"] or "", found["number"] or ""
    major = bool(found["major"]) or third in ("maj", "M", "Δ")
    if found["major"] and (third not in ("m", "min", "-") or not number):
        return None
    tones = _triad(third)
    if number == "5":
        return (0, 7)
    if found["sus"] or number == "4":
        tones[1] = 2 if found["sus"] == "sus2" else 5
    tones += _stacked(third, number, major)
    return tuple(dict.fromkeys(_altered(tones, found["more"] or "")))


def _triad(third: str) -> list[int]:
    if third in ("dim", "°", "o", "ø"):
        return [0, 3, 6]
    if third in ("aug", "+"):
        return [0, 4, 8]
    return [0, 3, 7] if third in ("m", "min", "-") else [0, 4, 7]


def _stacked(third: str, number: str, major: bool) -> list[int]:
    """The tones that the number adds: sixth, seventh, and what stands above it."""
    if third == "ø" or (third == "Δ" and not number):
        return [10 if third == "ø" else 11]
    if number in ("6", "69"):
        return [9] if number == "6" else [9, 2]
    if number == "2":
        return [2]
    if number not in ("7", "9", "11", "13"):
        return []
    seventh = 9 if third in ("dim", "°", "o") else 11 if major else 10
    return [seventh, *{"7": [], "9": [2], "11": [2, 5], "13": [2, 9]}[number]]


def _altered(tones: list[int], more: str) -> list[int]:
    for kind, degree in _MORE.findall(more):
        if kind == "add":
            tones.append(_DEGREES[degree])
        elif kind == "no":
            tones = [tone for tone in tones if tone not in ((3, 4) if degree == "3" else (6, 7, 8))]
        elif kind == "alt":
            tones += [10, 1, 8]
        else:
            step = 1 if kind in ("#", "+") else -1
            if degree == "5":
                tones = [7 + step if tone == 7 else tone for tone in tones]
            else:
                tones.append((_DEGREES[degree] + step) % 12)
    return tones


def parse_chord_line(line: str) -> tuple[tuple[GuideChord, ...], ...]:
    """Bars of chords. Without `|` every symbol is a bar; `%` repeats the bar before. Raises `BadRequest`."""
    return read_chord_line(line)[0]


def read_chord_line(line: str) -> tuple[tuple[tuple[GuideChord, ...], ...], tuple[str, ...]]:
    """The bars of a chord line, and a sentence for the user where something was read otherwise than it was typed."""
    cells = _cells(line)
    symbols = [symbol for cell in cells for symbol in cell if symbol not in ("%", RHYTHM_MARK)]
    solfege = bool(symbols) and all(_solfege(symbol) for symbol in symbols)
    german = any(_german(symbol) for symbol in symbols)
    bars: list[tuple[GuideChord, ...]] = []
    for cell in cells:
        if not cell:
            raise BadRequest("a bar between two | has no chord; write N.C. for a rest", field="guide")
        if cell == ["%"] and bars:
            bars.append(bars[-1])
            continue
        bars.append(_bar([_solfege(symbol) or symbol if solfege else symbol for symbol in cell], german))
    if not bars:
        raise BadRequest("the chord line is empty", field="guide")
    unusual = solfege or german or any(symbol[:1].islower() and symbol.lower() not in _RESTS for symbol in symbols)
    return tuple(bars), ((f"the chords were read as {_written(bars)}",) if unusual else ())


def _german(symbol: str) -> bool:
    """Whether a symbol is one that only German names have: an H, or a note with is, es or s."""
    found = _SYMBOL.fullmatch(symbol)
    return found is not None and (symbol[:1] in "Hh" or found[2] in ("is", "es", "s"))


def _cells(line: str) -> list[list[str]]:
    """The symbols of each bar."""
    text = line.strip()
    if "|" in text:
        text = re.sub(r"\|+", "|", re.sub(r"\s*\n\s*", "|", text))
        text = re.sub(r"^\|:|:\|$", "", text).strip("| ")
        parts = [re.sub(r"(?<=\s)[-–—](?=\s)", " ", part) for part in text.split("|")]
        return [re.sub(r",(?![^(]*\))", " ", part).split() for part in parts]
    return [[symbol] for symbol in _SEPARATORS.sub(" ", text).split()]


def _bar(cell: list[str], german: bool) -> tuple[GuideChord, ...]:
    chords: list[GuideChord] = []
    for symbol in cell:
        if symbol == RHYTHM_MARK and chords:
            last = chords[-1]
            chords[-1] = GuideChord(last.bass, last.tones, last.share + 1.0 / len(cell))
        else:
            chords.append(parse_chord(symbol, 1.0 / len(cell), german=german))
    return tuple(chords)


def _solfege(symbol: str) -> str:
    """A symbol that begins with do, re, mi ... as letters; empty for any other."""
    found = re.match(r"(do|r[eé]|mi|fa|sol|la|si)(?![a-z]*(?:us|b\d))", symbol, re.IGNORECASE)
    return _SOLFEGE[found[1].lower()] + symbol[found.end() :] if found else ""


def _written(bars: list[tuple[GuideChord, ...]]) -> str:
    """Roots and thirds in the usual spelling, for the sentence to the user."""
    return " | ".join(" ".join(_name(chord) for chord in bar) for bar in bars[:16])


def _name(chord: GuideChord) -> str:
    if not chord.tones:
        return "N.C."
    root = chord.tones[0]
    steps = {(tone - root) % 12 for tone in chord.tones}
    third = "m" if 3 in steps and 4 not in steps else ""
    seventh = "7" if 10 in steps else "maj7" if 11 in steps else ""
    bass = "" if chord.bass == root else f"/{_FLAT[chord.bass]}"
    return f"{_FLAT[root]}{third}{seventh}{bass}"
