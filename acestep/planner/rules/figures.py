"""Figures in a sentence: tempo, key, metre and length, with where they stand and what was taken otherwise than said."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from acestep.api import limits, music
from acestep.api.errors import BadRequest
from acestep.api.metre import BARE, parse_metre
from acestep.planner.rules.vocabulary import NUMBERS


@dataclass
class Figures:
    """What a sentence says in figures; none: nothing. ``spans`` are the places that have been read."""

    bpm: float | None = None
    key: str = ""
    mode: str = ""
    """``major`` or ``minor``, where no note is named."""
    metre: str = ""
    seconds: float | None = None
    bars: float | None = None
    spans: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, match: re.Match[str]) -> None:
        """Mark a place as read."""
        self.spans.append(match.span())

    def free(self, match: re.Match[str]) -> bool:
        """Whether nothing has been read there yet."""
        return all(match.end() <= start or match.start() >= end for start, end in self.spans)


def read_figures(text: str, cased: str) -> Figures:
    """Everything in a plain text; ``cased`` is the same text with its capitals."""
    figures = Figures()
    _read_metre(text, figures)
    _read_length(text, cased, figures)
    _read_tempo(text, figures)
    _read_key(text, cased, figures)
    return figures


# Metre

_METRE = re.compile(r"(?<![\d/.])(\d{1,2})\s*/\s*(2|4|8|16)(?![\d/])(?: (?:time|takt|metre|meter))?")
_METRE_WORD = re.compile(
    r"\b(?:in (three|six|five|seven) (?:time|four|eight)|(dreiviertel|sechsachtel) ?takt)\w*|(三拍子|3拍子)|(6拍子)"
)
_SPOKEN_METRES = {
    "three": "3",
    "six": "6",
    "five": "5/4",
    "seven": "7/8",
    "dreiviertel": "3",
    "sechsachtel": "6",
    "三拍子": "3",
    "3拍子": "3",
    "6拍子": "6",
}


def _read_metre(text: str, figures: Figures) -> None:
    found = []
    for match in _METRE.finditer(text):
        try:
            found.append(parse_metre(f"{match[1]}/{match[2]}").name)
        except BadRequest:
            figures.notes.append(
                f"{match[0].strip()} is not a time signature that music is written in; it was left out"
            )
        figures.take(match)
    for match in _METRE_WORD.finditer(text):
        figures.take(match)
        found.append(_SPOKEN_METRES[next(filter(None, match.groups()))])
    figures.metre = _first(found, "time signatures", figures)
    if figures.metre and figures.metre not in BARE:
        nearest = music.model_metre_name(figures.metre)
        figures.notes.append(f"{figures.metre} is planned as {parse_metre(nearest)}, the nearest that the models know")
        figures.metre = nearest


# Length

_NUMBER = r"(\d+(?:[.,]\d+)?|" + "|".join(sorted(map(re.escape, NUMBERS), key=len, reverse=True)) + r")"
_EDGE = r"(?<![\da-zà-ÿ])(?<!\d[.,])"
"""Before a number: no digit, and no letter of a word."""
_MINUTES = r"(?:minutes?|minuten?|mins?\b|minutos?|minuti?|分(?:钟|鐘|間)?)"
_SECONDS = r"(?:seconds?|sekunden?|secs?\b|segundos?|secondes?|sek\b|秒(?:間|钟)?)"
_BARS = r"(?:bars?|measures?|takte?n?|mesures?|compases|小節|小节)"
_GAP = r"[\s-]*(?:long |lange? )?"
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2}):([0-5]\d)(?![\d:])(?: ?(?:min\w*|long))?(?! ?[ap]\.?m\b)")
_LENGTHS = (
    (re.compile(rf"\b(?:a|one|eine|1) {_MINUTES} (?:and|und) (?:a|eine) (?:half|halbe)"), 90.0, ""),
    (re.compile(rf"\b(?:one|a) and a half {_MINUTES}|anderthalb {_MINUTES}"), 90.0, ""),
    (re.compile(rf"{_EDGE}{_NUMBER} and a half[\s-]*{_MINUTES}"), 60.0, "half"),
    (re.compile(rf"{_EDGE}{_NUMBER}{_GAP}{_MINUTES}(?:,? (?:and |und )?(\d+) ?{_SECONDS})?"), 60.0, "unit"),
    (re.compile(rf"{_EDGE}{_NUMBER}{_GAP}{_SECONDS}"), 1.0, "unit"),
    (re.compile(rf"{_EDGE}(\d+(?:[.,]\d+)?) ?s(?:ec)?\b(?! ?(?:style|rock|pop|music|synth|house|hip))"), 1.0, "unit"),
    (re.compile(rf"{_EDGE}{_NUMBER}{_GAP}(?:hours?|stunden?|h\b|小时|時間)"), 3600.0, "unit"),
)  # fmt: skip
_BAR_COUNT = re.compile(rf"{_EDGE}{_NUMBER}{_GAP}{_BARS}")


def _number(text: str) -> float:
    return NUMBERS[text] if text in NUMBERS else float(text.replace(",", "."))


_KEY_OF_A = re.compile(r"A min\b(?! ?\d)")


def _is_key(match: re.Match[str], cased: str) -> bool:
    """Whether "a min" is a key and no minute: with a capital in the middle of a sentence, "rock in A min"."""
    return match.start() > 0 and _KEY_OF_A.match(cased, match.start()) is not None


def _read_length(text: str, cased: str, figures: Figures) -> None:
    found: list[float] = []
    for match in _CLOCK.finditer(text):
        if figures.free(match):
            figures.take(match)
            found.append(60.0 * int(match[1]) + int(match[2]))
    for pattern, unit, how in _LENGTHS:
        for match in pattern.finditer(text):
            if not figures.free(match) or _is_decade(match) or _is_key(match, cased):
                continue
            figures.take(match)
            value = unit if not how else (_number(match[1]) + (0.5 if how == "half" else 0.0)) * unit
            further = match[2] if match.lastindex == 2 else None
            found.append(value + (float(further) if further else 0.0))
    bars = []
    for match in _BAR_COUNT.finditer(text):
        if figures.free(match):
            figures.take(match)
            bars.append(_number(match[1]))
    if found:
        figures.seconds = _held(_first(found, "lengths", figures), figures)
        if bars:
            figures.notes.append(f"the sentence names a time and bars; {figures.seconds:g} s were taken")
    elif bars and (count := _first(bars, "lengths", figures)) > 0:
        figures.bars = count


def _is_decade(match: re.Match[str]) -> bool:
    """Whether what looks like seconds is a decade: ``80s``, ``90s`` without a blank between."""
    return bool(re.fullmatch(r"(?:19|20)?[5-9]0s", match[0])) and match[1].endswith("0")


def _held(seconds: float, figures: Figures) -> float | None:
    most = limits.MAX_DURATION
    if seconds <= 0:
        figures.notes.append("a piece is longer than nothing; the usual length was taken")
        return None
    if seconds > most:
        figures.notes.append(f"{seconds:g} s is longer than the models make at once; {most:g} s were taken")
    return min(seconds, most)


# Tempo

_BPM = re.compile(
    r"(?:(?:at|@|tempo|um|mit|à|a)\s*(?:of|von)?\s*)?(?<!\d)(?<!\d[.,])(\d{1,4}(?:[.,]\d+)?)(?:\s*(?:-|–|to|bis|~)\s*(\d{2,3}))?\s*"
    r"(?:bpm|b\.p\.m\.?|beats?(?: per | a | ?/ ?)min(?:ute)?|schläge(?:n)? (?:pro|in der) minute|拍(?:/分)?|テンポ)"
)
_AFTER_WORD = re.compile(
    r"(?:\bat|@|\btempo|\bbpm|テンポ|速度|♩ ?=|\bum)\s*(?:of|von|=|:)?\s*(\d{2,3}(?:[.,]\d+)?)(?![\d:.,/])"
    r"(?!\s*(?:[ap]\.?m\b|uhr|o'?clock|%|hz|khz|db|years?|°|degrees?|点|時|歳))"
)
_BARE = re.compile(
    r"(?<!room )(?<!route )(?<!area )(?<!number )(?<!track )(?<!take )(?<!op )(?<!level )(?<!top )(?<!studio )(?<!page )"
    r"(?<![\da-zà-ÿ/:#'])(?<!\d[.,])(\d{2,3})(?![\da-z/:%'’]|[.,]\d)(?!\s*(?:hz|khz|db|years?|°|degrees?|people|miles?|times?|"
    r"voices?|piece|strings?))"
)
BARE_TEMPI = (60, 200)
"""A number by itself is read as a tempo between these."""


def _read_tempo(text: str, figures: Figures) -> None:
    found: list[float] = []
    for pattern in (_BPM, _AFTER_WORD):
        for match in pattern.finditer(text):
            if not figures.free(match):
                continue
            figures.take(match)
            value = _number(match[1])
            if match.lastindex == 2 and match[2]:
                figures.notes.append(f"of {match[1]} to {match[2]} bpm the middle was taken")
                value = (value + float(match[2])) / 2
            found.append(value)
    if not found:
        for match in _BARE.finditer(text):
            if figures.free(match) and BARE_TEMPI[0] <= int(match[1]) <= BARE_TEMPI[1]:
                figures.take(match)
                figures.notes.append(f"{match[1]} was read as the tempo")
                found.append(float(match[1]))
                break
    if not found:
        return
    value = _first(found, "tempi", figures)
    least, most = limits.BPM_RANGE
    if not least <= value <= most:
        held = min(max(value, least), most)
        figures.notes.append(f"{value:g} bpm is outside {least:g} to {most:g}; {held:g} was taken")
        value = held
    figures.bpm = value


# Key

_MODES = {
    "minor": r"minor|min|moll|mineur|menor|minore|マイナー|短調|小调|小調",
    "major": r"major|maj|dur|majeur|mayor|maggiore|メジャー|長調|大调|大調",
}
_EITHER = "|".join(_MODES.values())
_ENGLISH = re.compile(rf"(?<!\w)([A-Ha-h])(?:\s?(#|♯|b|♭)| ?(sharp|flat|dièse|bémol))?[\s-]*({_EITHER}|m)(?![a-zà-ÿ])")
_GERMAN = re.compile(r"(?<!\w)([a-h])(is|es|s)?[\s-]*(moll|dur)(?![a-z])", re.IGNORECASE)
_ALONE = re.compile(r"\b(?:in|key of|key:?|tonart)\s+(?:the key of\s+)?([A-H])(#|♯|b|♭| sharp| flat)?(?![\w#♯♭'])")
_MODE_ALONE = re.compile(rf"(?<![a-z])(?:in (?:a )?)?({_EITHER})(?: key| tonart|の?キー)?(?![a-z])")
_JAPANESE = re.compile(r"([嬰変])?([ハニホヘトイロ])(長調|短調)")
_IROHA = dict(zip("ハニホヘトイロ", "CDEFGAB", strict=True))
_SOLFEGE = re.compile(rf"\b(do|re|ré|mi|fa|sol|la|si)(?: (sostenido|bemol|dièse|bémol|diesis|bemolle))? ({_EITHER})\b")
_NOTES = {"do": "C", "re": "D", "ré": "D", "mi": "E", "fa": "F", "sol": "G", "la": "A", "si": "B"}
_SIGNS = {
    "♯": "#",
    "♭": "b",
    "sharp": "#",
    "flat": "b",
    "dièse": "#",
    "bémol": "b",
    "sostenido": "#",
    "bemol": "b",
    "diesis": "#",
    "bemolle": "b",
    "嬰": "#",
    "変": "b",
}


def _read_key(text: str, cased: str, figures: Figures) -> None:
    found: list[str] = []
    readers = (
        (_JAPANESE, text, _japanese),
        (_SOLFEGE, text, _solfege),
        (_GERMAN, cased, _german),
        (_ENGLISH, cased, _english),
    )
    for pattern, where, name in readers:
        for match in pattern.finditer(where):
            key = name(match, text) if figures.free(match) else ""
            if key:
                figures.take(match)
                found.append(key)
    if found:
        figures.key = _first(found, "keys", figures)
        return
    for match in _ALONE.finditer(cased):
        if figures.free(match):
            figures.take(match)
            figures.key = f"{match[1] if match[1] != 'H' else 'B'}{_sign(match[2])}"
            return
    for match in _MODE_ALONE.finditer(text):
        if figures.free(match):
            figures.take(match)
            figures.mode = _mode(match[1])
            return


def _mode(word: str) -> str:
    return "minor" if word == "m" or re.fullmatch(_MODES["minor"], word.lower()) else "major"


def _sign(text: str | None) -> str:
    return _SIGNS.get((text or "").strip(), (text or "").strip())


def _spelled(letter: str, sign: str, mode: str) -> str:
    try:
        return music.key_name(f"{letter.upper()}{sign} {mode}")
    except BadRequest:
        return ""


def _english(match: re.Match[str], text: str) -> str:
    """A key such as ``F# minor``. A small ``a`` is an article unless it stands where a key does (`_names_key`)."""
    letter, word = match[1], match[4]
    if letter == "a" and not match[2] and not match[3] and not _names_key(text[: match.start()], text[match.end() :]):
        return ""
    if letter == "a" and re.match(r"\s+(?:key|tonality|mode|scale)\b", text[match.end() :]):
        return ""  # "in a minor key" names no note
    if word == "m" and ((letter.islower() and not match[2]) or " " in match[0]):
        return ""
    return _spelled("B" if letter in "Hh" else letter, _sign(match[2] or match[3]), _mode(word))


def _names_key(before: str, after: str) -> bool:
    """Whether "a minor" between these words is a key: "in a minor", "the key is a minor", "funk, a minor, 90 bpm", at the end.
    Before a noun ("a minor change") it is none.
    """
    if re.search(r"(?:\bin|\bkey of|\bkey:?|\bkey (?:is|should be|=))\s*$", before):
        return True
    return bool(re.match(r"\s*(?:$|[.;!?)]|\d)", after)) or (before.rstrip().endswith(",") and after.startswith(","))


def _german(match: re.Match[str], text: str) -> str:
    """A key such as ``fis-Moll``; H is B, and B is B flat."""
    letter, ending = match[1].lower(), (match[2] or "").lower()
    sign = {"is": "#", "es": "b", "s": "b"}.get(ending, "")
    if ending == "s" and letter not in "ae":
        return ""
    if letter == "b" and not ending:
        sign = "b"
    return _spelled("b" if letter == "h" else letter, sign, _mode(match[3]))


def _japanese(match: re.Match[str], text: str) -> str:
    return _spelled(_IROHA[match[2]], _sign(match[1]), "minor" if match[3] == "短調" else "major")


def _solfege(match: re.Match[str], text: str) -> str:
    return _spelled(_NOTES[match[1]], _sign(match[2]), _mode(match[3]))


def _first(found: list[Any], what: str, figures: Figures) -> Any:
    """The first of several; that there were several is told. An empty text for none."""
    different = list(dict.fromkeys(found))
    if len(different) > 1:
        figures.notes.append(
            f"the sentence names several {what} ({', '.join(_shown(one) for one in different)}); the first was taken"
        )
    return different[0] if different else ""


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
